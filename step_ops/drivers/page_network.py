"""What a page may reach: nothing when it is given as text, else all but metadata addresses."""

import re
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, Response, Route

from step_ops.drivers.addresses import DeniedAddressError, check
from step_ops.errors import ErrorType, StepError
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
    """The network of one page; with a document, that is all there is."""

    def __init__(self, document: bytes | None) -> None:
        self.refused: list[str] = []
        self._document = document
        self._home: str | None = None  # the page's address as the browser spells it

    @property
    def flag(self) -> str:
        """For the browser's command line: it stops what routing never sees, preconnects and sockets."""
        hosts = OFF_LIMITS if self._document is None else ("*",)
        return "--host-resolver-rules=" + ",".join(f"MAP {host} ~NOTFOUND" for host in hosts)

    async def attach(self, context: BrowserContext) -> None:
        """Answer for the other side, when there is a document."""
        if self._document is not None:
            await context.route("**/*", self._answer)

    async def _answer(self, route: Route) -> None:
        url = route.request.url
        self._home = self._home or url  # the first request is the page's own
        if url == self._home:
            await route.fulfill(body=self._document, content_type="text/html; charset=utf-8")
        else:
            self.refused.append(plain(url)[:200])
            # For this reason, of all, a page that tried to leave stays as it was.
            await route.abort("aborted")

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
        if self._document is not None:
            return
        if host == _GOOGLE:
            raise _metadata(host)
        # A name that is not known here passes, as a proxy may know it.
        with suppress(OSError, UnicodeError):
            for *_, place in socket.getaddrinfo(host, None):
                _check(str(place[0]), host)

    async def check_peer(self, response: Response) -> None:
        """Raise `StepError` of type `policy` when the page came from a metadata address after all."""
        peer = await response.server_addr() if self._document is None else None
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


def plain(url: str) -> str:
    """The address without what may be private in it: user, password, query, fragment."""
    if isinstance(url, Secret):
        return str(url)
    return re.sub(r"^([^/]*//)[^/]*@", r"\1", re.split(r"[?#]", url, maxsplit=1)[0])
