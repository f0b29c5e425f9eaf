"""One attempt of one step: inputs filled in, run through the gate, outputs taken, all of it noted."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from runbook_defs.execution import StepRecord, StepStatus
from runbook_defs.expressions import ExpressionError
from runbook_defs.model import Step
from runbook_defs.outputs import OutputError, select
from runbook_defs.templates import Template, compile_template
from runbook_factory.recorder import Recorder
from step_ops.errors import ErrorType, StepError
from step_ops.gate import Gate
from step_ops.recording import record_exchange, record_read
from step_ops.redaction import Redactor
from step_ops.step_type import Result, StepType


@dataclass(frozen=True, kw_only=True)
class StepRun:
    """What one attempt needs. `secrets` are the undeclared names that are secrets, not inputs."""

    step: Step
    step_type: StepType[Any]
    templates: Mapping[str, Template]
    secrets: frozenset[str]
    gate: Gate
    recorder: Recorder
    redactor: Redactor
    position: int
    attempt: int
    begins: float | None

    def run(self, scope: Mapping[str, Any]) -> tuple[StepRecord, dict[str, Any]]:
        """The record of the attempt, with nothing secret in it, and the outputs for later steps."""
        record = StepRecord(
            step_id=self.step.id,
            type=self.step.type,
            status=StepStatus.RUNNING,
            attempt=self.attempt,
            started_at=datetime.now(UTC),
            started_virtual=self.begins,
        )
        outputs: dict[str, Any] = dict.fromkeys(self.step.outputs)
        begun = False
        try:
            inputs = self._inputs(scope)
            record = self.recorder.clean(replace(record, inputs=inputs))
            self.recorder.begin_step(record, position=self.position)
            begun = True
            result = self.step_type.run(self.step_type.parse(inputs), self.gate)
            outputs = {name: select(spec, result.value) for name, spec in self.step.outputs.items()}
            record = replace(
                record,
                status=StepStatus.SUCCESS,
                outputs=outputs,
                errors=result.errors,
                records=vars(result.records) if result.records else None,
                summary=self._summary(result, outputs, scope),
            )
        except (StepError, ExpressionError, OutputError) as error:
            record = replace(record, status=StepStatus.FAILED, errors=(described(error),), outputs=outputs)
        except Exception as error:
            record = replace(record, status=StepStatus.FAILED, errors=(_bug(error),), outputs=outputs)
        if not begun:  # filling the inputs failed: there is something to note all the same
            self.recorder.begin_step(self.recorder.clean(record), position=self.position)
        return self._finished(record), outputs

    def _inputs(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        filled: dict[str, Any] = {}
        for name, template in self.templates.items():
            names = {path[0] for found in template.found for path in found.expression.names}
            secrets = {item: self.gate.secret(item) for item in sorted(names & self.secrets)}
            filled[name] = template.render({**scope, **secrets} if secrets else scope)
        return filled

    def _summary(self, result: Result, outputs: Mapping[str, Any], scope: Mapping[str, Any]) -> str:
        if self.step.summary is None:
            return self.step_type.summary(result, outputs)
        steps = {**scope["steps"], self.step.id: {"outputs": outputs, "status": "success"}}
        return str(compile_template(self.step.summary).render({**scope, "steps": steps}))

    def _finished(self, record: StepRecord) -> StepRecord:
        keep = self.recorder.keep
        record = self.recorder.clean(
            replace(
                record,
                completed_at=datetime.now(UTC),
                seconds=round(self.gate.elapsed(), 6),
                exchanges=tuple(
                    record_exchange(item, redactor=self.redactor, keep=keep) for item in self.gate.exchanges
                ),
                reads=tuple(record_read(item, redactor=self.redactor) for item in self.gate.reads),
                pictures=tuple(vars(item) for item in self.gate.pictures),
            )
        )
        self.recorder.finish_step(record)
        return record


def described(error: StepError | ExpressionError | OutputError) -> dict[str, Any]:
    """A failure as the record and its readers hold it."""
    match error:
        case StepError():
            kind, details = error.type, error.details
        case ExpressionError():
            kind, details = ErrorType.EXPRESSION, {}
        case OutputError():
            kind, details = ErrorType.DATA, {}
    described = {"type": kind.value, "message": error.message, "failed": True}
    return (
        described | ({"hint": error.hint} if error.hint else {}) | ({"details": details} if details else {})
    )


def _bug(error: Exception) -> dict[str, Any]:
    """An error that no step type should let out: the record keeps where it came from."""
    return {
        "type": ErrorType.INTERNAL.value,
        "message": f"{type(error).__name__}: {error}",
        "hint": "this is a fault of the step type, not of the runbook",
        "details": {"traceback": traceback.format_exception(error)[-8:]},
        "failed": True,
    }
