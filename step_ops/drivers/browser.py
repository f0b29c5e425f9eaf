"""Pictures of page elements by a real browser: the same page gives the same bytes.

Playwright's asynchronous half is used: a timeout, a cancellation and Ctrl-C all unwind through one
path that leaves no process behind.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, Error, Playwright, async_playwright

from step_ops.drivers.camera import Accept
from step_ops.drivers.find_browser import need_browser
from step_ops.drivers.page_action import parse_actions
from step_ops.drivers.page_answers import page_of
from step_ops.drivers.page_capture import PageRecorder
from step_ops.drivers.page_errors import first_line
from step_ops.drivers.page_network import PageNetwork
from step_ops.drivers.sitting import Sitting
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageCapture, PageRequest, PageShot
from step_ops.secrets import reveal

_FLAGS = (
    "--disable-gpu",
    "--disable-sync",
    "--font-render-hinting=none",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)


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
        sitting = Sitting(
            request=request,
            actions=parse_actions(request),
            accept=_in_loop(accept),
            network=network,
            now=now,
            since=capture.opened_at if capture is not None else None,
            recorder=PageRecorder(Path(folder)) if keep else None,
        )
        return asyncio.run(_unless(cancelled or threading.Event(), _alone(sitting, need_browser())))


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


def _in_loop(accept: Callable[[PageShot], bool]) -> Accept:
    """The same question, to be awaited."""

    async def asked(shot: PageShot) -> bool:
        return accept(shot)

    return asked


async def _alone(sitting: Sitting, executable: Path) -> PageShot:
    """The picture, by a browser that is started for it."""
    async with async_playwright() as playwright:
        browser = await launch(playwright, executable, sitting.network.flag)
        try:
            return await sitting.photograph(browser, browser.new_context)
        finally:
            await browser.close()


async def launch(playwright: Playwright, executable: Path, flag: str) -> Browser:
    """A browser with the network that `flag` says; raises `StepError` when it does not start."""
    try:
        return await playwright.chromium.launch(
            executable_path=executable,
            args=[*_FLAGS, flag],
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
