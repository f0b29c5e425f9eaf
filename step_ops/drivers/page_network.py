"""What a page may reach: nothing when all its answers are given, else all but metadata addresses."""

import base64
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, CDPSession, Error, Response

from step_ops.drivers.addresses import DeniedAddressError, check
from step_ops.drivers.page_answers import PageAnswers, given_headers
from step_ops.errors import ErrorType, StepError, shortened
from step_ops.exchanges import PageResource
from step_ops.secrets import Secret, reveal

_GOOGLE = "metadata.google.internal"
# METADATA as the browser matches hosts, so that no redirect leads there either.
OFF_LIMITS = (
    "169.254.*",
    "[::ffff:a9fe:*]",
    "[fe8*:*]",
    "[fe9*:*]",
    "[fea*:*]",
    "[feb*:*]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    _GOOGLE,
)


class PageNetwork:
    """The network of one page; with `resources`, those are all there is."""

    def __init__(self, resources: Sequence[PageResource] | None) -> None:
        self.refused: list[str] = []
        self._answers = PageAnswers(resources) if resources is not None else None

    @property
    def flag(self) -> str:
        """For the browser's command line: it stops what is no request, preconnects and sockets."""
        hosts = OFF_LIMITS if self._answers is None else ("*",)
        return "--host-resolver-rules=" + ",".join(f"MAP {host} ~NOTFOUND" for host in hosts)

    async def attach(self, browser: Browser) -> None:
        """Answer for the other side, when its answers are given.

        Not by routes, which see neither where a redirect leads nor what a shared worker asks.
        """
        answers = self._answers
        if answers is None:
            return
        session = await browser.new_browser_cdp_session()

        async def paused(event: dict[str, Any]) -> None:
            command, answer = self._reply(event["request"], answers)
            await _tell(session, command, {"requestId": event["requestId"], **answer})

        session.on("Fetch.requestPaused", paused)
        await session.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})

    def _reply(self, request: Mapping[str, Any], answers: PageAnswers) -> tuple[str, dict[str, Any]]:
        """The command that answers the browser's request."""
        method, url = request["method"], request["url"]
        found = answers.take(method, url, _sent(request))
        if found is not None:
            return "Fetch.fulfillRequest", {
                "responseCode": found.status,
                "responseHeaders": [{"name": name, "value": value} for name, value in given_headers(found)],
                "body": base64.b64encode(found.body).decode(),
            }
        asks_leave = {name.lower(): value for name, value in request["headers"].items()}
        if method == "OPTIONS" and "access-control-request-method" in asks_leave:
            # Nobody records what only the browser asks; whether there is an answer shows afterwards.
            return "Fetch.fulfillRequest", {"responseCode": 204, "responseHeaders": _leave(asks_leave)}
        self.refused.append(shortened(plain(url), 200))
        # For this reason, of all, a page that tried to leave stays as it was.
        return "Fetch.failRequest", {"errorReason": "Aborted"}

    def check_address(self, url: str) -> None:
        """Raise `StepError` of type `policy` for an address that no browser of ours opens."""
        try:
            parts = urlsplit(reveal(url))
            scheme, host = parts.scheme, parts.hostname
        except ValueError:
            scheme, host = "", None
        if scheme not in ("http", "https") or not host:
            raise StepError(
                ErrorType.POLICY,
                f"{plain(url)} is not an http or https address",
                hint="only pages of a web server are photographed",
            )
        if self._answers is not None:
            return
        if host == _GOOGLE:
            raise _metadata(host)
        # A name that is not known here passes, as a proxy may know it.
        with suppress(OSError, UnicodeError):
            for *_, place in socket.getaddrinfo(host, None):
                _check(str(place[0]), host)

    async def check_peer(self, response: Response) -> None:
        """Raise `StepError` of type `policy` when the page came from a metadata address after all."""
        peer = await response.server_addr() if self._answers is None else None
        if peer:
            _check(peer["ipAddress"].strip("[]"), peer["ipAddress"])


def _check(address: str, host: str) -> None:
    try:
        check(address)
    except DeniedAddressError:
        raise _metadata(host) from None


def _metadata(host: str) -> StepError:
    return StepError(
        ErrorType.POLICY,
        f"{host} is a metadata address of the cloud, where credentials may be had",
        hint="name a page that is meant for users; metadata addresses are never allowed",
    )


async def _tell(session: CDPSession, command: str, answer: dict[str, Any]) -> None:
    """Sends an answer; one that the browser does not take is a failed request."""
    try:
        await session.send(command, answer)
    except Error:
        with suppress(Error):  # the page has gone on, or the browser is closed
            await session.send(
                "Fetch.failRequest", {"requestId": answer["requestId"], "errorReason": "Failed"}
            )


def _sent(request: Mapping[str, Any]) -> str | None:
    """The body of a request as a HAR has it."""
    if not request.get("hasPostData"):
        return None
    parts = (base64.b64decode(part.get("bytes", "")) for part in request.get("postDataEntries", ()))
    return b"".join(parts).decode("utf-8", "replace")


def _leave(asked: Mapping[str, str]) -> list[dict[str, str]]:
    """The headers that let a page ask another server what it wants to."""
    given = {
        "access-control-allow-origin": asked.get("origin", "*"),
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": asked["access-control-request-method"],
        "access-control-allow-headers": asked.get("access-control-request-headers", ""),
    }
    return [{"name": name, "value": value} for name, value in given.items() if value]


def plain(url: str) -> str:
    """The address without what may be private in it: user, password, query, fragment."""
    if isinstance(url, Secret):
        return str(url)
    return re.sub(r"^([^/]*//)[^/]*@", r"\1", re.split(r"[?#]", url, maxsplit=1)[0])
