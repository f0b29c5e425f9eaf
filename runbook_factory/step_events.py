"""What Dagster is told of a step: the events that its own machinery tells, without that machinery.

No value passes between steps, so that nothing is left for it to load, check or store, and it takes longer
than a step that asks a server. Dagster's own functions make the events; for them a `StepEvents` stands for
the context of a step. Private to Dagster: tests/runbook_factory/test_dagster_contract.py holds this module
to what it relies on.
"""

import sys
import time
from collections.abc import Mapping
from typing import Any

from dagster import DagsterEvent, MetadataValue
from dagster._core.definitions.metadata import normalize_metadata
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.objects import (
    ErrorSource,
    StepFailureData,
    StepRetryData,
    StepSuccessData,
    TypeCheckData,
    UserFailureData,
)
from dagster._core.execution.plan.outputs import StepOutputData, StepOutputHandle
from dagster._core.execution.plan.step import ExecutionStep
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo

from runbook_defs.execution import StepRecord

DONE = "done"  # the output by which steps are ordered


class StepEvents:
    """Tells Dagster of one attempt of a step; each event is stored as it is made."""

    def __init__(self, plan: PlanOrchestrationContext, step: ExecutionStep, *, attempt: int) -> None:
        self._context: Any = self  # of the step, for Dagster
        self._attempt = attempt
        self._began = time.perf_counter()
        self.step = step  # this and the next four are what Dagster asks the context of a step for
        self.op = plan.job.get_definition().get_node(step.node_handle)
        self.job_name = plan.job_name
        self.log = plan.log.with_tags(**step.logging_tags)
        self.event_tags = {
            name: str(value) for name, value in self.log.metadata.items() if name != "job_tags"
        }

    def began(self) -> DagsterEvent:
        """It has begun."""
        if self._attempt > 1:
            return DagsterEvent.step_restarted_event(self._context, self._attempt - 1)
        return DagsterEvent.step_start_event(self._context)

    def succeeded(self, metadata: Mapping[str, Any]) -> list[DagsterEvent]:
        """It is done, and those that depend on it may begin."""
        output = StepOutputData(
            step_output_handle=StepOutputHandle(self.step.key, DONE),
            type_check_data=TypeCheckData(success=True, label=DONE),  # type: ignore[no-untyped-call]
            metadata=normalize_metadata(metadata),
        )
        milliseconds = (time.perf_counter() - self._began) * 1000
        took = StepSuccessData(milliseconds)  # type: ignore[no-untyped-call]
        return [
            DagsterEvent.step_output_event(self._context, output),
            DagsterEvent.step_success_event(self._context, took),
        ]

    def to_be_retried(self, why: str, *, seconds: float) -> DagsterEvent:
        """It failed, and is to be done again after so many seconds."""
        wanted = StepRetryData(_error(why, "RetryRequested"), seconds)  # type: ignore[no-untyped-call]
        return DagsterEvent.step_retry_event(self._context, wanted)

    def failed(self, why: str, metadata: Mapping[str, Any]) -> DagsterEvent:
        """It failed, and the run with it."""
        about = UserFailureData("intentional-failure", why, dict(metadata))  # type: ignore[no-untyped-call]
        failure = StepFailureData(_error(why, "Failure"), about)  # type: ignore[no-untyped-call]
        return DagsterEvent.step_failure_event(self._context, failure)

    def broke(self) -> DagsterEvent:
        """It failed by the exception that is being handled, which nobody foresaw."""
        error = serializable_error_info_from_exc_info(sys.exc_info())
        failure = StepFailureData(error, None, ErrorSource.UNEXPECTED_ERROR)  # type: ignore[no-untyped-call]
        return DagsterEvent.step_failure_event(self._context, failure)


def step_metadata(record: StepRecord) -> dict[str, Any]:
    """What Dagster's pages show of a step that has ended."""
    metadata: dict[str, Any] = {
        "runbook/status": record.status.value,
        "runbook/summary": record.summary or "none",
        "runbook/seconds": record.seconds,
    }
    if record.records:
        metadata["runbook/records"] = MetadataValue.json(record.records)
    if record.errors:
        metadata["runbook/errors"] = MetadataValue.json(list(record.errors[:20]))
    for picture in record.pictures:
        metadata[f"runbook/picture/{picture['name']}"] = MetadataValue.path(picture["path"])
        if picture["ratio"] is not None:
            metadata[f"runbook/picture/{picture['name']}/difference"] = picture["ratio"]
    return metadata


def _error(message: str, kind: str) -> SerializableErrorInfo:
    return SerializableErrorInfo(message=message, stack=[], cls_name=kind)
