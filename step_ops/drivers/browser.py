"""Pictures of page elements by a real browser: the same page gives the same bytes.

Playwright's asynchronous half is used: a timeout, a cancellation and Ctrl-C all unwind through one
path that leaves no process behind.
"""

import asyncio
import math
import platform
import re
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Error, Locator, Page, Playwright, async_playwright
from playwright.async_api import TimeoutError as Late

from step_ops.drivers.camera import GRACE, Camera
from step_ops.drivers.find_browser import need_browser
from step_ops.drivers.page_action import PageAction, parse_action
from step_ops.drivers.page_capture import PageRecorder
from step_ops.drivers.page_network import PageNetwork, plain
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageCapture, PageRequest, PageShot
from step_ops.secrets import Secret, reveal

_FLAGS = (
    "--disable-gpu",
    "--disable-sync",
    "--font-render-hinting=none",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)
# Not even dots: their number would tell how long the secret is, and differ in a replay without it.
_HIDE_TEXT = """element => {
    element.style.setProperty('-webkit-text-security', 'disc', 'important');
    element.style.setProperty('-webkit-text-fill-color', 'transparent', 'important');
}"""


def photograph(
    request: PageRequest,
    *,
    accept: Callable[[PageShot], bool] = lambda shot: False,
    document: bytes | None = None,
    now: datetime | None = None,
    capture: PageCapture | None = None,
    keep: bool = False,
    cancelled: threading.Event | None = None,
) -> PageShot:
    """A stable picture of the element, by a browser that lives for this call only.

    A first picture that `accept`s is taken as it is; else two in a row must agree, masks apart.
    With `document`, that HTML answers `request.url` and the network is closed; with `capture`, the
    answers in it do, and the page's clock goes on from when it was made. With `now`, the clock stands
    still at it. With `keep`, the shot has a capture. `request.timeout` counts from the opening of the
    page. Runs in any thread without a running event loop. Raises `StepError`.
    """
    sitting = _Sitting(
        request=request,
        actions=[parse_action(number, action) for number, action in enumerate(request.actions, 1)],
        accept=accept,
        network=PageNetwork(document if capture is None else capture),
        now=now,
        since=capture.opened_at if capture is not None and now is None else None,
        recorder=PageRecorder() if keep else None,
    )
    sitting.network.check_address(request.url)
    return asyncio.run(_unless(cancelled or threading.Event(), sitting.photograph(need_browser())))


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
    actions: list[PageAction]
    accept: Callable[[PageShot], bool]
    network: PageNetwork
    now: datetime | None
    since: datetime | None = None
    recorder: PageRecorder | None = None
    deadline: float = math.inf

    async def photograph(self, executable: Path) -> PageShot:
        async with async_playwright() as playwright:
            browser = await self.launch(playwright, executable)
            try:
                page = await self.prepare(browser)
                if self.recorder is not None:
                    self.recorder.watch(page)
                self.deadline = asyncio.get_running_loop().time() + self.request.timeout
                async with asyncio.timeout(self.request.timeout + GRACE):
                    shot = await self.sit(page, self.fingerprint(browser))
                return await self.kept(page, shot)
            except TimeoutError:
                raise self.late(f"{plain(self.request.url)} stopped responding") from None
            except Error as error:
                # The chain is cut: Playwright's own text may quote what was typed into the page.
                raise _unexpected(error) from None
            finally:
                await browser.close()
                if self.recorder is not None:
                    self.recorder.discard()

    async def kept(self, page: Page, shot: PageShot) -> PageShot:
        """The shot with what its page was made of, when that is to be kept."""
        if self.recorder is None:
            return shot
        try:
            async with asyncio.timeout(GRACE):
                capture = await self.recorder.finish(page.context)
        except (TimeoutError, Error):  # the picture is there all the same
            capture = PageCapture(opened_at=datetime.now(UTC), missing="the browser did not give its record")
        return replace(shot, capture=capture)

    async def launch(self, playwright: Playwright, executable: Path) -> Browser:
        try:
            return await playwright.chromium.launch(
                executable_path=executable,
                args=[*_FLAGS, self.network.flag],
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
            **(self.recorder.options if self.recorder is not None else {}),
        )
        await self.network.attach(context)
        page = await context.new_page()  # without a listener, its dialogs are dismissed
        if self.now is not None:
            await page.clock.set_fixed_time(self.now)
        elif self.since is not None:
            await page.clock.install(time=self.since)
        await self.check_selectors(page)
        return page

    async def sit(self, page: Page, fingerprint: dict[str, str]) -> PageShot:
        await self.open(page)
        for action in self.actions:
            await self.act(page, action)
        element = await self.find(page, self.request.selector, missing=ErrorType.SCREENSHOT)
        camera = Camera(element=element, request=self.request, fingerprint=fingerprint, left=self.left)
        try:
            return await camera.take(self.accept)
        except Late:
            raise self.late(f"{self.request.selector!r} did not hold still for a picture") from None

    def fingerprint(self, browser: Browser) -> dict[str, str]:
        width, height = self.request.viewport
        return {
            "browser": f"Chromium {browser.version}",
            "viewport": f"{width}x{height}",
            "platform": f"{platform.system()} {platform.machine()}",
            "playwright": version("playwright"),
        }

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
        place = plain(self.request.url)
        try:
            address = self.network.landing(reveal(self.request.url))
            response = await page.goto(address, timeout=self.left())
        except Late:
            raise self.late(f"{place} did not finish loading") from None
        except Error as error:
            raise _unopened(error, place) from None
        if response is None:
            return
        await self.network.check_peer(response)
        if response.status >= 400:
            raise StepError(
                ErrorType.HTTP,
                f"{place} answered with status {response.status} instead of a page",
                hint="open the address by hand; a page that wants a login answers this way too",
                details={"status": response.status},
            )

    async def act(self, page: Page, action: PageAction) -> None:
        if action.verb == "wait_for":
            await self.visible(page.locator(action.selector), action.selector, ErrorType.TIMEOUT)
            return
        element = await self.find(page, action.selector, missing=ErrorType.TIMEOUT)
        try:
            if action.verb == "click":
                await element.click(timeout=self.left())
                return
            if isinstance(action.value, Secret):  # in a field of any type, not to be seen
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
        if self.network.refused:
            hint = f"with a fixture the network is closed: {self.network.refused[0]} was refused"
        return StepError(
            type,
            f"{what} within {self.request.timeout:g} s" + (f": {why}" if why else ""),
            hint=hint,
            details={"refused": self.network.refused[:20]} if self.network.refused else None,
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
