"""What the audit log has of executions and replays: an entry with the start of each, one with its end.

Tests and backtests touch nothing and are not audited.
"""

from collections.abc import Iterable

from runbook_defs.execution import CANCELLED, Actor, ExecutionRecord, Status
from runbook_factory.audit.log import AUDITED_MODES, Action, Entry, Outcome
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.request import RunRequest


def start_of(
    runbook: LoadedRunbook, execution_id: str, request: RunRequest, *, actor: Actor, inputs: Iterable[str]
) -> Entry | None:
    """That the execution begins; None for one that is not audited."""
    if request.mode not in AUDITED_MODES:
        return None
    return Entry(
        action=Action.EXECUTION_STARTED,
        subject=execution_id,
        outcome=Outcome.ALLOWED,
        actor=actor,
        details={**_about(runbook, request), "inputs": sorted(inputs)},
    )


def end_of(runbook: LoadedRunbook, request: RunRequest, record: ExecutionRecord) -> Entry | None:
    """How the execution ended; None for one that is not audited."""
    if request.mode not in AUDITED_MODES:
        return None
    details = {**_about(runbook, request), "status": record.status.value}
    if record.reason == CANCELLED:
        details["cancelled"] = True
    if record.replay is not None:
        details["verdict"] = record.replay["verdict"]
    return Entry(
        action=Action.EXECUTION_FINISHED,
        subject=record.id,
        outcome=Outcome.SUCCEEDED if record.status is Status.SUCCESS else Outcome.FAILED,
        actor=record.actor,
        details=details,
    )


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
