"""One visit of a page, from an empty context to the picture."""

import asyncio
import math
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version

from playwright.async_api import Browser, BrowserContext, Error, Locator, Page
from playwright.async_api import TimeoutError as Late

from step_ops.drivers.camera import GRACE, Accept, Camera
from step_ops.drivers.page_action import PageAction
from step_ops.drivers.page_capture import PageRecorder
from step_ops.drivers.page_errors import first_line, unexpected, unopened
from step_ops.drivers.page_network import PageNetwork, plain
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageRequest, PageShot
from step_ops.secrets import Secret, reveal

NewContext = Callable[..., Awaitable[BrowserContext]]
"""Makes a browsing context, as `Browser.new_context` does."""

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


@dataclass(kw_only=True)
class Sitting:
    """One picture of one page, in a browser that is open."""

    request: PageRequest
    actions: list[PageAction]
    accept: Accept
    network: PageNetwork
    now: datetime | None = None
    since: datetime | None = None
    recorder: PageRecorder | None = None
    _deadline: float = math.inf

    async def photograph(self, browser: Browser, new_context: NewContext) -> PageShot:
        """A stable picture, in a context that `new_context` makes, and that whoever gave it closes.

        With a recorder, it has a capture. Raises `StepError`.
        """
        try:
            page = await self._prepare(browser, new_context)
            if self.recorder is not None:
                await self.recorder.begin(page)
            self._deadline = asyncio.get_running_loop().time() + self.request.timeout
            async with asyncio.timeout(self.request.timeout + GRACE):
                shot = await self._sit(page, self._fingerprint(browser))
            if self.recorder is not None:
                shot = replace(shot, capture=await self.recorder.finish(page.context))
            return shot
        except TimeoutError:
            raise self._late(f"{plain(self.request.url)} stopped responding") from None
        except Error as error:
            # The chain is cut: Playwright's own text may quote what was typed into the page.
            raise unexpected(error) from None

    async def _prepare(self, browser: Browser, new_context: NewContext) -> Page:
        """An empty page in an environment that is the same everywhere."""
        width, height = self.request.viewport
        context = await new_context(
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
        await self._check_selectors(page)
        return page

    async def _sit(self, page: Page, fingerprint: dict[str, str]) -> PageShot:
        await self._open(page)
        for action in self.actions:
            await self._act(page, action)
        element = await self._find(page, self.request.selector, missing=ErrorType.SCREENSHOT)
        camera = Camera(element=element, request=self.request, fingerprint=fingerprint, left=self._left)
        try:
            return await camera.take(self.accept)
        except Late:
            raise self._late(f"{self.request.selector!r} did not hold still for a picture") from None

    def _fingerprint(self, browser: Browser) -> dict[str, str]:
        width, height = self.request.viewport
        return {
            "browser": f"Chromium {browser.version}",
            "viewport": f"{width}x{height}",
            "platform": f"{platform.system()} {platform.machine()}",
            "playwright": version("playwright"),
        }

    async def _check_selectors(self, page: Page) -> None:
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

    async def _open(self, page: Page) -> None:
        place = plain(self.request.url)
        try:
            response = await page.goto(reveal(self.request.url), timeout=self._left())
        except Late:
            raise self._late(f"{place} did not finish loading") from None
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

    async def _act(self, page: Page, action: PageAction) -> None:
        if action.verb == "wait_for":
            await self._visible(page.locator(action.selector), action.selector, ErrorType.TIMEOUT)
            return
        element = await self._find(page, action.selector, missing=ErrorType.TIMEOUT)
        try:
            if action.verb == "click":
                await element.click(timeout=self._left())
                return
            if isinstance(action.value, Secret):  # in a field of any type, not to be seen
                await element.evaluate(_HIDE_TEXT)
            await element.fill(str(reveal(action.value)), timeout=self._left())
        except Late:
            raise self._late(f"{action.selector!r} could not be used to {action.verb}") from None
        except Error as error:
            if "crashed" in error.message or "closed" in error.message:
                raise
            raise StepError(
                ErrorType.SCREENSHOT,
                f"{action.selector!r} could not be used to {action.verb}",
                hint="look at what kind of element it is",
            ) from None

    async def _find(self, page: Page, selector: str, *, missing: ErrorType) -> Locator:
        """The one element that the selector names, visible."""
        element = page.locator(selector)
        await self._visible(element, selector, missing)
        count = await element.count()
        if count > 1:
            raise StepError(
                ErrorType.SCREENSHOT,
                f"{selector!r} matches {count} elements, where one is needed",
                hint="name it by id, or narrow the selector",
                details={"count": count},
            )
        return element

    async def _visible(self, element: Locator, selector: str, missing: ErrorType) -> None:
        try:
            await element.first.wait_for(state="visible", timeout=self._left())
        except Late:
            count = await element.count()
            what = f"{count} there, but not to be seen" if count else "no element matches"
            raise self._late(f"{selector!r} did not appear", what, type=missing) from None

    def _left(self) -> float:
        """Milliseconds to the deadline, never zero, which would mean no limit at all."""
        return max((self._deadline - asyncio.get_running_loop().time()) * 1000, 1.0)

    def _late(
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
