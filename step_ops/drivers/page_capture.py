"""Keeps all that a page gets from the network, as the browser's own HAR."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Error, Page

from step_ops.drivers.page_network import plain
from step_ops.errors import shortened
from step_ops.exchanges import PageCapture, PageResource
from step_ops.har import HarEntry, HarError, read_log

MAX_BODY = 8 * 1024 * 1024
MAX_BODIES = 32 * 1024 * 1024
_KEEP = {
    "enableDurableMessages": True,
    "maxResourceBufferSize": 2 * MAX_BODY,
    "maxTotalBufferSize": 2 * MAX_BODIES,
}
_PATIENCE = 5.0  # seconds that the browser gets to write its record


class PageRecorder:
    """Has the browser record one browsing context, in a file of `folder`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "page.har"
        self._opened_at = datetime.now(UTC)

    @property
    def options(self) -> dict[str, Any]:
        """What the context must be made with."""
        return {
            "record_har_path": self._file,
            "record_har_content": "embed",
            "record_har_mode": "minimal",
        }

    async def begin(self, page: Page) -> None:
        """Has the browser keep bodies, also those of a page that leads on to another; `page` opens now."""
        with suppress(Error):  # an older browser forgets them
            session = await page.context.new_cdp_session(page)
            await session.send("Network.enable", _KEEP)
        self._opened_at = datetime.now(UTC)

    async def finish(self, context: BrowserContext) -> PageCapture:
        """Closes the context; gives what its pages got, or why that is not whole."""
        resources: tuple[PageResource, ...] = ()
        try:
            async with asyncio.timeout(_PATIENCE):
                await context.close()
            entries = read_log(self._file.read_bytes()).entries
            resources, missing = _kept(entries)
        except (TimeoutError, Error, HarError, OSError, ValueError):
            missing = "the browser gave no record of it"  # the picture is there all the same
        return PageCapture(opened_at=self._opened_at, resources=() if missing else resources, missing=missing)


def _kept(entries: list[HarEntry]) -> tuple[tuple[PageResource, ...], str]:
    """The answers, and what keeps a page from being drawn again from them."""
    kept, total = [], 0
    for entry in entries:
        resource = entry.resource()
        if resource is None:
            missing = _gap(entry)
        else:
            kept.append(resource)
            total += len(resource.body)
            missing = _too_much(len(resource.body), total, entry)
        if missing:
            return (), missing
    return tuple(kept), ""


def _gap(entry: HarEntry) -> str:
    """What is missing of an exchange without an answer to keep; nothing is of one that failed again."""
    place = shortened(plain(entry.request.url), 200)
    in_parts = entry.kind in {"document", "media"} and entry.response.status > 0
    if entry.kind == "ping" or (entry.failure and not in_parts):
        return ""
    if entry.kind == "websocket":
        return f"the page opened a websocket, {place}"
    if entry.response.status <= 0:
        return f"{place} had not answered when the picture was taken"
    if (entry.timings.receive or 0) < 0:
        return f"the answer of {place} was not read to its end"
    return _too_much(entry.length, entry.length, entry) or f"the answer of {place} could not be kept"


def _too_much(size: int, total: int, entry: HarEntry) -> str:
    if size > MAX_BODY:
        place = shortened(plain(entry.request.url), 200)
        return f"the answer of {place} has more than {MAX_BODY // 1024**2} MiB"
    return f"the page got more than {MAX_BODIES // 1024**2} MiB" if total > MAX_BODIES else ""
