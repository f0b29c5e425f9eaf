"""What the launcher, and the execution of stored runs, rely on of Dagster: private in parts, and pinned."""

import inspect
from collections.abc import Iterator

import pytest
from dagster import DagsterEvent, DagsterInstance, DagsterRunStatus
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import ExecuteRunWithPlanIterable, execute_run_iterator
from dagster._core.execution.context_creation_job import PlanOrchestrationContextManager
from dagster._core.launcher.base import LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.run_coordinator.base import RunCoordinator, SubmitRunContext
from dagster._core.storage.dagster_run import CANCELABLE_RUN_STATUSES
from dagster._utils.interrupts import capture_interrupts

from runbook_factory import runs
from runbook_factory.catalog import load_runbook
from runbook_factory.jobs import build_job
from runbook_factory.runs import WarmJob
from runbook_factory.schedules import LINE_TAG
from runbook_service.launcher import NEVER_BEGAN, QueueCoordinator, QueueLauncher
from tests.working import Yard

QUEUED, CANCELED = DagsterRunStatus.QUEUED, DagsterRunStatus.CANCELED


@pytest.fixture
def launcher(yard: Yard) -> Iterator[QueueLauncher]:
    found = yard.instance.run_launcher
    assert isinstance(found, QueueLauncher)
    yield found
    yard.query("DELETE FROM procrastinate_jobs RETURNING id")
    yard.query("DELETE FROM procrastinate_workers RETURNING id")


def test_dagster_asks_a_coordinator_and_a_launcher_for_what_ours_have() -> None:
    assert RunCoordinator.__abstractmethods__ == {"submit_run", "cancel_run"}
    assert RunLauncher.__abstractmethods__ == {"launch_run", "terminate"}
    assert list(inspect.signature(RunCoordinator.submit_run).parameters) == ["self", "context"]
    assert list(inspect.signature(RunCoordinator.cancel_run).parameters) == ["self", "run_id"]
    assert "dagster_run" in SubmitRunContext._fields
    assert "dagster_run" in LaunchRunContext._fields
    assert list(inspect.signature(RunLauncher.check_run_worker_health).parameters) == ["self", "run"]
    # A run that waits must be one that Dagster's pages let be cancelled.
    assert {QUEUED, DagsterRunStatus.STARTED} <= set(CANCELABLE_RUN_STATUSES)


def test_the_settings_name_our_coordinator_and_launcher(yard: Yard, launcher: QueueLauncher) -> None:
    assert isinstance(yard.instance.run_coordinator, QueueCoordinator)
    assert launcher.supports_check_run_worker_health


def test_a_run_is_submitted_once_and_keeps_to_its_line(yard: Yard, launcher: QueueLauncher) -> None:
    run = yard.add(**{LINE_TAG: "line"})
    yard.submit(run)
    assert yard.status(run.run_id) is QUEUED
    stored = yard.instance.get_run_by_id(run.run_id)
    assert stored is not None
    yard.submit(stored)
    launcher.launch_run(LaunchRunContext(dagster_run=stored, workspace=None))
    rows = yard.query("SELECT lock, queueing_lock FROM procrastinate_jobs")
    assert [tuple(row) for row in rows] == [("line", run.run_id)]


def test_the_health_of_a_run_is_that_of_its_worker(yard: Yard, launcher: QueueLauncher) -> None:
    run = yard.add()
    assert launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND
    yard.submit(run)
    yard.query("SELECT procrastinate_register_worker_v1()")
    yard.query("SELECT procrastinate_fetch_job_v2(ARRAY['runs'], max(id)) FROM procrastinate_workers")
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    yard.query("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute' RETURNING id")
    assert launcher.check_run_worker_health(run).status is WorkerStatus.FAILED


def test_what_waits_is_cancelled_and_what_has_ended_or_is_unknown_is_not(
    yard: Yard, launcher: QueueLauncher
) -> None:
    run = yard.add()
    yard.submit(run)
    assert launcher.terminate(run.run_id)
    assert (yard.status(run.run_id), yard.reason(run.run_id)) == (CANCELED, NEVER_BEGAN)
    assert yard.is_settled()
    assert not launcher.terminate(run.run_id)
    assert not launcher.terminate("00000000-0000-4000-8000-000000000000")
    forgotten = yard.add()  # its launcher died before it was put in
    assert launcher.terminate(forgotten.run_id)
    assert yard.status(forgotten.run_id) is CANCELED


def test_a_run_with_a_plan_at_hand_has_the_same_events_as_the_stock_way(yard: Yard) -> None:
    job = build_job(load_runbook(yard.project, "quick"))
    stock = yard.add()
    ours = yard.add()
    with capture_interrupts():
        wanted = list(execute_run_iterator(InMemoryJob(job), starting(yard, stock.run_id), yard.instance))
        found = list(runs._planned(WarmJob.of(job), starting(yard, ours.run_id), yard.instance))
    # Each event is stored; those of steps that went well are told to nobody.
    quiet = {"STEP_START", "STEP_OUTPUT", "STEP_SUCCESS"}
    assert told(found) == [each for each in told(wanted) if each[0] not in quiet]
    assert [yard.status(run.run_id) for run in (stock, ours)] == [DagsterRunStatus.SUCCESS] * 2
    assert stored(yard.instance, ours.run_id) == stored(yard.instance, stock.run_id)


def starting(yard: Yard, run_id: str) -> runs.DagsterRun:
    run = yard.instance.get_run_by_id(run_id)
    assert run is not None
    return run.with_status(DagsterRunStatus.STARTING)


def told(events: list[DagsterEvent]) -> list[tuple[str, str | None]]:
    return [(event.event_type_value, event.step_key) for event in events]


def stored(instance: DagsterInstance, run_id: str) -> list[tuple[str, str | None]]:
    return told([entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event])


def test_the_private_way_to_execute_a_run_is_made_of_what_is_known() -> None:
    wanted = {"execution_plan", "iterator", "execution_context_manager"}
    assert wanted <= inspect.signature(ExecuteRunWithPlanIterable.__init__).parameters.keys()
    wanted = {"context_event_generator", "job", "execution_plan", "dagster_run", "instance", "run_config"}
    assert wanted <= inspect.signature(PlanOrchestrationContextManager.__init__).parameters.keys()
