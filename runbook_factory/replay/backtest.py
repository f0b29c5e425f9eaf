"""A changed runbook held against what its last executions were told: what would have gone otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dagster import DagsterInstance

from runbook_defs.execution import Actor, ExecutionFinished, ExecutionRecord, Status
from runbook_defs.replay import Part, ReplayReport
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import engine, reachable
from runbook_factory.execution_log import list_executions
from runbook_factory.replay.recording import NotReplayable
from runbook_factory.replay.replays import open_replay
from runbook_factory.runs import RunLost
from step_ops.step_type import Effect

_OF_THE_OUTCOME = {Part.STATUS, Part.PATH, Part.KPI, Part.OUTPUTS, Part.PICTURE}


class Outcome(StrEnum):
    """How an execution would have gone with the other definition."""

    SAME = "same"
    CALLS = "different calls"
    OUTCOME = "different outcome"
    UNRECORDED = "needs a call never recorded"
    NOT_REPLAYABLE = "not replayable"


@dataclass(frozen=True, kw_only=True)
class Backtested:
    """One recorded execution and how it would have gone; `why` says at what, or what the record lacks."""

    record: ExecutionRecord
    outcome: Outcome
    status: str = ""
    why: str = ""
    report: ReplayReport | None = None


def recorded_executions(runbook: LoadedRunbook, *, last: int) -> list[ExecutionRecord]:
    """The last live executions of the runbook that have ended, the newest first."""
    with reachable():
        found = list_executions(engine(runbook.project), runbook_id=runbook.id, limit=last)
    return [record for record in found if record.status is not Status.RUNNING]


def backtest(
    runbook: LoadedRunbook, record: ExecutionRecord, *, actor: Actor, instance: DagsterInstance
) -> Backtested:
    """How `record` would have gone with this definition, asking nobody."""
    try:
        with open_replay(runbook.project, record.id, against=runbook) as replay:
            ended = [
                event
                for event in replay.run(actor=actor, instance=instance)
                if isinstance(event, ExecutionFinished)
            ]
    except (NotReplayable, RunLost) as error:
        return Backtested(record=record, outcome=Outcome.NOT_REPLAYABLE, why=error.message)
    report = ended[-1].report
    if report is None:
        return Backtested(record=record, outcome=Outcome.NOT_REPLAYABLE, why=ended[-1].record.reason)
    outcome = _outcome(runbook, report)
    why = next(_reasons(report), "")
    return Backtested(record=record, outcome=outcome, status=report.status, why=why, report=report)


def _outcome(runbook: LoadedRunbook, report: ReplayReport) -> Outcome:
    parts: set[Part] = {deviation.part for deviation in report.deviations}
    for step in report.steps:
        own = {deviation.part for deviation in step.deviations}
        known = runbook.steps.get(step.step)
        if Part.REQUEST in own and known is not None and runbook.effect(known[1]) is Effect.READ:
            own.add(Part.UNRECORDED)  # the recorded answer is to another question
        parts |= own
    if Part.UNRECORDED in parts:
        return Outcome.UNRECORDED
    if parts & _OF_THE_OUTCOME:
        return Outcome.OUTCOME
    return Outcome.CALLS if parts else Outcome.SAME


def _reasons(report: ReplayReport) -> Iterator[str]:
    for step in report.steps:
        if step.step == report.at and step.deviations:
            yield f"{step.step}: {step.deviations[0].what}"
    yield from (deviation.what for deviation in report.deviations)
