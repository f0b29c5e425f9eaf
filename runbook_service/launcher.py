"""How Dagster hands us its runs; `dagster.yaml` names both classes.

Whoever launches, the UI, GraphQL, REST or a schedule, puts the run into the queue, where it shows as
queued and can be cancelled. A contract with Dagster, private in parts: see
tests/runbook_service/test_launcher.py.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any, Self

from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    EventLogEntry,
)
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.run_coordinator.base import RunCoordinator, SubmitRunContext
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from runbook_factory import schema
from runbook_factory.dagster_storage import BufferedEventLog
from runbook_factory.database import engine, execute
from runbook_factory.execution_log import status_of
from runbook_factory.project import find_project
from runbook_factory.recorder import TELL_END
from runbook_factory.schedules import LINE_TAG

NEVER_BEGAN = "it was cancelled before it began"


def enqueue(instance: DagsterInstance, run: DagsterRun) -> None:
    """Lets a worker have the run, which shows as queued until then.

    One that is stored as queued already costs a query less for each thing that Dagster makes sure of.
    """
    event = DagsterEvent(event_type_value=DagsterEventType.PIPELINE_ENQUEUED.value, job_name=run.job_name)
    # In this order: a run that a worker has must not become queued again. Whoever looks after the
    # runs puts those in that were lost between the two.
    if run.status is DagsterRunStatus.QUEUED:
        storage = instance.event_log_storage
        note = storage.note_event if isinstance(storage, BufferedEventLog) else storage.store_event
        note(_entry(event, run))
    else:
        instance.report_dagster_event(event, run_id=run.run_id)
    _queue().put(run.run_id, line=run.tags.get(LINE_TAG))


def _entry(event: DagsterEvent, run: DagsterRun) -> EventLogEntry:
    return EventLogEntry(  # type: ignore[no-untyped-call]
        user_message="",
        level=logging.INFO,
        job_name=run.job_name,
        run_id=run.run_id,
        error_info=None,
        timestamp=time.time(),
        dagster_event=event,
    )


def cancel(instance: DagsterInstance, run_id: str) -> bool:
    """Stops a run, which may wait or be running anywhere; tells whether there was something to stop.

    One that is executed where no worker is, by `rb run`, is stopped there.
    """
    queue = _queue()
    job = queue.find(run_id)
    run = instance.get_run_by_id(run_id)
    if run is None:  # a replay becomes a run when it begins
        return job is not None and (queue.withdraw(job) or queue.abort(job))
    if run.is_finished or (job is None and status_of(engine(find_project()), run_id) is not None):
        return False
    # Before its worker is told: the slot asks for it when it begins, and ends the run.
    if run.status is not DagsterRunStatus.CANCELING:
        instance.report_run_canceling(run)
    if job is None or queue.withdraw(job):
        end_unbegun(instance, run)
        return True
    # Where none has it any more, it has just ended, and whoever looks after the runs says so.
    return bool(queue.abort(job))


def end_unbegun(instance: DagsterInstance, run: DagsterRun, *, failure: str = "") -> None:
    """Ends a run that no process has begun, and none will: as failed for a reason, else as cancelled."""
    status, reason = ("failure", failure) if failure else ("aborted", NEVER_BEGAN)
    tags = {"runbook/status": status, "runbook/reason": reason[:400]}
    instance.add_run_tags(run.run_id, tags)
    if failure:
        instance.report_run_failed(run, message=failure)
    else:
        instance.report_run_canceled(run)
    execute(engine(find_project()), TELL_END, {"id": run.run_id})


def _queue() -> Any:
    # Imported here: the processes that run steps load this module with Dagster's settings.
    from runbook_service.run_queue import run_queue

    known = engine(find_project())
    schema.ensure(known)
    return run_queue(known)


class _Configured(ConfigurableClass):
    """What `dagster.yaml` has to say about one of them: nothing."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(inst_data)


class QueueCoordinator(_Configured, RunCoordinator[DagsterInstance]):
    """Puts submitted runs into the queue."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """The run, now in the queue."""
        run = context.dagster_run
        if run.status is DagsterRunStatus.NOT_STARTED:
            enqueue(self._instance, run)
            run = run.with_status(DagsterRunStatus.QUEUED)
        return run

    def cancel_run(self, run_id: str) -> bool:
        """Stops the run, whether it waits or is running."""
        return cancel(self._instance, run_id)


class QueueLauncher(_Configured, RunLauncher[DagsterInstance]):
    """The same for who launches past the coordinator, and what Dagster's run monitoring asks."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Lets a worker have the run."""
        run = context.dagster_run
        _queue().put(run.run_id, line=run.tags.get(LINE_TAG))

    def terminate(self, run_id: str) -> bool:
        """Stops the run, whether it waits or is running."""
        return cancel(self._instance, run_id)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It can tell."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether a worker that is alive has the run."""
        queue = _queue()
        if queue.find(run.run_id) is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "no worker has the run")
        if any(run_id == run.run_id for _, run_id in queue.stalled()):
            return CheckRunHealthResult(WorkerStatus.FAILED, "its worker is heard of no more")
        return CheckRunHealthResult(WorkerStatus.RUNNING)
