"""A worker's own processes, as it speaks to them: the template, and the slots that are forked from it."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from runbook_factory.project import VARIABLE, Project
from runbook_service.workers.template import READY

START_SECONDS = 60.0  # until a process that was started, or given a run, says something
CANCEL_SECONDS = 15.0  # a run that has not ended so long after it was told to is killed


class SlotLost(Exception):
    """The slot ended before the run did."""


class TemplateLost(Exception):
    """There is no template to fork from: it could not load, or was killed."""

    def __init__(self) -> None:
        self.message = "the process that loads the runbooks ended"
        self.hint = "what it said stands above; rb validate names what is wrong with a runbook"
        super().__init__(self.message)


@dataclass(eq=False)
class Slot:
    """A process that executes runs."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    template: "Template"
    runs: int = 0
    bytes: int = 0

    async def do(self, what: dict[str, Any], *, stop: asyncio.Event) -> dict[str, Any]:
        """Its answer; when `stop` is set, it is told to stop. Raises `SlotLost` when it ends first."""
        try:
            self.writer.write(json.dumps(what).encode() + b"\n")
            await self.writer.drain()
        except OSError:
            raise SlotLost from None
        await self._in_time(asyncio.ensure_future(self.hear()), START_SECONDS)  # now it hears signals
        answering = asyncio.ensure_future(self.hear())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([answering, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if answering.done():
            return await answering
        self.signal(signal.SIGINT)
        return await self._in_time(answering, CANCEL_SECONDS)

    async def _in_time(self, answering: "asyncio.Future[dict[str, Any]]", seconds: float) -> dict[str, Any]:
        """What it says; it is killed when it does not, and `SlotLost` raised."""
        await asyncio.wait([answering], timeout=seconds)
        if not answering.done():
            self.signal(signal.SIGKILL)
        return await answering

    async def hear(self) -> dict[str, Any]:
        """What it says next; raises `SlotLost`."""
        try:
            line = await self.reader.readline()
        except OSError:
            line = b""
        if not line:
            raise SlotLost
        answer: dict[str, Any] = json.loads(line)
        return answer

    def signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if not self.reader.at_eof():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def close(self) -> None:
        """Lets it end."""
        self.writer.close()


@dataclass(eq=False)
class Template:
    """The process that slots are forked from."""

    process: "subprocess.Popen[bytes]"
    control: socket.socket
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def start(cls, project: Project, *, door: socket.socket | None = None) -> "Template":
        """One that has loaded everything; its slots ask for pictures at `door`. Raises `TemplateLost`."""
        ours, theirs = socket.socketpair()
        handed = [theirs.fileno(), *([door.fileno()] if door is not None else [])]
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [
                    *(sys.executable, "-m", "runbook_service.workers.template"),
                    *(str(theirs.fileno()), str(os.getpid())),
                    str(door.fileno() if door is not None else -1),
                ],
                cwd=project.root,
                env={**os.environ, VARIABLE: str(project.root)},
                stdin=subprocess.DEVNULL,
                pass_fds=handed,
                start_new_session=True,  # Ctrl-C is for the worker, which lets its runs end
            )
        ours.setblocking(False)
        template = cls(process, ours)
        try:
            await template._hear()
        except asyncio.CancelledError:  # the worker stops
            template.close()
            raise
        return template

    async def fork(self) -> Slot:
        """A new slot, ready for its first run; raises `TemplateLost` or `SlotLost`."""
        ours, theirs = socket.socketpair()
        async with self.lock:
            with theirs:
                try:
                    socket.send_fds(self.control, [b"f"], [theirs.fileno()])
                except OSError:
                    ours.close()
                    raise TemplateLost from None
            (pid,) = struct.unpack("i", await self._hear())
        reader, writer = await asyncio.open_connection(sock=ours)
        slot = Slot(pid, reader, writer, self)
        try:
            await slot.hear()
        except SlotLost:
            slot.close()
            raise
        return slot

    async def _hear(self) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            answer = await asyncio.wait_for(loop.sock_recv(self.control, len(READY)), START_SECONDS)
        except (OSError, TimeoutError):
            answer = b""
        if len(answer) != len(READY):
            self.close()
            raise TemplateLost
        return answer

    def close(self) -> None:
        """Ends it; its slots end with it."""
        self.control.close()
        self.process.kill()
        self.process.wait()
