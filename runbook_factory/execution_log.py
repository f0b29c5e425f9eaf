"""Reads executions from the database."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine, Row, text

from runbook_defs.execution import (
    PROBE,
    Actor,
    AssumptionResult,
    ExecutionRecord,
    KpiResult,
    Status,
    StepRecord,
    StepStatus,
)
from runbook_factory import schema
from runbook_factory.database import execute, send
from runbook_factory.leases import settle_lost

_SHORT = re.compile(r"exec-(\d{4}-\d{2}-\d{2})-([0-9a-f]{6})")
_WHOLE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")

_COLUMNS = """
    e.id, e.runbook_id, e.runbook_version, e.started_at, e.completed_at, e.status, e.metadata, e.mode,
    e.inputs, e.kpis, e.environment, e.definition_digest, e.parent_id, e.format_version, a.id AS actor_id,
    a.name AS actor_name, a.kind AS actor_kind
    FROM runbook.runbook_executions e LEFT JOIN runbook.actors a ON a.id = e.actor_id
"""
_ONE = text(f"SELECT {_COLUMNS} WHERE e.id = :id")
_STATUS = text("SELECT status FROM runbook.runbook_executions WHERE id = CAST(:id AS UUID)")
_OF_STEP = """
    step_id, step_type, status, attempt, started_at, completed_at, started_virtual, seconds, summary,
    inputs, outputs, errors, records, pictures
"""
_FROM_STEPS = "FROM runbook.runbook_step_logs WHERE execution_id = :id ORDER BY position, attempt"
_STEPS = text(f"SELECT {_OF_STEP}, exchanges, reads {_FROM_STEPS}")
_STEPS_ALONE = text(f"SELECT {_OF_STEP}, NULL AS exchanges, NULL AS reads {_FROM_STEPS}")


class NoSuchExecution(Exception):
    """No execution has that name, or more than one has."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def list_executions(
    engine: Engine,
    *,
    runbook_id: str | None = None,
    status: Status | None = None,
    modes: Sequence[str] = ("live",),
    since: datetime | None = None,
    limit: int = 20,
    settles: bool = True,
) -> list[ExecutionRecord]:
    """The newest executions, without their steps; `since` is when the earliest may have started."""
    schema.ensure(engine)
    if settles:
        settle_lost(engine)
    conditions = ["e.mode = ANY(:modes)"]
    values: dict[str, Any] = {"modes": list(modes), "limit": limit}
    if runbook_id:
        conditions.append("e.runbook_id = :runbook")
        values["runbook"] = runbook_id
    if status:
        conditions.append("e.status = :status")
        values["status"] = status.value
    if since:
        conditions.append("e.started_at >= :since")
        values["since"] = since
    query = f"SELECT {_COLUMNS} WHERE {' AND '.join(conditions)} ORDER BY e.started_at DESC LIMIT :limit"
    with engine.connect() as connection:
        return [_execution(row, ()) for row in connection.execute(text(query), values)]


def get_execution(
    engine: Engine, name: str, *, settles: bool = True, exchanges: bool = True
) -> ExecutionRecord:
    """The execution called `name`: its id, a unique start of it, or `exec-<date>-<six characters>`.

    Unless something else `settles` executions whose process was lost, that is done first. Without
    `exchanges` its steps lack theirs, and their reads, which may be much. Raises `NoSuchExecution`.
    """
    schema.ensure(engine)
    if settles:
        settle_lost(engine)
    execution_id = _find(engine, name.strip().lower())
    with engine.connect() as connection:
        row = send(connection, _ONE, {"id": execution_id}).one_or_none()
        of_steps = _STEPS if exchanges else _STEPS_ALONE
        steps = send(connection, of_steps, {"id": execution_id}).all() if row else ()
    if row is None:
        raise _unknown(name)
    records = tuple(_step(step) for step in steps)
    return replace(
        _execution(row, tuple(step for step in records if not step.step_id.startswith(PROBE))),
        probes=tuple(step for step in records if step.step_id.startswith(PROBE)),
    )


def status_of(engine: Engine, execution_id: str) -> str | None:
    """How the execution of this id stands; None when it has not begun."""
    found = execute(engine, _STATUS, {"id": execution_id})
    return str(found[0][0]) if found else None


def _unknown(name: str) -> NoSuchExecution:
    return NoSuchExecution(f"there is no execution {name!r}", hint="`rb ls --all` lists them")


def _find(engine: Engine, name: str) -> str:
    """The id of the only one that has the name; a whole id is not looked up."""
    if _WHOLE.fullmatch(name):
        return name
    if (match := _SHORT.fullmatch(name)) and _is_day(match[1]):
        condition = "id::text LIKE :start AND (started_at AT TIME ZONE 'UTC')::date = CAST(:day AS DATE)"
        values = {"start": f"{match[2]}%", "day": match[1]}
    elif _PREFIX.fullmatch(name):
        condition, values = "id::text LIKE :start", {"start": f"{name}%"}
    else:
        hint = "`rb ls` lists executions; name one by its id or as exec-2025-11-29-abc123"
        raise NoSuchExecution(f"{name!r} is not the name of an execution", hint=hint)
    query = f"SELECT id FROM runbook.runbook_executions WHERE {condition} LIMIT 3"  # noqa: S608
    with engine.connect() as connection:
        found = connection.execute(text(query), values).scalars().all()
    if not found:
        raise _unknown(name)
    if len(found) > 1:
        hint = "give more of its id: " + ", ".join(str(item)[:13] for item in found)
        raise NoSuchExecution(f"more than one execution is called {name!r}", hint=hint)
    return str(found[0])


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _execution(row: Row[Any], steps: tuple[StepRecord, ...]) -> ExecutionRecord:
    kpis, metadata = row.kpis, row.metadata
    return ExecutionRecord(
        id=str(row.id),
        runbook_id=row.runbook_id,
        runbook_version=row.runbook_version,
        mode=row.mode,
        status=Status(row.status),
        started_at=row.started_at,
        clock=datetime.fromisoformat(metadata["clock"]) if "clock" in metadata else None,
        completed_at=row.completed_at,
        actor=Actor(id=str(row.actor_id), name=row.actor_name, kind=row.actor_kind) if row.actor_id else None,
        reason=metadata.get("reason") or "",
        duration_seconds=metadata.get("duration_seconds"),
        assumptions=tuple(AssumptionResult(**item) for item in metadata.get("assumptions", ())),
        kpis=tuple(
            KpiResult(**{**item, "explanation": tuple(item["explanation"])}) for item in kpis.get("kpis", ())
        ),
        measures=kpis.get("measures", {}),
        inputs=row.inputs,
        environment=row.environment,
        secrets=metadata.get("secrets", {}),
        definition_digest=row.definition_digest,
        parent_id=str(row.parent_id) if row.parent_id else None,
        replay=metadata.get("replay"),
        format_version=row.format_version,
        steps=steps,
    )


def _step(row: Row[Any]) -> StepRecord:
    return StepRecord(
        step_id=row.step_id,
        type=row.step_type,
        status=StepStatus(row.status),
        attempt=row.attempt,
        started_at=row.started_at,
        completed_at=row.completed_at,
        started_virtual=row.started_virtual,
        seconds=row.seconds or 0.0,
        summary=row.summary,
        inputs=row.inputs or {},
        outputs=row.outputs or {},
        errors=tuple(row.errors or ()),
        records=row.records,
        pictures=tuple(row.pictures or ()),
        exchanges=tuple(row.exchanges or ()),
        reads=tuple(row.reads or ()),
    )
