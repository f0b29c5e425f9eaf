"""The studio: takes the pictures that other processes want, by one browser, in a context for each."""

import asyncio
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, Error, Playwright, async_playwright

from step_ops.drivers.browser import launch
from step_ops.drivers.find_browser import need_browser
from step_ops.drivers.page_action import parse_actions
from step_ops.drivers.page_capture import PageRecorder
from step_ops.drivers.page_errors import crashed
from step_ops.drivers.page_network import PageNetwork
from step_ops.drivers.sitting import Sitting
from step_ops.drivers.studio_room import PATIENCE, Room
from step_ops.drivers.studio_visitor import Left, Visitor
from step_ops.drivers.studio_words import Said
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageRequest, PageShot

IDLE_SECONDS = 60.0  # without a picture, after which the browser is closed
PICTURES = 500  # by one browser, which grows with them
_OVERDUE = 60.0  # seconds beyond the timeout of a picture, after which the browser is taken to hang

_log = logging.getLogger("runbook.worker")


class _NoBrowser(Exception):
    """The browser is gone, and the page has not been opened."""


class Studio:
    """One browser, until nobody has wanted a picture for so long, or it is worn, or it is gone."""

    def __init__(
        self, *, idle_seconds: float = IDLE_SECONDS, at_once: int | None = None, pictures: int = PICTURES
    ) -> None:
        """Takes so many pictures at once, by default as many as there are processors."""
        self._idle_seconds = idle_seconds
        self._over = asyncio.Event()
        self._line = asyncio.Semaphore(at_once or len(os.sched_getaffinity(0)))
        self._visits: set[asyncio.Task[None]] = set()
        self._pictures_left = pictures
        self._resting: asyncio.TimerHandle | None = None
        self._browser: asyncio.Task[Browser]

    async def work(self, door: socket.socket) -> None:
        """Takes the pictures that are asked for at `door`, until it is over: who asks then, waits there."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_unheard)
        door.setblocking(False)
        async with async_playwright() as playwright:
            self._browser = asyncio.create_task(self._open(playwright))
            self._rest()
            loop.add_reader(door, self._let_in, door)
            try:
                await self._over.wait()
            finally:
                loop.remove_reader(door)
                await self._close()

    def end(self) -> None:
        """Gives up what is under way, and then `work` ends."""
        self._over.set()
        for visit in self._visits:
            visit.cancel()

    async def _open(self, playwright: Playwright) -> Browser:
        try:
            browser = await launch(playwright, need_browser(), PageNetwork(None).flag)
        except BaseException:
            self._over.set()
            raise
        browser.on("disconnected", lambda _: self._over.set())
        return browser

    async def _close(self) -> None:
        """Once all that were let in have their picture."""
        await asyncio.gather(*self._visits, return_exceptions=True)
        with suppress(Exception):  # it did not start, it hangs, or it is gone
            async with asyncio.timeout(PATIENCE):
                await (await self._browser).close()

    def _let_in(self, door: socket.socket) -> None:
        with suppress(BlockingIOError):
            word, sockets, _, _ = socket.recv_fds(door, 1, 1)
            if not word:  # all have gone who could ask
                self._over.set()
            for fd in sockets:
                visit = asyncio.create_task(self._serve(socket.socket(fileno=fd)))
                self._visits.add(visit)
                visit.add_done_callback(self._left)
                if self._resting is not None:
                    self._resting.cancel()

    def _left(self, visit: "asyncio.Task[None]") -> None:
        self._visits.discard(visit)
        if not self._visits:
            self._rest()

    def _rest(self) -> None:
        self._resting = asyncio.get_running_loop().call_later(self._idle_seconds, self._over.set)

    async def _serve(self, connection: socket.socket) -> None:
        visitor = Visitor(*await asyncio.open_connection(sock=connection))
        try:
            await visitor.say(Said.HEARD)
            request: PageRequest = await visitor.hear()
            answering = asyncio.create_task(self._answer(request, visitor))
            leaving = asyncio.create_task(visitor.listen())
            try:
                await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    await visitor.say(*answering.result())
            finally:
                answering.cancel()
                leaving.cancel()
                await asyncio.gather(answering, leaving, return_exceptions=True)
        except (Left, _NoBrowser):  # it is to ask elsewhere, or has left
            pass
        finally:
            visitor.close()

    async def _answer(self, request: PageRequest, visitor: Visitor) -> tuple[Said, Any]:
        try:
            return Said.SHOT, await self._photograph(request, visitor)
        except StepError as error:
            return Said.FAILED, error
        except (Left, _NoBrowser):
            raise
        except Exception as error:  # of whose text nobody knows what it quotes
            return Said.FAILED, StepError(
                ErrorType.INTERNAL, f"no picture, for a fault of this program: {type(error).__name__}"
            )

    async def _photograph(self, request: PageRequest, visitor: Visitor) -> PageShot:
        network = PageNetwork(None)
        await asyncio.to_thread(network.check_address, request.url)  # it asks for the host's addresses
        actions = parse_actions(request)
        async with self._line:
            browser = await asyncio.shield(self._browser)
            if not browser.is_connected():
                raise _NoBrowser
            await visitor.say(Said.BEGUN)
            self._pictures_left -= 1
            if self._pictures_left <= 0:
                self._over.set()
            with TemporaryDirectory(prefix="rb-page-", ignore_cleanup_errors=True) as folder:
                sitting = Sitting(
                    request=request,
                    actions=actions,
                    accept=visitor.accept,
                    network=network,
                    recorder=PageRecorder(Path(folder)),
                )
                return await self._sit(browser, sitting)

    async def _sit(self, browser: Browser, sitting: Sitting) -> PageShot:
        room = Room(browser)
        try:
            async with asyncio.timeout(sitting.request.timeout + _OVERDUE):
                return await sitting.photograph(browser, room.make)
        except TimeoutError:
            self._over.set()
            raise crashed() from None
        except StepError:
            if not await _answers(browser):
                self._over.set()
            raise
        finally:
            if not await room.clear():
                self._over.set()  # with the browser goes what it could not close


async def _answers(browser: Browser) -> bool:
    """Whether the browser still does what it is told: its driver may be gone without a word."""
    try:
        async with asyncio.timeout(PATIENCE):
            await (await browser.new_browser_cdp_session()).detach()
    except (Error, TimeoutError):
        return False
    return True


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of what nobody waits for any more: not what it says, which may quote what was typed into a page."""
    fault = context.get("exception")
    if not isinstance(fault, Error):
        _log.warning("a fault of this program: %s", type(fault).__name__)
