"""What happens to executions, as it happens: one connection listens, everybody who waits is told."""

import asyncio
import select
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import Engine

from runbook_factory.recorder import ENDS
from runbook_factory.step_rows import STEPS

RETRY_SECONDS = 1.0
ANYWAY_SECONDS = 5.0  # how often somebody who waits looks without being told: a notice may be lost
REMEMBERED = 1_000  # ends that were told before anybody waited for them


class Progress:
    """Listens in a thread of its own, and again when the database was away."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event, bool]]] = {}
        self._ended: deque[str] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()  # of the two
        self._bell, self._cord = socket.socketpair()  # wakes the thread that listens
        self._cord.setblocking(False)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="progress", daemon=True)

    def start(self) -> None:
        """Begins to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()
        self._ring()
        self._thread.join(timeout=5)

    async def changes(
        self, execution_id: str, *, ends: bool = False, is_new: bool = False
    ) -> AsyncIterator[None]:
        """A sign at once, and then whenever something may have happened to the execution; with `ends`,
        when it may have ended. Of one that `is_new`, only when something has.
        """
        with self._told(execution_id, ends) as event:
            with self._lock:
                looks = not is_new or execution_id in self._ended
            if looks:
                yield
            while True:
                try:
                    async with asyncio.timeout(ANYWAY_SECONDS):
                        await event.wait()
                except TimeoutError:
                    pass
                event.clear()
                yield

    @contextmanager
    def _told(self, execution_id: str, ends: bool) -> Iterator[asyncio.Event]:
        waiter = (asyncio.get_running_loop(), asyncio.Event(), ends)
        with self._lock:
            self._waiting.setdefault(execution_id, set()).add(waiter)
        if not ends:
            self._ring()
        try:
            yield waiter[1]
        finally:
            with self._lock:
                self._waiting[execution_id].discard(waiter)
                if not self._waiting[execution_id]:
                    del self._waiting[execution_id]

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                self._hear()
            except psycopg2.Error:
                self._stopped.wait(RETRY_SECONDS)

    def _hear(self) -> None:
        raw: Any = self._engine.raw_connection()
        connection = raw.driver_connection
        try:
            connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
            cursor = connection.cursor()
            cursor.execute(f"LISTEN {ENDS}")
            hears_steps = False
            while not self._stopped.is_set():
                if self._follows_steps() != hears_steps:
                    # Of steps there are many: they are listened to while somebody follows some.
                    cursor.execute(f"{'UNLISTEN' if hears_steps else 'LISTEN'} {STEPS}")
                    hears_steps = not hears_steps
                ready = select.select([connection, self._bell], [], [])[0]
                if self._bell in ready:
                    self._bell.recv(512)
                connection.poll()
                for notice in connection.notifies:
                    self._tell(notice.payload, ended=notice.channel == ENDS)
                connection.notifies.clear()
        finally:
            raw.invalidate()

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # rung often enough, while the database was away
            self._cord.send(b"!")

    def _follows_steps(self) -> bool:
        with self._lock:
            return any(not ends for waiters in self._waiting.values() for _, _, ends in waiters)

    def _tell(self, execution_id: str, *, ended: bool) -> None:
        with self._lock:
            if ended:
                self._ended.append(execution_id)
            waiters = list(self._waiting.get(execution_id, ()))
        for loop, event, ends in waiters:
            if ended or not ends:
                loop.call_soon_threadsafe(event.set)
