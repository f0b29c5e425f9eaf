"""Pictures of page elements by a real browser: the same page gives the same bytes.

Only this file knows Playwright, and the asynchronous half of it: a timeout, a cancellation and
Ctrl-C all unwind through one path that leaves no process behind.
"""

import asyncio
import ipaddress
import math
import os
import platform
import re
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Error, Locator, Page, Playwright, Route, async_playwright
from playwright.async_api import TimeoutError as Late

from step_ops import pixels
from step_ops.drivers.addresses import METADATA
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import Box, PageRequest, PageShot
from step_ops.secrets import Secret, reveal

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--disable-gpu",
    "--disable-sync",
    "--font-render-hinting=none",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)
# Routing answers and refuses requests; this stops what it never sees: preconnects, sockets.
_CLOSED = "--host-resolver-rules=MAP * ~NOTFOUND"
# METADATA as the browser matches hosts, so that no redirect leads there either.
_OFF_LIMITS = (
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
    "metadata.google.internal",
)
_OPEN = "--host-resolver-rules=" + ",".join(f"MAP {host} ~NOTFOUND" for host in _OFF_LIMITS)
_GRACE = 5.0  # seconds that a shot already under way gets after the timeout

_RECTANGLES = """all => all.map(e => e.getBoundingClientRect())
    .map(area => [area.left, area.top, area.right, area.bottom])"""
_NAME_AT = """(element, [x, y]) => {
    const area = element.getBoundingClientRect();
    const hit = document.elementFromPoint(Math.floor(area.left) + x, Math.floor(area.top) + y);
    return hit ? [hit.localName + (hit.id && '#' + hit.id), ...hit.classList].join('.') : '';
}"""
_HIDE_TEXT = "element => element.style.setProperty('-webkit-text-security', 'disc', 'important')"


def find_browser() -> Path | None:
    """The browser to use: RB_BROWSER, else one on PATH, else what `playwright install` left."""
    named = os.environ.get("RB_BROWSER")
    for name in (named,) if named else _NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    return None if named else _installed_by_playwright()


def photograph(
    request: PageRequest,
    *,
    accept: Callable[[bytes], bool] = lambda png: False,
    document: bytes | None = None,
    now: datetime | None = None,
    cancelled: threading.Event | None = None,
) -> PageShot:
    """A stable picture of the element, by a browser that lives for this call only.

    A first picture that `accept`s is taken as it is; else two in a row must agree, masks apart.
    With `document`, that HTML answers `request.url` and the network is closed. With `now`, the
    page's clock stands still at it. `request.timeout` counts from the opening of the page. Runs
    in any thread without a running event loop. Raises `StepError`.
    """
    sitting = _Sitting(
        request=request,
        actions=[_action(number, action) for number, action in enumerate(request.actions, 1)],
        accept=accept,
        document=document,
        now=now,
    )
    _check_address(request.url, live=document is None)
    return asyncio.run(_unless(cancelled or threading.Event(), sitting.photograph(_browser())))


def _installed_by_playwright() -> Path | None:
    """The newest browser in Playwright's own folder, a headless shell before a full Chromium."""
    home = Path.home()
    match sys.platform:
        case "darwin":
            cache = home / "Library" / "Caches"
        case "win32":
            cache = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        case _:
            cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or cache / "ms-playwright")
    for pattern in (
        "chromium_headless_shell-*/*/*headless?shell*",
        "chromium-*/*/chrome",
        "chromium-*/*/chrome.exe",
        "chromium-*/*/*.app/Contents/MacOS/*",
    ):
        found = [
            path for path in folder.glob(pattern) if path.is_file() and os.access(path, os.X_OK)
        ]
        if found:
            return max(found, key=lambda path: _revision(path.relative_to(folder).parts[0]))
    return None


def _revision(folder: str) -> int:
    return int("0" + "".join(re.findall(r"\d+", folder.rpartition("-")[2])))


def _browser() -> Path:
    found = find_browser()
    if found is None:
        named = os.environ.get("RB_BROWSER")
        raise StepError(
            ErrorType.SCREENSHOT,
            f"RB_BROWSER names {named!r}, which cannot be run"
            if named
            else "no browser found to take the picture with",
            hint="`apt-get install chromium-headless-shell` or `playwright install chromium`, "
            "or set RB_BROWSER to the path of a Chromium",
        )
    return found


@dataclass(frozen=True, kw_only=True)
class _Action:
    verb: str
    selector: str
    value: Any = None


def _action(number: int, action: Mapping[str, Any]) -> _Action:
    match list(action.items()):
        case [("click" | "wait_for" as verb, str(selector))]:
            return _Action(verb=verb, selector=selector)
        case [("fill", {"selector": str(selector), "value": value, **rest})] if not rest:
            if isinstance(value, str | int | float | Secret):
                return _Action(verb="fill", selector=selector, value=value)
    raise StepError(
        ErrorType.CONFIG,
        f"action {number} ({', '.join(map(str, action)) or 'empty'}) cannot be done on a page",
        hint='write {"click": selector}, {"wait_for": selector} or '
        '{"fill": {"selector": selector, "value": text or number}}',
    )


def _check_address(url: str, *, live: bool) -> None:
    """Raises `StepError` of type `policy` for an address that no browser of ours opens."""
    try:
        parts = urlsplit(reveal(url))
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if scheme not in ("http", "https") or not host:
        raise StepError(
            ErrorType.POLICY,
            f"{_plain(url)} is not an http or https address",
            hint="only pages of a web server are photographed",
        )
    if live and (host == "metadata.google.internal" or any(map(_off_limits, _addresses(host)))):
        raise _metadata(host)


def _metadata(host: str) -> StepError:
    return StepError(
        ErrorType.POLICY,
        f"{host} is a metadata address of the cloud, where credentials may be had",
        hint="name a page that is meant for users; metadata addresses are never allowed",
    )


def _addresses(host: str) -> Iterator[str]:
    """What the name stands for; nothing when it is not known here, as a proxy may know it."""
    with suppress(OSError, UnicodeError):
        for *_, address in socket.getaddrinfo(host, None):
            yield str(address[0])


def _off_limits(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    meant = getattr(ip, "ipv4_mapped", None) or ip
    return any(meant in network for network in METADATA)


def _plain(url: str) -> str:
    """The address without what may be private in it: user, password, query, fragment."""
    if isinstance(url, Secret):
        return str(url)
    return re.sub(r"^([^/]*//)[^/]*@", r"\1", re.split(r"[?#]", url, maxsplit=1)[0])


async def _unless(cancelled: threading.Event, work: Coroutine[Any, Any, PageShot]) -> PageShot:
    """The result of `work`, which is given up and unwound when the event is set."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            if cancelled.is_set():
                raise StepError(ErrorType.CANCELLED, "cancelled while a page was photographed")
            await asyncio.wait({task}, timeout=0.05)
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass(kw_only=True)
class _Sitting:
    """One picture, from the start of a browser to its end."""

    request: PageRequest
    actions: list[_Action]
    accept: Callable[[bytes], bool]
    document: bytes | None
    now: datetime | None
    home: str | None = None  # the page's address as the browser spells it
    refused: list[str] = field(default_factory=list)
    deadline: float = math.inf

    async def photograph(self, executable: Path) -> PageShot:
        async with async_playwright() as playwright:
            browser = await self.launch(playwright, executable)
            try:
                page = await self.prepare(browser)
                self.deadline = asyncio.get_running_loop().time() + self.request.timeout
                async with asyncio.timeout(self.request.timeout + _GRACE):
                    png, masked = await self.sit(page)
                return PageShot(png=png, masked=masked, fingerprint=self.fingerprint(browser))
            except TimeoutError:
                raise self.late(f"{_plain(self.request.url)} stopped responding") from None
            except Error as error:
                # The chain is cut: Playwright's own text may quote what was typed into the page.
                raise _unexpected(error) from None
            finally:
                await browser.close()

    async def launch(self, playwright: Playwright, executable: Path) -> Browser:
        try:
            return await playwright.chromium.launch(
                executable_path=executable,
                args=[*_FLAGS, _OPEN if self.document is None else _CLOSED],
                handle_sigint=False,  # Ctrl-C is ours to handle
                handle_sigterm=False,
                handle_sighup=False,
            )
        except Error as error:
            raise StepError(
                ErrorType.SCREENSHOT,
                f"the browser {executable} did not start: {_first_line(error)}",
                hint=f"see what `{executable} --version` says",
            ) from None

    async def prepare(self, browser: Browser) -> Page:
        """An empty page in an environment that is the same everywhere."""
        width, height = self.request.viewport
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=1,
            locale="en-US",
            timezone_id="UTC",
            reduced_motion="reduce",
            color_scheme="light",
            accept_downloads=False,
            service_workers="block",
        )
        if self.document is not None:
            await context.route("**/*", self.answer)
        page = await context.new_page()  # without a listener, its dialogs are dismissed
        if self.now is not None:
            await page.clock.set_fixed_time(self.now)
        await self.check_selectors(page)
        return page

    async def sit(self, page: Page) -> tuple[bytes, tuple[Box, ...]]:
        await self.open(page)
        for action in self.actions:
            await self.act(page, action)
        element = await self.find(page, self.request.selector, missing=ErrorType.SCREENSHOT)
        return await self.stable(page, element)

    def fingerprint(self, browser: Browser) -> dict[str, str]:
        width, height = self.request.viewport
        return {
            "browser": f"Chromium {browser.version}",
            "viewport": f"{width}x{height}",
            "platform": f"{platform.system()} {platform.machine()}",
            "playwright": version("playwright"),
        }

    async def answer(self, route: Route) -> None:
        """The document for the page's own address, a refusal for any other."""
        url = route.request.url
        self.home = self.home or url  # the first request is the page's own
        if url == self.home:
            await route.fulfill(body=self.document, content_type="text/html; charset=utf-8")
        else:
            self.refused.append(_plain(url)[:200])
            # For this reason, of all, a page that tried to leave stays as it was.
            await route.abort("aborted")

    async def check_selectors(self, page: Page) -> None:
        """Tries each selector on the empty page, where only its syntax can be wrong."""
        actions = (action.selector for action in self.actions)
        for selector in (*actions, *self.request.mask, self.request.selector):
            try:
                await page.locator(selector).count()
            except Error as error:
                raise StepError(
                    ErrorType.CONFIG,
                    f"the selector {selector!r} cannot be read: {_first_line(error)}",
                    hint="write it as CSS, such as '#entity-list' or 'table.results'",
                ) from None

    async def open(self, page: Page) -> None:
        place = _plain(self.request.url)
        try:
            response = await page.goto(reveal(self.request.url), timeout=self.left())
        except Late:
            raise self.late(f"{place} did not finish loading") from None
        except Error as error:
            raise _unopened(error, place) from None
        if response is None:
            return
        if self.document is None:
            peer = await response.server_addr()
            if peer and _off_limits(peer["ipAddress"].strip("[]")):
                raise _metadata(peer["ipAddress"])
        if response.status >= 400:
            raise StepError(
                ErrorType.HTTP,
                f"{place} answered with status {response.status} instead of a page",
                hint="open the address by hand; a page that wants a login answers this way too",
                details={"status": response.status},
            )

    async def act(self, page: Page, action: _Action) -> None:
        if action.verb == "wait_for":
            await self.visible(page.locator(action.selector), action.selector, ErrorType.TIMEOUT)
            return
        element = await self.find(page, action.selector, missing=ErrorType.TIMEOUT)
        try:
            if action.verb == "click":
                await element.click(timeout=self.left())
                return
            if isinstance(action.value, Secret):  # in a field of any type, shown as dots
                await element.evaluate(_HIDE_TEXT)
            await element.fill(str(reveal(action.value)), timeout=self.left())
        except Late:
            raise self.late(f"{action.selector!r} could not be used to {action.verb}") from None
        except Error as error:
            if "crashed" in error.message or "closed" in error.message:
                raise
            raise StepError(
                ErrorType.SCREENSHOT,
                f"{action.selector!r} could not be used to {action.verb}",
                hint="look at what kind of element it is",
            ) from None

    async def find(self, page: Page, selector: str, *, missing: ErrorType) -> Locator:
        """The one element that the selector names, visible."""
        element = page.locator(selector)
        await self.visible(element, selector, missing)
        count = await element.count()
        if count > 1:
            raise StepError(
                ErrorType.SCREENSHOT,
                f"{selector!r} matches {count} elements, where one is needed",
                hint="name it by id, or narrow the selector",
                details={"count": count},
            )
        return element

    async def visible(self, element: Locator, selector: str, missing: ErrorType) -> None:
        try:
            await element.first.wait_for(state="visible", timeout=self.left())
        except Late:
            count = await element.count()
            what = f"{count} there, but not to be seen" if count else "no element matches"
            raise self.late(f"{selector!r} did not appear", what, type=missing) from None

    async def stable(self, page: Page, element: Locator) -> tuple[bytes, tuple[Box, ...]]:
        """The first shot if it is accepted, else the second of two that agree outside the masks."""
        shot = await self.shoot(page, element)
        if self.accept(shot[0]):
            return shot
        wait = 0.1
        while True:
            await asyncio.sleep(wait)
            previous, shot = shot, await self.shoot(page, element)
            if pixels.identical(previous[0], shot[0], masked=(*previous[1], *shot[1])):
                return shot
            wait = min(wait * 2, 1.0)
            if self.left() <= wait * 1000:
                raise await self.unstable(element, previous, shot)

    async def shoot(self, page: Page, element: Locator) -> tuple[bytes, tuple[Box, ...]]:
        try:
            png = await element.screenshot(
                animations="disabled",
                caret="hide",
                scale="css",
                timeout=self.left() + _GRACE * 1000,
            )
        except Late:
            raise self.late(f"{self.request.selector!r} did not hold still for a picture") from None
        return png, await self.masked(page, element)

    async def masked(self, page: Page, element: Locator) -> tuple[Box, ...]:
        """The boxes of the masked elements, in whole pixels of the element's picture."""
        if not self.request.mask:
            return ()
        whole = await element.evaluate(f"element => ({_RECTANGLES})([element])[0]")
        x, y = math.floor(whole[0]), math.floor(whole[1])
        width, height = math.ceil(whole[2]) - x, math.ceil(whole[3]) - y
        boxes = []
        for selector in self.request.mask:
            for area in await page.locator(selector).evaluate_all(_RECTANGLES):
                x1, y1 = max(math.floor(area[0]) - x, 0), max(math.floor(area[1]) - y, 0)
                x2, y2 = min(math.ceil(area[2]) - x, width), min(math.ceil(area[3]) - y, height)
                if x1 < x2 and y1 < y2:
                    boxes.append(Box(x=x1, y=y1, width=x2 - x1, height=y2 - y1))
        return tuple(boxes)

    async def unstable(
        self,
        element: Locator,
        previous: tuple[bytes, tuple[Box, ...]],
        last: tuple[bytes, tuple[Box, ...]],
    ) -> StepError:
        difference = pixels.compare(
            previous[0], last[0], masked=(*previous[1], *last[1]), threshold=0
        )
        boxes = difference.boxes if difference else ()
        places = []
        for box in boxes[:3]:
            name = ""
            with suppress(Error):
                middle = [box.x + box.width // 2, box.y + box.height // 2]
                name = await element.evaluate(_NAME_AT, middle)
            places.append(
                f"{box.width}x{box.height} px at {box.x},{box.y}"
                + (f" ({name[:80]})" if name else "")
            )
        return StepError(
            ErrorType.SCREENSHOT,
            f"{self.request.selector!r} did not hold still within {self.request.timeout:g} s: "
            f"{'; '.join(places) or 'the edges of its shapes'} kept changing",
            hint="mask what moves, or wait_for what shows that the page is done",
            details={"boxes": [[box.x, box.y, box.width, box.height] for box in boxes[:20]]},
        )

    def left(self) -> float:
        """Milliseconds to the deadline, never zero, which would mean no limit at all."""
        return max((self.deadline - asyncio.get_running_loop().time()) * 1000, 1.0)

    def late(
        self,
        what: str,
        why: str = "",
        *,
        type: ErrorType = ErrorType.TIMEOUT,  # noqa: A002
    ) -> StepError:
        hint = "look at the page by hand, or raise the timeout"
        if self.refused:
            hint = f"with a fixture the network is closed: {self.refused[0]} was refused"
        return StepError(
            type,
            f"{what} within {self.request.timeout:g} s" + (f": {why}" if why else ""),
            hint=hint,
            details={"refused": self.refused[:20]} if self.refused else None,
        )


def _unopened(error: Error, place: str) -> StepError:
    code = re.search(r"net::(ERR_\w+)", error.message)
    if code is None:
        return StepError(
            ErrorType.SCREENSHOT,
            f"{place} is a download, not a page"
            if "Download" in error.message
            else f"{place} could not be opened: {_first_line(error)}",
            hint="name the address of a page",
        )
    return StepError(
        ErrorType.CONNECTION,
        f"{place} could not be reached ({code[1]})",
        hint="check the address, and that its server runs and can be reached from here",
    )


def _unexpected(error: Error) -> StepError:
    gone = "crashed" in error.message or "closed" in error.message
    return StepError(
        ErrorType.SCREENSHOT,
        "the browser or its page crashed" if gone else f"no picture: {_first_line(error)}",
        hint="run it again; a browser with too little memory ends this way" if gone else "",
    )


def _first_line(error: Error) -> str:
    """What Playwright says first, without the name of the call and without its log."""
    return error.message.partition("\n")[0].partition(": ")[2][:200] or "no reason given"
