"""Hooks that somebody has added to the job of a runbook, and the resources that they want.

Private to Dagster: tests/runbook_factory/test_dagster_contract.py holds this module to what it relies on.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dagster import DagsterEvent, Failure
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.context_creation_job import scoped_job_context
from dagster._core.execution.plan.execute_plan import _trigger_hook
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.execution.plan.step import ExecutionStep


@dataclass(frozen=True)
class Hooks:
    """The hooks of a run; without a `plan` there are none."""

    plan: PlanExecutionContext | None

    def call(
        self, step: ExecutionStep, events: Sequence[DagsterEvent], metadata: Mapping[str, Any]
    ) -> list[DagsterEvent]:
        """Calls those of a step that has ended, and gives what came of them; they see its events."""
        if self.plan is None:
            return []
        context: Any = self.plan.for_step(step, self.plan.execution_plan.known_state)
        for event in events:
            if event.is_step_failure:
                context.capture_step_exception(Failure(event.step_failure_data.error_display_string))
            elif event.is_successful_output:
                done = StepOutputHandle(step.key, event.step_output_data.output_name)
                context.step_output_capture[done] = None
                context.step_output_metadata_capture[done] = metadata
        return [*_trigger_hook(context, events)]


@contextmanager
def open_hooks(context: PlanOrchestrationContext) -> Iterator[Hooks]:
    """The hooks of the run, with their resources for as long as the block lasts."""
    job = context.job.get_definition()
    plan = context.execution_plan
    if not any(job.get_all_hooks_for_handle(step.node_handle) for step in plan.steps):
        yield Hooks(None)
        return
    run = context.dagster_run
    with scoped_job_context(plan, context.job, context.run_config, run, context.instance) as whole:
        yield Hooks(whole)
