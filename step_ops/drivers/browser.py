"""Pictures of page elements by a real browser: the same page gives the same bytes.

Playwright's asynchronous half is used: a timeout, a cancellation and Ctrl-C all unwind through one
path that leaves no process behind.
"""

import asyncio
import math
import platform
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, Error, Locator, Page, Playwright, async_playwright
from playwright.async_api import TimeoutError as Late

from step_ops.drivers.camera import GRACE, Camera
from step_ops.drivers.find_browser import need_browser
from step_ops.drivers.page_action import PageAction, parse_action
from step_ops.drivers.page_answers import page_of
from step_ops.drivers.page_capture import PageRecorder
from step_ops.drivers.page_errors import first_line, unexpected, unopened
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
# Not even dots, nor a box that grows: they would tell how long the secret is, and differ in a replay.
_HIDE_TEXT = """element => {
    const now = getComputedStyle(element);
    const fixed = {
        '-webkit-text-security': 'disc', '-webkit-text-fill-color': 'transparent', 'text-shadow': 'none',
        'min-width': now.width, 'max-width': now.width, 'min-height': now.height, 'max-height': now.height,
        'overflow': 'hidden',
    };
    for (const name in fixed) element.style.setProperty(name, fixed[name], 'important');
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
    resources = capture.resources if capture is not None else None
    if document is not None:
        resources = (page_of(document, reveal(request.url)),)
    network = PageNetwork(resources)
    network.check_address(request.url)
    with TemporaryDirectory(prefix="rb-page-", ignore_cleanup_errors=True) as folder:
        sitting = _Sitting(
            request=request,
            actions=[parse_action(number, action) for number, action in enumerate(request.actions, 1)],
            accept=accept,
            network=network,
            now=now,
            since=capture.opened_at if capture is not None else None,
            recorder=PageRecorder(Path(folder)) if keep else None,
        )
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
                    await self.recorder.begin(page)
                self.deadline = asyncio.get_running_loop().time() + self.request.timeout
                async with asyncio.timeout(self.request.timeout + GRACE):
                    shot = await self.sit(page, self.fingerprint(browser))
                if self.recorder is not None:
                    shot = replace(shot, capture=await self.recorder.finish(page.context))
                return shot
            except TimeoutError:
                raise self.late(f"{plain(self.request.url)} stopped responding") from None
            except Error as error:
                # The chain is cut: Playwright's own text may quote what was typed into the page.
                raise unexpected(error) from None
            finally:
                await browser.close()

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
                f"the browser {executable} did not start: {first_line(error)}",
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
        await self.network.attach(browser)
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
                    f"the selector {selector!r} cannot be read: {first_line(error)}",
                    hint="write it as CSS, such as '#entity-list' or 'table.results'",
                ) from None

    async def open(self, page: Page) -> None:
        place = plain(self.request.url)
        try:
            response = await page.goto(reveal(self.request.url), timeout=self.left())
        except Late:
            raise self.late(f"{place} did not finish loading") from None
        except Error as error:
            raise unopened(error, place) from None
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
            hint = f"the network is closed: {self.network.refused[0]} is not recorded, and was refused"
        return StepError(
            type,
            f"{what} within {self.request.timeout:g} s" + (f": {why}" if why else ""),
            hint=hint,
            details={"refused": self.network.refused[:20]} if self.network.refused else None,
        )
