"""The log itself: entries are appended and read, never changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, text

from runbook_defs.execution import Actor
from runbook_factory import schema
from runbook_factory.audit.chain import Head, StoredEntry, canonical
from runbook_factory.database import execute, send
from step_ops.redaction import Redactor

AUDITED_MODES = ("live", "replay")  # tests and backtests touch nothing
MOST_CHARACTERS = 500  # of a name or subject: what a stranger sends must not fill the disk
_PAGE = 5_000
_LOWEST = -(2**63)  # a number below 1 is never given, and must be seen

# Of no deployment: it knows no secret, but the shapes of well-known tokens.
_SHAPES = Redactor(b"")


class Action(StrEnum):
    """What is recorded."""

    EXECUTION_STARTED = "execution_started"
    EXECUTION_FINISHED = "execution_finished"
    TOKEN_CREATED = "token_created"  # noqa: S105 - a name, not a value
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a name, not a value
    SIGNED_IN = "signed_in"
    BASELINE_APPROVED = "baseline_approved"
    REQUEST_REFUSED = "request_refused"


class Outcome(StrEnum):
    """How it ended, or was decided."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is to be recorded. `actor` is None where nobody is known; `details` must hold no secret."""

    action: Action
    subject: str
    outcome: Outcome
    actor: Actor | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


# What an entry is made of; its number, time and hash are the database's.
_GIVEN = {
    "actor_id": "UUID",
    "actor_name": "TEXT",
    "actor_kind": "TEXT",
    "action": "TEXT",
    "subject": "TEXT",
    "outcome": "TEXT",
    "details": "BYTEA",
}


def appending(source: str) -> str:
    """The part of a statement that appends an entry for each row of `source`, another part of it.

    Its values are those of `values_of`. Take no lock after it: all others who append wait for the end of
    the transaction.
    """
    values = ", ".join(f"CAST(:audit_{name} AS {kind})" for name, kind in _GIVEN.items())
    return f"""
        INSERT INTO runbook.audit_log ({", ".join(_GIVEN)})
        SELECT {values} FROM {source} WHERE CAST(:audit_action AS TEXT) IS NOT NULL
    """  # noqa: S608 - of pieces that stand in the code


_APPEND = text(f"{appending('(SELECT) AS once')} RETURNING seq")

_COLUMNS = """
    seq, CASE WHEN isfinite(at) THEN (extract(epoch FROM at) * 1000000)::BIGINT ELSE 0 END AS micros,
    actor_id::TEXT, actor_name, actor_kind, action, subject, outcome, details, previous, hash
    FROM runbook.audit_log
"""
_READ = text(f"SELECT {_COLUMNS} WHERE seq > :after ORDER BY seq LIMIT :page")
_READ_SINCE = text(f"SELECT {_COLUMNS} WHERE seq > :after AND at >= :since ORDER BY seq LIMIT :page")
_READ_ACTION = text(f"SELECT {_COLUMNS} WHERE action = :action ORDER BY seq")
_LAST = text(f"SELECT {_COLUMNS} ORDER BY seq DESC LIMIT :count")
_COUNT = text("SELECT count(*) FROM runbook.audit_log WHERE seq <= :seq")


def append(engine: Engine, entry: Entry) -> int:
    """Writes the entry, committed before this returns; gives its number.

    Raises when it cannot be written: what it records must then not happen.
    """
    schema.ensure(engine)
    ((seq,),) = execute(engine, _APPEND, values_of(entry))
    return int(seq)


def append_within(connection: Connection, entry: Entry) -> int:
    """Writes the entry as a part of the connection's transaction; gives its number.

    All others who append wait until that ends: take no lock after this.
    """
    seq: int = send(connection, _APPEND, values_of(entry)).scalar_one()
    return seq


def values_of(entry: Entry | None) -> dict[str, Any]:
    """The values of a statement with a part that is `appending`; without an entry it appends nothing."""
    if entry is None:
        return dict.fromkeys(f"audit_{name}" for name in _GIVEN)
    actor = entry.actor
    return {
        "audit_actor_id": actor.id if actor else None,
        "audit_actor_name": _text(actor.name) if actor else "",
        "audit_actor_kind": actor.kind if actor else "",
        "audit_action": entry.action.value,
        "audit_subject": _text(entry.subject),
        "audit_outcome": entry.outcome.value,
        "audit_details": canonical(_SHAPES.data(entry.details)),
    }


def _text(value: str) -> str:
    """Text that the database takes: no NUL, no half of a surrogate pair, not endless."""
    clean = value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    return _SHAPES.text(clean)[:MOST_CHARACTERS]


def read_entries(
    engine: Engine, *, after: int = _LOWEST, since: datetime | None = None
) -> Iterator[StoredEntry]:
    """The entries with a higher number than `after`, written at `since` or later, in their order.

    Page by page, so that a log of any length fits; those that come meanwhile are among them.
    """
    schema.ensure(engine)
    statement = _READ if since is None else _READ_SINCE
    while True:
        with engine.connect() as connection:
            rows = connection.execute(statement, {"after": after, "since": since, "page": _PAGE}).all()
        for row in rows:
            yield _stored(row)
        if len(rows) < _PAGE:
            return
        after = rows[-1][0]


def entries_of(engine: Engine, action: Action) -> list[StoredEntry]:
    """Every entry of one action, in their order: for actions that people take by hand."""
    schema.ensure(engine)
    with engine.connect() as connection:
        rows = connection.execute(_READ_ACTION, {"action": action.value}).all()
    return [_stored(row) for row in rows]


def last_entries(engine: Engine, count: int) -> list[StoredEntry]:
    """The newest `count` entries, the newest last."""
    schema.ensure(engine)
    with engine.connect() as connection:
        rows = connection.execute(_LAST, {"count": count}).all()
    return [_stored(row) for row in reversed(rows)]


def head_of(engine: Engine) -> Head:
    """The end of the log, as it is now."""
    found = last_entries(engine, 1)
    if not found:
        return Head()
    (last,) = found
    with engine.connect() as connection:
        count: int = connection.execute(_COUNT, {"seq": last.seq}).scalar_one()
    return Head(seq=last.seq, hash=last.hash, count=count, at=last.at)


def _stored(row: Sequence[Any]) -> StoredEntry:
    seq, micros, actor_id, name, kind, action, subject, outcome, details, previous, digest = row
    return StoredEntry(
        seq=seq,
        micros=micros,
        actor_id=actor_id,
        actor_name=name,
        actor_kind=kind,
        action=action,
        subject=subject,
        outcome=outcome,
        details=bytes(details),
        previous=bytes(previous),
        hash=bytes(digest),
    )
