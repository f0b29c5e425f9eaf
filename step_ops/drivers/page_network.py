"""What a page may reach: nothing when all its answers are given, else all but metadata addresses."""

import json
import re
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

from playwright.async_api import BrowserContext, Request, Response, Route

from step_ops.drivers.addresses import DeniedAddressError, check
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageCapture, PageResource
from step_ops.secrets import Secret, reveal

_MOST_REDIRECTS = 20
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
    """The network of one page; with `answers`, a document or a capture, that is all there is."""

    def __init__(self, answers: bytes | PageCapture | None) -> None:
        self.refused: list[str] = []
        self._answers = answers
        self._home: str | None = None  # the page's address as the browser spells it
        self._given: Counter[int] = Counter()  # how often each recorded answer was given

    @property
    def flag(self) -> str:
        """For the browser's command line: it stops what routing never sees, preconnects and sockets."""
        hosts = OFF_LIMITS if self._answers is None else ("*",)
        return "--host-resolver-rules=" + ",".join(f"MAP {host} ~NOTFOUND" for host in hosts)

    async def attach(self, context: BrowserContext) -> None:
        """Answer for the other side, when all its answers are given."""
        if self._answers is not None:
            await context.route("**/*", self._answer)

    async def _answer(self, route: Route) -> None:
        url = route.request.url
        first, self._home = self._home is None, self._home or url  # the first request is the page's own
        if isinstance(self._answers, PageCapture):
            found = self._recorded(self._answers.resources, route.request, first=first)
            if found is not None:
                await self._fulfill(route, found, self._answers.resources)
                return
        elif url == self._home:
            await route.fulfill(body=self._answers, content_type="text/html; charset=utf-8")
            return
        self.refused.append(plain(url)[:200])
        # For this reason, of all, a page that tried to leave stays as it was.
        await route.abort("aborted")

    async def _fulfill(self, route: Route, found: PageResource, resources: Sequence[PageResource]) -> None:
        """Answers with a recorded redirect's end: the browser would follow it past every route."""
        end = _landing(resources, found)
        if end is not found and route.request.is_navigation_request():
            moved = f"<script>location.replace({json.dumps(end.url)})</script>"
            await route.fulfill(body=moved, content_type="text/html; charset=utf-8")
            return
        await route.fulfill(status=end.status, headers=dict(end.headers), body=end.body)

    def landing(self, url: str) -> str:
        """The address that a visit of `url` ends at: with a capture, behind its redirects."""
        if not isinstance(self._answers, PageCapture) or not self._answers.resources:
            return url
        resources = self._answers.resources
        # As a fragment is not sent, and an address may be recorded in another spelling: the first is it.
        end = _landing(resources, resources[0])
        return url if end is resources[0] else end.url

    def _recorded(
        self, resources: Sequence[PageResource], request: Request, *, first: bool
    ) -> PageResource | None:
        """The recorded answer: to the same request; the next one, where it was sent several times.

        Else to one of the same path: a secret in a query was masked when it was recorded.
        """
        asked = [(at, each) for at, each in enumerate(resources) if each.method == request.method]
        sent = request.post_data
        ways = (
            [at for at, each in asked if each.url == request.url and each.sent == sent],
            [at for at, each in asked if each.url == request.url],
            [at for at, each in asked if _path(each.url) == _path(request.url)],
            [0] if first and resources else [],
        )
        places = next((way for way in ways if way), None)
        if places is None:
            return None
        place = next((at for at in places if not self._given[at]), places[-1])
        self._given[place] += 1
        return resources[place]

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


def _landing(resources: Sequence[PageResource], found: PageResource) -> PageResource:
    for _ in range(_MOST_REDIRECTS):
        location = found.headers.get("location")
        if not 300 <= found.status < 400 or location is None:
            return found
        address = urljoin(found.url, location)
        then = next((each for each in resources if each.url == address), None)
        if then is None:
            return found
        found = then
    return found


def _path(url: str) -> str:
    return re.split(r"[?#]", url, maxsplit=1)[0]


def plain(url: str) -> str:
    """The address without what may be private in it: user, password, query, fragment."""
    if isinstance(url, Secret):
        return str(url)
    return re.sub(r"^([^/]*//)[^/]*@", r"\1", re.split(r"[?#]", url, maxsplit=1)[0])
