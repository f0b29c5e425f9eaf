"""Starts a run in this process and tells what happens, as it happens.

The only module that uses Dagster's private way to execute a stored run with a job at hand.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dagster import DagsterEvent, DagsterInstance, DagsterRun, JobDefinition
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import (
    ExecuteRunWithPlanIterable,
    create_execution_plan,
    execute_run_iterator,
    job_execution_iterator,
)
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.context_creation_job import (
    PlanOrchestrationContextManager,
    orchestration_context_event_generator,
)
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG
from dagster._utils.interrupts import capture_interrupts

from runbook_defs.execution import Actor, Event, ExecutionFinished
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import engine
from runbook_factory.event_log import store_directly
from runbook_factory.execution import listener
from runbook_factory.executor import ThreadExecutor
from runbook_factory.jobs import build_job
from runbook_factory.opening import actor_tags, make_ready
from runbook_factory.request import RunRequest
from runbook_factory.sealed_inputs import seal_inputs, split_inputs
from step_ops.gate import Mode


class RunLost(Exception):
    """A run that ended without a verdict; the message is what Dagster knows."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def run_runbook(
    runbook: LoadedRunbook,
    request: RunRequest,
    *,
    actor: Actor,
    instance: DagsterInstance,
    parent: str | None = None,
    run_id: str | None = None,
) -> Iterator[Event]:
    """The events of a new execution, the last of them `ExecutionFinished`.

    `parent` is the Dagster run that it belongs to: Dagster's pages show the two together.

    Raises `DatabaseError` or `ProjectError` when it cannot start, `RunLost` when it has no end. One
    at a time per process: two would deadlock in logging.
    """
    make_ready(runbook.project)
    inputs, hidden = split_inputs(runbook, request.inputs)
    request = replace(request, inputs=inputs)
    job = build_job(runbook, backtests=request.mode is Mode.BACKTEST)
    events: deque[Event] = deque()
    lineage = {PARENT_RUN_ID_TAG: parent, ROOT_RUN_ID_TAG: parent} if parent else {}
    token = listener.set(events)
    last: Event | None = None
    failure = ""
    try:
        run = instance.create_run_for_job(
            job_def=job,
            run_config=request.run_config(),
            tags={**job.tags, **actor_tags(actor), "runbook/mode": request.mode.value, **lineage},
            run_id=run_id,
            parent_run_id=parent,
            root_run_id=parent,
        )
        # Not in the run config: Dagster stores and shows it.
        seal_inputs(engine(runbook.project), runbook.project, run.run_id, hidden)
        with capture_interrupts():
            for happened in execute_run_iterator(InMemoryJob(job), run, instance):
                if happened.is_failure:
                    failure = happened.message or ""
                while events:
                    last = events.popleft()
                    yield last
        while events:
            last = events.popleft()
            yield last
    finally:
        listener.reset(token)
    if not isinstance(last, ExecutionFinished):
        raise RunLost(failure or "the run ended without a verdict")


@dataclass(frozen=True)
class WarmJob:
    """A job with its plan, which is the same for each run of it."""

    job: JobDefinition
    plan: ExecutionPlan

    @classmethod
    def of(cls, job: JobDefinition) -> "WarmJob":
        """The job, ready to be executed often."""
        return cls(job, create_execution_plan(job))


def execute_stored(warm: WarmJob, run: DagsterRun, instance: DagsterInstance) -> None:
    """Executes a run that was launched elsewhere, to its end; an interrupt cancels it.

    Like `run_runbook`, one at a time per process, in its main thread.
    """
    steps = set(warm.plan.step_keys_to_execute)
    is_whole = not run.resolved_op_selection and set(run.step_keys_to_execute or steps) == steps
    with capture_interrupts():
        events = (
            _planned(warm, run, instance)
            if is_whole
            else execute_run_iterator(InMemoryJob(warm.job), run, instance)
        )
        for _ in events:
            pass


def _quietly(job_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
    """What the stock function does, without what it makes of each step: nobody looks at its events."""
    if isinstance(job_context.executor, ThreadExecutor):
        job_context.executor.is_quiet = True
        store_directly(job_context)
    return job_execution_iterator(job_context, execution_plan)


def _planned(warm: WarmJob, run: DagsterRun, instance: DagsterInstance) -> Iterator[DagsterEvent]:
    """What the stock function does for a run of all steps, without making its plan anew."""
    return iter(
        ExecuteRunWithPlanIterable(
            execution_plan=warm.plan,
            iterator=_quietly,
            execution_context_manager=PlanOrchestrationContextManager(
                context_event_generator=orchestration_context_event_generator,
                job=InMemoryJob(warm.job),
                execution_plan=warm.plan,
                dagster_run=run,
                instance=instance,
                run_config=run.run_config,
            ),
        )
    )
