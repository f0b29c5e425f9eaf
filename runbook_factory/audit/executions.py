"""What the audit log has of executions and replays: a line before the first step, one at the end.

Tests and backtests touch nothing and are not audited.
"""

from collections.abc import Iterable

from runbook_defs.execution import CANCELLED, Actor, ExecutionRecord, Status
from runbook_factory.audit.log import AUDITED_MODES, Action, Entry, Outcome, append
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import engine, reachable
from runbook_factory.request import RunRequest


def note_started(
    runbook: LoadedRunbook, execution_id: str, request: RunRequest, *, actor: Actor, inputs: Iterable[str]
) -> None:
    """Records that the execution is about to begin; raises `DatabaseError`, and then it must not."""
    if request.mode not in AUDITED_MODES:
        return
    details = {**_about(runbook, request), "inputs": sorted(inputs)}
    _append(runbook, Action.EXECUTION_STARTED, execution_id, Outcome.ALLOWED, actor, details)


def note_finished(runbook: LoadedRunbook, request: RunRequest, record: ExecutionRecord) -> None:
    """Records how the execution ended; raises `DatabaseError`."""
    if request.mode not in AUDITED_MODES:
        return
    details = {**_about(runbook, request), "status": record.status.value}
    if record.reason == CANCELLED:
        details["cancelled"] = True
    if record.replay is not None:
        details["verdict"] = record.replay["verdict"]
    outcome = Outcome.SUCCEEDED if record.status is Status.SUCCESS else Outcome.FAILED
    _append(runbook, Action.EXECUTION_FINISHED, record.id, outcome, record.actor, details)


def _about(runbook: LoadedRunbook, request: RunRequest) -> dict[str, object]:
    about: dict[str, object] = {
        "runbook": runbook.id,
        "version": runbook.runbook.version,
        "definition": runbook.digest,
        "mode": request.mode.value,
    }
    if request.replay is not None:
        about["replays"] = request.replay.execution
        about["live"] = request.replay.live
        about["allow_writes"] = request.replay.allow_writes
    return about


def _append(
    runbook: LoadedRunbook,
    action: Action,
    execution_id: str,
    outcome: Outcome,
    actor: Actor | None,
    details: dict[str, object],
) -> None:
    entry = Entry(action=action, subject=execution_id, outcome=outcome, actor=actor, details=details)
    with reachable():
        append(engine(runbook.project), entry)
