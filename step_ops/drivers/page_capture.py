"""Keeps all that a page gets from the network, as the browser's own HAR."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page, WebSocket

from step_ops.drivers.page_network import plain
from step_ops.exchanges import PageCapture, PageResource
from step_ops.har import HarError, from_har

MAX_BODY = 8 * 1024 * 1024
MAX_BODIES = 32 * 1024 * 1024


class PageRecorder:
    """Records one browsing context; `options` are for its making."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rb-page-")
        self._file = Path(self._folder.name) / "page.har"
        self._missing = ""
        self._opened_at = datetime.now(UTC)

    def discard(self) -> None:
        """Removes what it wrote."""
        self._folder.cleanup()

    @property
    def options(self) -> dict[str, Any]:
        """What the context must be made with."""
        return {
            "record_har_path": self._file,
            "record_har_content": "embed",
            "record_har_mode": "minimal",
        }

    def watch(self, page: Page) -> None:
        """Looks out for what a HAR does not hold, from the moment the page is opened."""
        self._opened_at = datetime.now(UTC)
        page.on("websocket", self._heard)

    def _heard(self, socket: WebSocket) -> None:
        self._missing = self._missing or f"the page opened a websocket, {plain(socket.url)[:200]}"

    async def finish(self, context: BrowserContext) -> PageCapture:
        """Closes the context and gives what its page got; what could not be kept is `missing`."""
        await context.close()
        try:
            capture = from_har(self._file.read_text(encoding="utf-8"))
        except (OSError, HarError) as error:
            return PageCapture(opened_at=self._opened_at, missing=f"the browser kept no record: {error}")
        missing = self._missing or _too_much(capture.resources)
        resources = () if missing else capture.resources
        return PageCapture(opened_at=self._opened_at, resources=resources, missing=missing)


def _too_much(resources: tuple[PageResource, ...]) -> str:
    for resource in resources:
        place = plain(resource.url)[:200]
        if len(resource.body) > MAX_BODY:
            return f"the answer of {place} has more than {MAX_BODY // 1024**2} MiB"
        if resource.headers.get("content-type", "").startswith("text/event-stream"):
            return f"the answer of {place} is a stream that does not end"
    if sum(len(resource.body) for resource in resources) > MAX_BODIES:
        return f"the page got more than {MAX_BODIES // 1024**2} MiB"
    return ""
