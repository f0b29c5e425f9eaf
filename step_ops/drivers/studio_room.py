"""The browsing context of one picture, in a browser that goes on."""

import asyncio
from typing import Any

from playwright.async_api import Browser, BrowserContext, Error

PATIENCE = 5.0  # seconds that the browser gets to close something


class Room:
    """The browsing context of one picture."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._making: asyncio.Future[BrowserContext] | None = None

    async def make(self, **options: Any) -> BrowserContext:
        """As `Browser.new_context`."""
        # Not to be cancelled: a context that is being made would be nobody's.
        self._making = asyncio.ensure_future(self._browser.new_context(**options))
        return await asyncio.shield(self._making)

    async def clear(self) -> bool:
        """Closes it; whether it is gone."""
        if self._making is None:
            return True
        try:
            async with asyncio.timeout(PATIENCE):
                context = await self._making
                await context.close()
        except (Error, TimeoutError):
            return False
        return context not in self._browser.contexts
