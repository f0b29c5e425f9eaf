"""Our executor: steps in threads as the graph allows, one execution record around them.

Worker threads run steps and put their events on a queue; the main thread alone touches Dagster's state of
the run. Private to Dagster, as are step_events.py and step_hooks.py, which it uses: tests/runbook_factory/
test_dagster_contract.py holds the three to what they rely on.
"""

import contextvars
import queue
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterEvent, Executor, ExecutorDefinition, MetadataValue
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._utils.interrupts import pop_captured_interrupt

from runbook_defs.execution import CANCELLED, Status, StepRecord
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.event_log import store_directly
from runbook_factory.execution import Aborted, Execution, aborts
from runbook_factory.kpi_assets import report_kpis
from runbook_factory.opening import open_execution
from runbook_factory.step_events import StepEvents, step_metadata
from runbook_factory.step_hooks import Hooks, open_hooks

MAX_PARALLEL_STEPS = 16
TICK_SECONDS = 0.1  # how soon an interrupt is seen while no step has anything to say
GRACE_SECONDS = 5.0  # how long a cancelled execution waits for its running steps


class RunbookFailed(Exception):
    """The verdict of an execution whose steps all ran: it makes the Dagster run a failure."""


def runbook_executor(runbook: LoadedRunbook) -> ExecutorDefinition:
    """The executor of the runbook's job."""
    return ExecutorDefinition(
        name="runbook",
        executor_creation_fn=lambda init: ThreadExecutor(runbook),
        description="Runs steps in threads as the graph allows, and records the execution.",
    )


class ThreadExecutor(Executor):
    """Runs the steps of one runbook."""

    def __init__(self, runbook: LoadedRunbook) -> None:
        self._runbook = runbook
        self.is_quiet = False  # whether it tells only what decides over the run

    @property
    def retries(self) -> RetryMode:
        """A step asks for its own retries."""
        return RetryMode.ENABLED

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        """Dagster's events, as they happen; all of them are stored, whether it tells them or not."""
        store_directly(plan_context)
        with open_hooks(plan_context) as hooks:
            execution = open_execution(self._runbook, plan_context.dagster_run)
            try:
                _check_assumptions(plan_context, execution)
                yield _assumptions_event(plan_context, execution)
                with execution_plan.start(
                    retry_mode=plan_context.retry_mode, max_concurrent=MAX_PARALLEL_STEPS
                ) as active:
                    yield from _Steps(plan_context, active, execution, hooks, self.is_quiet).run()
            except BaseException as error:
                _settle(plan_context, execution, reason=_reason(error))
                raise
            _settle(plan_context, execution)


def _check_assumptions(context: PlanOrchestrationContext, execution: Execution) -> None:
    """Looks at the assumptions; where the world is asked, not in this thread, which hears of interrupts."""
    if not execution.runbook.probes:
        execution.check_assumptions()
        return
    checked: Future[None] = Future()

    def work() -> None:
        try:
            execution.check_assumptions()
            checked.set_result(None)
        except BaseException as error:
            checked.set_exception(error)

    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(work,), name="assumptions", daemon=True).start()
    while not wait([checked], TICK_SECONDS).done:
        execution.recorder.write_waiting()
        if pop_captured_interrupt():
            execution.cancelled.set()
            _say_canceling(context)
            wait([checked], GRACE_SECONDS)
            raise DagsterExecutionInterruptedError(CANCELLED)
    checked.result()


def _say_canceling(context: PlanOrchestrationContext) -> None:
    run = context.instance.get_run_by_id(context.run_id)
    if run is not None and run.status is not DagsterRunStatus.CANCELING:
        context.instance.report_run_canceling(run, message="Interrupted.")


def _reason(error: BaseException) -> str:
    match error:
        case Aborted():
            return str(error)
        case DagsterExecutionInterruptedError() | KeyboardInterrupt():
            return CANCELLED
        case _:
            return f"{type(error).__name__}: {error}"


def _settle(context: PlanOrchestrationContext, execution: Execution, *, reason: str = "") -> None:
    """Writes the verdict; a missed KPI fails the Dagster run although every step is green."""
    record = execution.finish(reason=reason)
    tags = {}
    if record.status is not Status.SUCCESS:  # which Dagster's own status says
        tags = {"runbook/status": record.status.value, "runbook/reason": record.reason[:400]}
    if record.replay:
        tags["runbook/replay"] = str(record.replay["verdict"])
    if tags:
        context.instance.add_run_tags(context.run_id, tags)
    report_kpis(context.instance, record, job=context.job_name)
    if not reason and record.status is not Status.SUCCESS:
        raise RunbookFailed(record.reason)


def _assumptions_event(context: PlanOrchestrationContext, execution: Execution) -> DagsterEvent:
    lines = [f"- **{item.id}**: met ({item.how})" for item in execution.assumptions]
    return DagsterEvent.engine_event(
        context,
        f"{execution.request.mode.value} execution by {execution.actor.name}; assumptions met: {len(lines)}",
        event_specific_data=EngineEventData(
            metadata={"assumptions": MetadataValue.md("\n".join(lines) or "none")}
        ),
    )


@dataclass(frozen=True)
class _Said:
    """What a thread says of its step."""

    key: str
    events: list[DagsterEvent]
    ended: bool = False
    error: BaseException | None = None


@dataclass
class _Steps:
    """The loop over the steps of one run."""

    context: PlanOrchestrationContext
    active: ActiveExecution
    execution: Execution
    hooks: Hooks
    is_quiet: bool
    # What worker threads say: the start, and at the end the other events and what broke the step, if it did.
    said: "queue.Queue[_Said]" = field(default_factory=queue.Queue)
    running: set[str] = field(default_factory=set)
    held: list[ExecutionStep] = field(default_factory=list)
    failed: str = ""

    def run(self) -> Iterator[DagsterEvent]:
        """Runs what may run; after a failure only what already runs is waited for."""
        while self._start_ready() or self.running or not (self.failed or self.active.is_complete):
            yield from self._hear()
            self.execution.recorder.write_waiting()
            if self.active.check_for_interrupts():
                yield from self._interrupted()
        if self.failed:
            raise Aborted(f"step {self.failed!r} failed: {self._message(self.failed)}")

    def _start_ready(self) -> bool:
        """Starts what may start now; tells whether it started anything.

        Which steps an abort kept from beginning is a matter of time: a replay keeps to the record, and
        what had not begun there waits until nothing else is left.
        """
        waiting = [*self.held, *self.active.get_steps_to_execute()]
        now = [step for step in waiting if self._may_start(step.key)]
        if not now and waiting and not self.running and not self.failed:
            now = waiting
        self.held = [step for step in waiting if step not in now]
        for step in now:
            self._start(step)
        return bool(now)

    def _may_start(self, key: str) -> bool:
        recorded = self.execution.goes_on(key, attempt=self._attempt(key))
        return not self.failed if recorded is None else recorded

    def _attempt(self, key: str) -> int:
        attempts: int = self.active.retry_state.get_attempt_count(key)
        return attempts + 1

    def _start(self, step: ExecutionStep) -> None:
        attempt = self._attempt(step.key)

        def work() -> None:
            error: BaseException | None = None
            events: list[DagsterEvent] = []
            try:
                dagster = StepEvents(self.context, step, attempt=attempt)
                began = dagster.began()
                if not self.is_quiet:
                    self.said.put(_Said(step.key, [began]))
                events = self._attempted(dagster, attempt=attempt)
            except BaseException as caught:
                error = caught
            self.said.put(_Said(step.key, events, ended=True, error=error))

        self.running.add(step.key)
        # A thread of its own, not one of a pool: a step that hangs must not keep the process alive.
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(work,), name=f"step-{step.key}", daemon=True).start()

    def _attempted(self, dagster: StepEvents, *, attempt: int) -> list[DagsterEvent]:
        """Makes the attempt; gives what Dagster is told of how it ended."""
        key = dagster.step.key
        try:
            record = self.execution.run_step(key, attempt=attempt)
        except Exception:
            return [dagster.broke()]
        metadata = step_metadata(record)
        events = self._ended(dagster, record, metadata)
        return [*events, *self.hooks.call(dagster.step, events, metadata)]

    def _ended(
        self, dagster: StepEvents, record: StepRecord, metadata: Mapping[str, Any]
    ) -> list[DagsterEvent]:
        _, step = self.execution.runbook.steps[dagster.step.key]
        failure = record.failure or {}
        why = f"{failure.get('type')}: {failure.get('message')}"
        if record.retry_in is not None:
            # In a test the wait has passed on the virtual clock already.
            return [dagster.to_be_retried(why, seconds=record.retry_in if self.execution.is_live else 0.0)]
        if aborts(step, record):
            return [dagster.failed(why, metadata)]
        return dagster.succeeded(metadata)

    def _hear(self) -> Iterator[DagsterEvent]:
        try:
            said = self.said.get(timeout=self._patience())
        except queue.Empty:
            return
        for event in said.events:
            failed = event.is_step_failure
            if failed or not self.is_quiet:
                yield event
            if not event.is_step_start:  # of which it has nothing to note
                self.active.handle_event(event)
            if failed:
                self.failed = self.failed or said.key
        if said.ended:
            self.running.discard(said.key)
            if said.error is not None:
                raise said.error
            self.active.verify_complete(self.context, said.key)

    def _patience(self) -> float:
        retry: float = self.active.sleep_interval()  # type: ignore[no-untyped-call]
        return min(TICK_SECONDS, retry) if retry > 0 else TICK_SECONDS

    def _message(self, key: str) -> str:
        record = self.execution.records.get(key)
        failure = record.failure if record else None
        return str(failure["message"]) if failure else "no reason was noted"

    def _interrupted(self) -> Iterator[DagsterEvent]:
        """Asks running steps to stop, gives them a moment, and ends the run as cancelled."""
        self.execution.cancelled.set()
        _say_canceling(self.context)
        waited = 0.0
        while self.running and waited < GRACE_SECONDS:
            before = len(self.running)
            yield from self._hear()
            waited += TICK_SECONDS if len(self.running) == before else 0.0
        self.active.mark_interrupted()
        raise DagsterExecutionInterruptedError(CANCELLED)
