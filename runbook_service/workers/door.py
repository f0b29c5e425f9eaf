"""The door where slots ask for pictures, and the studio behind it."""

import asyncio
import logging
import os
import socket
import sys
from contextlib import suppress

from runbook_factory.project import VARIABLE, Project

CLOSE_SECONDS = 5.0  # that a studio gets to close its browser
RETRY_SECONDS = 2.0

_log = logging.getLogger("runbook.worker")


class Door:
    """A pair of sockets: `outside` is for all slots, the other for a studio, while pictures are wanted.

    Whoever knocks waits at the door until there is a studio, also while one ends and before another starts.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self.outside, self._inside = socket.socketpair()
        for end in (self.outside, self._inside):
            end.setblocking(False)

    async def attend(self) -> None:
        """Starts a studio whenever somebody knocks and there is none; cancelled, ends it."""
        while True:
            await self._knock()
            status = await self._have_studio()
            if status != 0:
                _log.warning("the process that takes pictures ended (%s); the next starts another", status)
                await asyncio.sleep(RETRY_SECONDS)

    async def _knock(self) -> None:
        loop, knocked = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._inside, knocked.set)
        try:
            await knocked.wait()
        finally:
            loop.remove_reader(self._inside)

    async def _have_studio(self) -> int:
        """The exit code of a studio."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runbook_service.workers.studio"),
            *(str(self._inside.fileno()), str(os.getpid())),
            cwd=self._project.root,
            env={**os.environ, VARIABLE: str(self._project.root)},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[self._inside.fileno()],
            start_new_session=True,  # Ctrl-C is for the worker, which lets its runs end
        )
        try:
            return await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), CLOSE_SECONDS)
            raise
        finally:
            if process.returncode is None:
                process.kill()

    def close(self) -> None:
        """Nobody can knock any more."""
        self.outside.close()
        self._inside.close()
