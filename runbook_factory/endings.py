"""Ends Dagster runs whose execution has ended, or will never begin, when their own process could not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from sqlalchemy import Row, text

from runbook_defs.execution import CANCELLED, Status
from runbook_factory.database import engine
from runbook_factory.leases import LOST, settle_lost
from runbook_factory.project import Project

LATE_SECONDS = 3.0  # a run that goes on so long after its execution has ended: its process was lost

_ENDED = text(
    """
    SELECT id::TEXT AS id, status, coalesce(metadata->>'reason', '') AS reason
    FROM runbook.runbook_executions
    WHERE id = ANY(CAST(:ids AS UUID[])) AND status <> 'running'
        AND (metadata->>'reason' = :lost OR completed_at < now() - make_interval(secs => :late))
    """
)


def end_lost_runs(project: Project, instance: DagsterInstance) -> None:
    """Gives executions whose process was lost their verdict, and their Dagster runs the same end."""
    settle_lost(engine(project))
    statuses = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    going_on = {run.run_id: run for run in instance.get_runs(RunsFilter(statuses=statuses))}
    for row in _ended(project, list(going_on)):
        _end(instance, going_on[row.id], row)


def _ended(project: Project, ids: Sequence[str]) -> Sequence[Row[tuple[str, str, str]]]:
    if not ids:
        return []
    with engine(project).connect() as connection:
        return connection.execute(_ENDED, {"ids": ids, "lost": LOST, "late": LATE_SECONDS}).all()


def _end(instance: DagsterInstance, run: DagsterRun, row: Row[tuple[str, str, str]]) -> None:
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.is_finished:  # by another worker's watch, or by itself
        return
    if row.status == Status.SUCCESS:
        happened = DagsterEvent(
            event_type_value=DagsterEventType.PIPELINE_SUCCESS.value, job_name=run.job_name
        )
        instance.report_dagster_event(happened, run_id=run.run_id)
        return
    instance.add_run_tags(run.run_id, {"runbook/status": row.status, "runbook/reason": row.reason[:400]})
    if row.status == Status.ABORTED and row.reason == CANCELLED:
        instance.report_run_canceled(run)
    else:
        instance.report_run_failed(run, message=f"The execution failed: {row.reason}.")


def quiet_runs(instance: DagsterInstance, status: DagsterRunStatus, *, seconds: float) -> list[str]:
    """The runs that stand so, and that nothing was heard of for so long."""
    before = datetime.now(UTC) - timedelta(seconds=seconds)
    return list(instance.get_run_ids(RunsFilter(statuses=[status], updated_before=before)))
