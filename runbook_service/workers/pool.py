"""The slots of a worker: forked from a template, each for one run at a time, and replaced in time."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from runbook_factory.project import VARIABLE, Project
from runbook_service.workers.template import READY

RUNS_PER_SLOT = 1000
BYTES_PER_SLOT = 256 * 1024 * 1024
START_SECONDS = 60.0
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

    async def ask(self, what: dict[str, Any]) -> dict[str, Any]:
        """Its answer; raises `SlotLost` when it ends first."""
        try:
            self.writer.write(json.dumps(what).encode() + b"\n")
            await self.writer.drain()
            return await self.hear()
        except OSError:
            raise SlotLost from None

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
    async def start(cls, project: Project) -> "Template":
        """One that has loaded everything; raises `TemplateLost`."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [
                    *(sys.executable, "-m", "runbook_service.workers.template"),
                    *(str(theirs.fileno()), str(os.getpid())),
                ],
                cwd=project.root,
                env={**os.environ, VARIABLE: str(project.root)},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        ours.setblocking(False)
        template = cls(process, ours)
        if await template._hear() != READY:
            raise TemplateLost
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
        await slot.hear()
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


class Pool:
    """So many slots, each forked when it is first needed or when the one before it has ended."""

    def __init__(self, project: Project, size: int) -> None:
        self._project = project
        self.size = size
        self._idle: deque[Slot] = deque()
        self._free = asyncio.Semaphore(size)
        self._template: Template | None = None
        self._renewing = asyncio.Lock()
        self._slots: set[Slot] = set()
        self._templates: set[Template] = set()

    async def start(self) -> None:
        """Starts the template and every slot; raises `TemplateLost`."""
        await self._renew(None)
        for _ in range(self.size):
            self._idle.append(await self._fork())

    async def run(self, what: dict[str, Any]) -> None:
        """Has a slot do it; cancelled, it tells the slot to stop, and waits until it has.

        Raises `SlotLost` when the slot ended before the run did.
        """
        async with self._free:
            slot = self._idle.pop() if self._idle else await self._fork()
            answering = asyncio.ensure_future(slot.ask(what))
            try:
                try:
                    answer = await asyncio.shield(answering)
                except asyncio.CancelledError:
                    answer = await self._stop(slot, answering)
            except SlotLost:
                self._forget(slot)
                raise
            slot.runs += 1
            slot.bytes = answer["bytes"]
            if answer["stale"] and slot.template is self._template:
                asyncio.get_running_loop().create_task(self._renew(slot.template))
            self._give_back(slot)

    async def _stop(self, slot: Slot, answering: "asyncio.Future[dict[str, Any]]") -> dict[str, Any]:
        slot.signal(signal.SIGINT)
        await asyncio.wait([answering], timeout=CANCEL_SECONDS)
        if not answering.done():
            slot.signal(signal.SIGKILL)
        return await answering

    def _give_back(self, slot: Slot) -> None:
        spent = slot.runs >= RUNS_PER_SLOT or slot.bytes > BYTES_PER_SLOT
        if spent or slot.template is not self._template:
            self._forget(slot)
        else:
            self._idle.append(slot)

    async def _fork(self) -> Slot:
        template = self._template
        try:
            if template is None:
                raise TemplateLost
            slot = await template.fork()
        except TemplateLost:
            slot = await (await self._renew(template)).fork()
        self._slots.add(slot)
        return slot

    async def _renew(self, old: Template | None) -> Template:
        """The template of now; a new one when it is still `old`."""
        async with self._renewing:
            if self._template is old or self._template is None:
                self._template = await Template.start(self._project)
                self._templates.add(self._template)
                while self._idle:
                    self._forget(self._idle.pop())
            return self._template

    def _forget(self, slot: Slot) -> None:
        slot.close()
        self._slots.discard(slot)
        template = slot.template
        if template is not self._template and all(each.template is not template for each in self._slots):
            self._templates.discard(template)
            template.close()

    def close(self) -> None:
        """Ends all of it."""
        for slot in self._slots:
            slot.close()
        for template in self._templates:
            template.close()
