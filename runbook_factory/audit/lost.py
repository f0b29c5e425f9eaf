"""What the audit log has of executions whose process was lost: the end that it could not write."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from runbook_defs.execution import Actor, Status
from runbook_factory.audit.log import AUDITED_MODES, Action, Entry, Outcome, append_within

_ABOUT = text(
    """
    SELECT e.id, e.runbook_id, e.runbook_version, e.definition_digest, e.mode, e.parent_id,
        a.id AS actor_id, a.name AS actor_name, a.kind AS actor_kind
    FROM runbook.runbook_executions e LEFT JOIN runbook.actors a ON a.id = e.actor_id
    WHERE e.id = ANY(:ids) AND e.mode = ANY(:modes) ORDER BY e.started_at, e.id
    """
)


def note_lost(connection: Connection, ids: Sequence[Any]) -> None:
    """Records the end of these executions, as a part of the transaction that settles them."""
    for row in connection.execute(_ABOUT, {"ids": list(ids), "modes": list(AUDITED_MODES)}).all():
        append_within(connection, _entry(row))


def _entry(row: Row[Any]) -> Entry:
    details: dict[str, object] = {
        "runbook": row.runbook_id,
        "version": row.runbook_version,
        "definition": row.definition_digest,
        "mode": row.mode,
        "status": Status.FAILURE.value,
        "lost": True,
    }
    if row.parent_id is not None:
        details["replays"] = str(row.parent_id)
    known = row.actor_id is not None
    return Entry(
        action=Action.EXECUTION_FINISHED,
        subject=str(row.id),
        outcome=Outcome.FAILED,
        actor=Actor(id=str(row.actor_id), name=row.actor_name, kind=row.actor_kind) if known else None,
        details=details,
    )
