"""Executions as the service shows them: plain data, with values only for those who may read them."""

from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus
from sqlalchemy import Engine

from runbook_defs.execution import ExecutionRecord, StepRecord
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.execution_log import NoSuchExecution, get_execution
from runbook_service.identities.identity import Identity
from runbook_service.identities.roles import Right

RUNNING = "running"
_ENDED = {DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED, DagsterRunStatus.SUCCESS}


class NotFound(Exception):
    """There is no such thing, or it is not theirs to know of."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def find_execution(
    engine: Engine, instance: DagsterInstance, name: str, identity: Identity
) -> dict[str, Any]:
    """The execution called `name`, also one whose process has not begun yet; raises `NotFound`."""
    try:
        record = get_execution(engine, name, settles=False, exchanges=False)  # a worker settles
    except NoSuchExecution as error:
        starting = _starting(instance, name, identity)
        if starting is None:
            raise NotFound(error.message, hint=error.hint) from None
        return starting
    if not identity.may(Right.VIEW, record.runbook_id):
        raise NotFound(f"there is no execution {name!r}")
    return as_data(record, identity)


def _starting(instance: DagsterInstance, name: str, identity: Identity) -> dict[str, Any] | None:
    run = instance.get_run_by_id(name) if len(name) == 36 else None
    runbook_id = run.tags.get("runbook/id") if run else None
    if run is None or runbook_id is None or not identity.may(Right.VIEW, runbook_id):
        return None
    told = _to_begin(run.run_id, runbook_id, run.tags.get("runbook/mode", "live"))
    if run.status in _ENDED:
        told["status"] = run.tags.get("runbook/status", "failure")
        told["reason"] = run.tags.get("runbook/reason", "its process ended before it began")
    return told


def replay_to_begin(replay_id: str, runbook_id: str) -> dict[str, Any]:
    """A replay that is not in the record yet."""
    return _to_begin(replay_id, runbook_id, "replay")


def _to_begin(execution_id: str, runbook_id: str, mode: str) -> dict[str, Any]:
    return {
        "id": execution_id,
        "runbook_id": runbook_id,
        "status": RUNNING,
        "reason": "",
        "mode": mode,
        "steps": [],
    }


def as_data(record: ExecutionRecord, identity: Identity) -> dict[str, Any]:
    """The execution as JSON-like data."""
    values = identity.may(Right.READ_VALUES, record.runbook_id)
    told: dict[str, Any] = {
        "id": record.id,
        "name": record.short_name,
        "runbook_id": record.runbook_id,
        "runbook_version": record.runbook_version,
        "mode": record.mode,
        "status": record.status.value,
        "reason": record.reason if values else "",
        "started_at": record.started_at.isoformat(),
        "completed_at": record.completed_at.isoformat() if record.completed_at else None,
        "duration_seconds": record.duration_seconds,
        "actor": record.actor.name if record.actor else None,
        "parent_id": record.parent_id,
        "assumptions": [{"id": item.id, "met": item.met, "how": item.how} for item in record.assumptions],
        "kpis": [
            {"name": kpi.name, "value": kpi.value, "bound": kpi.bound, "limit": kpi.limit, "met": kpi.met}
            for kpi in record.kpis
        ],
        "steps": [_step(step, values) for step in record.steps],
    }
    if record.replay is not None:
        told["replay"] = record.replay if values else {"verdict": record.replay["verdict"]}
    return told | ({"inputs": record.inputs} if values else {})


def _step(step: StepRecord, values: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "step": step.step_id,
        "type": step.type,
        "attempt": step.attempt,
        "status": step.status.value,
        "started_at": step.started_at.isoformat() if step.started_at else None,
        "completed_at": step.completed_at.isoformat() if step.completed_at else None,
        "seconds": step.seconds,
        "summary": step.summary if values else "",
        "records": step.records,
    }
    if values:
        told |= {"inputs": step.inputs, "outputs": step.outputs, "errors": list(step.errors)}
    elif step.failure:
        told["errors"] = [{"type": step.failure["type"], "failed": True}]
    return told


def runbook_data(runbook: LoadedRunbook) -> Mapping[str, Any]:
    """A runbook as JSON-like data."""
    model = runbook.runbook
    return {
        "id": model.id,
        "name": model.name,
        "version": model.version,
        "owner": model.owner,
        "legal_basis": model.legal_basis,
        "description": model.description,
        "tags": model.tags,
        "inputs": {
            **{name: {"type": "string", "required": True} for name in runbook.checked.uses.implicit},
            **{
                name: {
                    "type": spec.type,
                    "required": spec.is_required,
                    "description": spec.description,
                    "sensitive": spec.sensitive,
                }
                for name, spec in model.inputs.items()
            },
        },
        "assumptions": [{"id": item.id, "description": item.description} for item in model.assumptions],
        "steps": [
            {
                "id": step.id,
                "type": step.type,
                "description": step.description,
                "depends_on": step.depends_on,
                "effect": runbook.effect(step).value,
            }
            for step in model.steps
        ],
    }
