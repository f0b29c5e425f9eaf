"""The slots of a worker: forked from a template, each for one run at a time, and replaced in time."""

import asyncio
import logging
import signal
import socket
from collections import deque
from typing import Any

from runbook_factory.project import Project
from runbook_service.workers.processes import Slot, SlotLost, Template, TemplateLost

RUNS_PER_SLOT = 1000
BYTES_PER_SLOT = 256 * 1024 * 1024

_log = logging.getLogger("runbook.worker")


class NoSlot(Exception):
    """A slot cannot be started; the message says what is wrong."""

    def __init__(self) -> None:
        self.message = "a process for runs does not start: it may lack memory, or connections of the database"
        self.hint = "start with fewer --slots, or raise max_connections of PostgreSQL"
        super().__init__(self.message)


class Pool:
    """So many slots, each forked when it is first needed or when the one before it has ended.

    They ask for pictures at `door`; without one, each takes its own.
    """

    def __init__(self, project: Project, size: int, *, door: socket.socket | None = None) -> None:
        self._project = project
        self.size = size
        self._door = door
        self._idle: deque[Slot] = deque()
        self._free = asyncio.Semaphore(size)
        self._template: Template | None = None
        self._renewing = asyncio.Lock()
        self._slots: set[Slot] = set()
        self._templates: set[Template] = set()
        self._renewals: set[asyncio.Future[Template]] = set()
        self._executing: dict[str, Slot] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Starts the template and every slot; raises `TemplateLost` or `NoSlot`."""
        self._loop = asyncio.get_running_loop()
        await self._renew(None)
        for _ in range(self.size):
            self._idle.append(await self._fork())

    async def run(self, what: dict[str, Any]) -> None:
        """Has a slot do it; cancelled, it has the slot told to stop, and waits until it has.

        Raises `SlotLost` when the slot ended before the run did, and `NoSlot` or `TemplateLost` when
        there was none to do it.
        """
        stop = asyncio.Event()
        # Not to be cancelled anywhere: a slot that is being forked would be nobody's.
        doing = asyncio.ensure_future(self._do(what, stop))
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError:
            stop.set()
            await doing

    async def _do(self, what: dict[str, Any], stop: asyncio.Event) -> None:
        async with self._free:
            slot = await self._take()
            self._executing[what["run_id"]] = slot
            try:
                answer = await slot.do(what, stop=stop)
            except SlotLost:
                self._forget(slot)
                raise
            finally:
                self._executing.pop(what["run_id"], None)
            slot.runs += 1
            slot.bytes = answer["bytes"]
            if answer["stale"] and slot.template is self._template:
                self._renew_soon(slot.template)
            self._give_back(slot)

    def executing(self) -> list[str]:
        """The runs that slots have. Like `end`, for any thread."""
        return list(self._executing)

    def end(self, run_id: str) -> None:
        """Kills the slot that has the run: `run` raises `SlotLost`."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end, run_id)

    def _end(self, run_id: str) -> None:
        slot = self._executing.get(run_id)  # asked now: by now it may have another
        if slot is not None:
            slot.signal(signal.SIGKILL)

    async def _take(self) -> Slot:
        while self._idle:
            slot = self._idle.pop()
            if not slot.reader.at_eof():
                return slot
            self._forget(slot)  # it was killed while it had nothing to do
        return await self._fork()

    def _give_back(self, slot: Slot) -> None:
        spent = slot.runs >= RUNS_PER_SLOT or slot.bytes > BYTES_PER_SLOT
        if spent or slot.template is not self._template:
            self._forget(slot)
        else:
            self._idle.append(slot)

    async def _fork(self) -> Slot:
        for _ in range(2):
            template = self._template or await self._renew(None)
            try:
                slot = await template.fork()
            except TemplateLost:
                await self._renew(template)
            except SlotLost:
                if self._template is template:
                    break
                # A template that was replaced meanwhile took it along.
            else:
                self._slots.add(slot)
                return slot
        raise NoSlot

    def _renew_soon(self, old: Template) -> None:
        task = asyncio.ensure_future(self._renew(old))
        self._renewals.add(task)
        task.add_done_callback(self._renewed)

    def _renewed(self, task: "asyncio.Future[Template]") -> None:
        self._renewals.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("%s: what was loaded before is kept", task.exception())

    async def _renew(self, old: Template | None) -> Template:
        """The template of now; a new one when it is still `old`."""
        async with self._renewing:
            if self._template is old or self._template is None:
                self._template = await Template.start(self._project, door=self._door)
                self._templates.add(self._template)
                while self._idle:
                    self._forget(self._idle.pop())
                self._end_templates()
            return self._template

    def _forget(self, slot: Slot) -> None:
        slot.close()
        self._slots.discard(slot)
        self._end_templates()

    def _end_templates(self) -> None:
        """Ends those that were replaced, and have no slot any more."""
        in_use = {slot.template for slot in self._slots} | {self._template}
        for template in self._templates - in_use:
            if not template.lock.locked():
                self._templates.discard(template)
                template.close()

    def close(self) -> None:
        """Ends all of it."""
        for slot in self._slots:
            slot.close()
        for template in self._templates:
            template.close()
