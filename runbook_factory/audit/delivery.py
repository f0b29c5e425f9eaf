"""The way to the audit service: every entry, in order, at least once, however long the service is away."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from runbook_factory import schema
from runbook_factory.audit.chain import StoredEntry
from runbook_factory.audit.listening import Bell
from runbook_factory.audit.log import read_entries
from runbook_factory.audit.sink import Sink
from runbook_factory.database import DatabaseError, reachable
from runbook_factory.retries import PASSING, PASSING_STATUSES
from step_ops.errors import StepError

ATTEMPTS = 6  # for one entry, unless it follows for ever
MOST_BACKOFF_SECONDS = 60.0
LOOK_ANYWAY_SECONDS = 60.0  # a connection that was lost without a word rings no more
_LOCK = 7_305_004  # two that deliver at once would mix up the order

_DELIVERED = text(
    """
    SELECT d.seq, d.hash = l.hash AS same FROM runbook.audit_delivery d
    LEFT JOIN runbook.audit_log l ON l.seq = d.seq WHERE d.sink = :sink
    """
)
_NOTE = text(
    """
    INSERT INTO runbook.audit_delivery (sink, seq, hash, at) VALUES (:sink, :seq, :hash, clock_timestamp())
    ON CONFLICT (sink) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at
    """
)

log = logging.getLogger("runbook.audit")


class DeliveryError(Exception):
    """Entries that were not delivered; they are kept and delivered another time."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """The audit service has the entry of this number, and all before it."""

    seq: int


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Something is in the way; it is tried again after so many seconds."""

    reason: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Delivers the log of a database to a sink, from where the last delivery ended."""

    engine: Engine
    sink: Sink
    first_backoff_seconds: float = 0.5
    stopped: Event = field(default_factory=Event)

    def deliver(self) -> Iterator[Delivered | Waiting]:
        """Delivers what is due, and ends; raises `DeliveryError` or `DatabaseError`."""
        failures = 0
        with reachable(), self._alone():
            while True:
                try:
                    for delivered in self._due():
                        failures = 0
                        yield delivered
                    return
                except StepError as error:
                    failures += 1
                    if failures == ATTEMPTS or self.stopped.is_set() or not _may_pass(error):
                        raise DeliveryError(error.message, hint=error.hint) from None
                    yield from self._pause(error, failures)

    def follow(self) -> Iterator[Delivered | Waiting]:
        """Delivers what is due and what comes, whatever is in the way, until `stopped` is set."""
        failures = 0
        while not self.stopped.is_set():
            try:
                with reachable(), self._alone(), Bell(self.engine) as bell:
                    while not self.stopped.is_set():
                        for delivered in self._due():
                            failures = 0
                            yield delivered
                        bell.wait(self.stopped, seconds=LOOK_ANYWAY_SECONDS)
            except (StepError, DeliveryError, DatabaseError, DBAPIError) as error:
                if not self.stopped.is_set():
                    failures += 1
                    yield from self._pause(error, failures)

    def _due(self) -> Iterator[Delivered]:
        sink = self.sink.name
        for entry in read_entries(self.engine, after=self._delivered(sink)):
            if self.stopped.is_set():
                return
            self.sink.post(entry, cancelled=self.stopped)
            self._note(sink, entry)
            yield Delivered(seq=entry.seq)

    def _delivered(self, sink: str) -> int:
        """The number of the last entry that the sink has; raises `DeliveryError` when the log lost it."""
        with self.engine.connect() as connection:
            row = connection.execute(_DELIVERED, {"sink": sink}).first()
        if row is None:
            return 0
        if not row.same:
            raise DeliveryError(
                f"entry {row.seq}, which the audit service has, is not in the log as it was delivered",
                hint="`rb audit verify` says what is wrong with the log; docs/audit.md says what to do",
            )
        seq: int = row.seq
        return seq

    def _note(self, sink: str, entry: StoredEntry) -> None:
        with self.engine.connect() as connection:
            connection.execute(_NOTE, {"sink": sink, "seq": entry.seq, "hash": entry.hash})

    def _pause(self, error: Exception, failures: int) -> Iterator[Waiting]:
        """Tells what is in the way, then waits: longer each time, and as long as the service asks for."""
        seconds = min(self.first_backoff_seconds * 2.0 ** min(failures - 1, 20), MOST_BACKOFF_SECONDS)
        if isinstance(error, StepError):
            seconds = max(seconds, error.retry_after or 0.0)
        reason = str(error.orig if isinstance(error, DBAPIError) else error)
        yield Waiting(reason=reason.strip().partition("\n")[0], seconds=seconds)
        self.stopped.wait(seconds)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Held while this process delivers; raises `DeliveryError` when another one does."""
        schema.ensure(self.engine)
        with self.engine.connect() as connection:
            connection.detach()  # it is closed at the end, and the lock cannot outlive it
            if not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}):
                raise DeliveryError("another process delivers the audit log", hint="only one at a time does")
            try:
                yield
            finally:
                with suppress(DBAPIError):  # closing alone gives it back too, but not at once
                    connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})


def _may_pass(error: StepError) -> bool:
    """Whether it may well go better a moment later."""
    status = error.details.get("status")
    if status is not None:
        return status >= 500 or status in PASSING_STATUSES
    return error.type in PASSING


class DeliveryThread(Thread):
    """Follows in the background; what is in the way, and that it is gone, goes to the log `runbook.audit`.

    `waiting` says what is in the way now; empty while all goes well.
    """

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(name="audit-delivery", daemon=True)
        self.delivery = delivery
        self.waiting = ""

    def run(self) -> None:
        """Delivers until `stop` is called."""
        for event in self.delivery.follow():
            reason = event.reason if isinstance(event, Waiting) else ""
            if reason and reason != self.waiting:
                log.warning("the audit log is not delivered: %s", reason)
            elif self.waiting and not reason:
                log.info("the audit log is delivered again")
            self.waiting = reason

    def stop(self) -> None:
        """Ends it; what is not delivered is delivered next time."""
        self.delivery.stopped.set()
        self.join(timeout=5)
