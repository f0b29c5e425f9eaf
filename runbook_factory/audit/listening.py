"""Hearing of new entries at once, whichever process wrote them."""

import select
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
from sqlalchemy import Engine, text

from runbook_factory import schema
from runbook_factory.audit.chain import StoredEntry
from runbook_factory.audit.log import read_entries
from runbook_factory.database import DatabaseError, reachable

CHANNEL = "runbook_audit"
_LOOK_SECONDS = 0.5  # how soon a wish to stop is seen; the database is not asked


class Bell:
    """A connection that listens, and rings when something was appended."""

    def __init__(self, engine: Engine) -> None:
        schema.ensure(engine)
        with reachable():
            self._connection = engine.connect()
            self._connection.detach()  # it stays a listener: no other use of the pool may get it
            self._connection.execute(text(f"LISTEN {CHANNEL}"))
        self._raw: Any = self._connection.connection.dbapi_connection

    def __enter__(self) -> "Bell":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def wait(self, stopped: threading.Event | None = None, *, seconds: float = threading.TIMEOUT_MAX) -> None:
        """Returns when it rang since the last time, after `seconds`, or when `stopped` is set.

        Raises `DatabaseError` when the connection is lost.
        """
        until = time.monotonic() + seconds
        try:
            self._raw.poll()
            while not self._raw.notifies and not (stopped and stopped.is_set()) and time.monotonic() < until:
                if select.select([self._raw], [], [], _LOOK_SECONDS)[0]:
                    self._raw.poll()
            self._raw.notifies.clear()
        except psycopg2.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise DatabaseError(f"the database went away: {reason}") from None


def follow(engine: Engine, *, after: int, stopped: threading.Event | None = None) -> Iterator[StoredEntry]:
    """The entries with a higher number than `after`, those to come too, until `stopped` is set."""
    with Bell(engine) as bell:
        while not (stopped and stopped.is_set()):
            for entry in read_entries(engine, after=after):
                yield entry
                after = entry.seq
            bell.wait(stopped)
