"""The picture of one element of an open page, taken once it holds still."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from playwright.async_api import Error, Locator

from step_ops import pixels
from step_ops.errors import ErrorType, StepError, shortened
from step_ops.exchanges import Box, PageRequest, PageShot

GRACE = 5.0  # seconds that a shot already under way gets after the timeout

Accept = Callable[[PageShot], Awaitable[bool]]
"""Says whether a first picture is taken as it is."""

_RECTANGLES = """all => all.map(e => e.getBoundingClientRect())
    .map(area => [area.left, area.top, area.right, area.bottom])"""
_NAME_AT = """(element, [x, y]) => {
    const area = element.getBoundingClientRect();
    const hit = document.elementFromPoint(Math.floor(area.left) + x, Math.floor(area.top) + y);
    return hit ? [hit.localName + (hit.id && '#' + hit.id), ...hit.classList].join('.') : '';
}"""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Points at one element; `left` gives the milliseconds to the deadline, never zero."""

    element: Locator
    request: PageRequest
    fingerprint: Mapping[str, str]
    left: Callable[[], float]

    async def take(self, accept: Accept) -> PageShot:
        """The first shot if it is accepted, else the second of two that agree outside the masks."""
        shot = await self._shoot()
        if await accept(shot):
            return shot
        wait = 0.1
        while True:
            await asyncio.sleep(wait)
            previous, shot = shot, await self._shoot()
            if pixels.identical(previous.png, shot.png, masked=(*previous.masked, *shot.masked)):
                return shot
            wait = min(wait * 2, 1.0)
            if self.left() <= wait * 1000:
                raise await self._unstable(previous, shot)

    async def _shoot(self) -> PageShot:
        png = await self.element.screenshot(
            animations="disabled", caret="hide", scale="css", timeout=self.left() + GRACE * 1000
        )
        return PageShot(png=png, masked=await self._masked(), fingerprint=self.fingerprint)

    async def _masked(self) -> tuple[Box, ...]:
        """The boxes of the masked elements, in whole pixels of the element's picture."""
        if not self.request.mask:
            return ()
        whole = await self.element.evaluate(f"element => ({_RECTANGLES})([element])[0]")
        x, y = math.floor(whole[0]), math.floor(whole[1])
        width, height = math.ceil(whole[2]) - x, math.ceil(whole[3]) - y
        boxes = []
        for selector in self.request.mask:
            for area in await self.element.page.locator(selector).evaluate_all(_RECTANGLES):
                x1, y1 = max(math.floor(area[0]) - x, 0), max(math.floor(area[1]) - y, 0)
                x2, y2 = min(math.ceil(area[2]) - x, width), min(math.ceil(area[3]) - y, height)
                if x1 < x2 and y1 < y2:
                    boxes.append(Box(x=x1, y=y1, width=x2 - x1, height=y2 - y1))
        return tuple(boxes)

    async def _unstable(self, previous: PageShot, last: PageShot) -> StepError:
        masked = (*previous.masked, *last.masked)
        difference = pixels.compare(previous.png, last.png, masked=masked, threshold=0)
        boxes = difference.boxes if difference else ()
        places = [await self._place(box) for box in boxes[:3]]
        return StepError(
            ErrorType.SCREENSHOT,
            f"{self.request.selector!r} did not hold still within {self.request.timeout:g} s: "
            f"{'; '.join(places) or 'the edges of its shapes'} kept changing",
            hint="mask what moves, or wait_for what shows that the page is done",
            details={"boxes": [[box.x, box.y, box.width, box.height] for box in boxes[:20]]},
        )

    async def _place(self, box: Box) -> str:
        """The box in words, with the name of what is in its middle."""
        name = ""
        with suppress(Error):
            name = await self.element.evaluate(_NAME_AT, [box.x + box.width // 2, box.y + box.height // 2])
        return f"{box.width}x{box.height} px at {box.x},{box.y}" + (
            f" ({shortened(name, 80)})" if name else ""
        )
