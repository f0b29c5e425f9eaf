"""One attempt of one step: inputs filled in, run through the gate, outputs taken, all of it noted."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from runbook_defs.execution import StepRecord, StepStatus
from runbook_defs.model import Step
from runbook_defs.outputs import select
from runbook_defs.templates import Template, compile_template
from runbook_factory.bodies import Bodies
from runbook_factory.conditions import condition, written
from runbook_factory.failures import described
from runbook_factory.for_each import as_items, run_as_recorded, run_at_once, run_in_turn
from runbook_factory.recorder import Recorder
from runbook_factory.retries import seconds_until_retry
from step_ops.gate import Gate, Read
from step_ops.recording import record_exchange, record_read
from step_ops.redaction import Redactor
from step_ops.step_type import Effect, Records, Result, StepType

MOST_OF_AN_EXPRESSION = 200  # characters of its value

# Makes the gate of the step, or of one item of its `for_each`, that begins so many seconds after it.
GateFor = Callable[[int | None, float], Gate]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one doing of a step's body gave."""

    result: Result
    outputs: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RecordedItems:
    """Of a recorded attempt of a `for_each`: the items that it began, if it says so, those that asked only
    later, and the one that failed it.
    """

    began: frozenset[int] | None
    later: frozenset[int]
    failed: int | None

    def left(self, count: int) -> frozenset[int]:
        """Those of so many items that it left alone."""
        return self.later if self.began is None else frozenset(range(count)) - self.began


@dataclass(kw_only=True)
class StepRun:
    """What one attempt needs. `secrets` are the undeclared names that are secrets, not inputs.

    `done` holds the items of a `for_each` that are done: an attempt made again does the others. In a
    replay, `recorded` says which items the recorded attempt did.
    """

    step: Step
    step_type: StepType[Any]
    templates: Mapping[str, Template]
    secrets: frozenset[str]
    gate_for: GateFor
    recorder: Recorder
    redactor: Redactor
    position: int
    attempt: int
    begins: float | None  # on the virtual clock; None when live
    done: MutableMapping[int, Piece]
    recorded: RecordedItems | None = None
    measures: dict[str, float] = field(default_factory=dict)
    _began: set[int] = field(default_factory=set)
    _gates: list[tuple[float, int | None, Gate]] = field(default_factory=list)

    def run(self, gate: Gate, scope: Mapping[str, Any]) -> tuple[StepRecord, dict[str, Any]]:
        """The record of the attempt, with nothing secret in it, and the outputs for later steps."""
        self._gates.append((0.0, None, gate))
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
            inputs = self._all_inputs(gate, scope)
            texts = [written(each) for each in inputs]
            shown = texts[0] if self.step.for_each is None else {"for_each": texts}
            record = self.recorder.clean(replace(record, inputs=shown))
            self.recorder.begin_step(record, position=self.position, effect=gate.effect)
            begun = True
            pieces = self._do(gate, inputs)
            outputs = self._outputs(pieces)
            record = self._succeeded(record, pieces, outputs, scope)
        except Exception as error:
            record = self._failed(record, error, gate, dict.fromkeys(self.step.outputs))
        if not begun:  # filling the inputs failed: there is something to note all the same
            record = self.recorder.clean(record)
            self.recorder.begin_step(record, position=self.position, effect=Effect.READ)
        return self._noted(record), outputs

    def _all_inputs(self, gate: Gate, scope: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The inputs of the step, or of each item."""
        if self.step.for_each is None:
            return [self._inputs(gate, scope)]
        items = as_items(compile_template(self.step.for_each).render(scope))
        return [self._inputs(gate, {**scope, "item": item}) for item in items]

    def _inputs(self, gate: Gate, scope: Mapping[str, Any]) -> dict[str, Any]:
        filled: dict[str, Any] = {}
        for name, template in self.templates.items():
            if self.step_type.is_expression((name,)):
                filled[name] = condition(self.step.inputs[name], template, scope=scope)
                continue
            names = {path[0] for found in template.found for path in found.expression.names}
            secrets = {item: gate.secret(item) for item in sorted(names & self.secrets)}
            known = {**scope, **secrets} if secrets else scope
            filled[name] = template.render(known)
            gate.reads.extend(expression_reads(template, known))
        return filled

    def _do(self, gate: Gate, inputs: Sequence[dict[str, Any]]) -> list[Piece]:
        if self.step.for_each is None:
            return [self._piece(gate, inputs[0])]

        def item(index: int, begins: float) -> tuple[Piece, float]:
            self._began.add(index)
            own = self.gate_for(index, begins)
            self._gates.append((begins, index, own))
            return self._piece(own, inputs[index]), own.elapsed()

        count = len(inputs)
        if self.recorded is not None:
            left, failed = self.recorded.left(count), self.recorded.failed
            run_as_recorded(count, item, done=self.done, left=left, failed=failed)
        else:
            run = run_at_once if self.begins is None else run_in_turn
            run(count, item, done=self.done, lanes=self.step.max_parallel or 1)
        return [self.done[index] for index in range(count)]

    def _piece(self, gate: Gate, inputs: dict[str, Any]) -> Piece:
        result = self.step_type.run(self.step_type.parse(inputs), gate)
        gate.check_time()
        outputs = {name: select(spec, result.value) for name, spec in self.step.outputs.items()}
        return Piece(result=result, outputs=outputs)

    def _outputs(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        if self.step.for_each is None:
            return pieces[0].outputs
        return {name: [piece.outputs[name] for piece in pieces] for name in self.step.outputs}

    def _succeeded(
        self,
        record: StepRecord,
        pieces: Sequence[Piece],
        outputs: dict[str, Any],
        scope: Mapping[str, Any],
    ) -> StepRecord:
        counted = [piece.result.records for piece in pieces if piece.result.records]
        return replace(
            record,
            status=StepStatus.SUCCESS,
            outputs=outputs,
            errors=tuple(error for piece in pieces for error in piece.result.errors),
            records=_summed(counted) if counted else None,
            summary=self._summary(pieces, outputs, scope),
        )

    def _summary(self, pieces: Sequence[Piece], outputs: Mapping[str, Any], scope: Mapping[str, Any]) -> str:
        if self.step.summary is not None:
            steps = {**scope["steps"], self.step.id: {"outputs": outputs, "status": "success"}}
            return str(compile_template(self.step.summary).render({**scope, "steps": steps}))
        if self.step.for_each is not None:
            return f"{len(pieces)} item{'' if len(pieces) == 1 else 's'}"
        return self.step_type.summary(pieces[0].result, outputs)

    def _failed(
        self, record: StepRecord, error: Exception, gate: Gate, outputs: dict[str, Any]
    ) -> StepRecord:
        failure = described(error)
        wait = seconds_until_retry(self.step.retry, failure, attempt=self.attempt, chance=gate.random)
        if wait is not None:
            failure["retry_in"] = wait
        if self.step.for_each is not None:
            failure["began"] = sorted(self._began)
            failure["overran"] = sorted(
                item for _, item, own in self._gates if item is not None and own.overran
            )
        return replace(record, status=StepStatus.FAILED, errors=(failure,), outputs=outputs)

    def _noted(self, record: StepRecord) -> StepRecord:
        """The finished record, with all that was said at the gates."""
        bodies, redactor = Bodies(), self.redactor
        keep = partial(self.recorder.keep, bodies=bodies)
        exchanges: list[dict[str, Any]] = []
        reads: list[dict[str, Any]] = []
        for _, item, gate in self._gates:
            of = {} if item is None else {"item": item}
            exchanges += [
                {**record_exchange(said, redactor=redactor, keep=keep), **of} for said in gate.exchanges
            ]
            reads += [{**record_read(read, redactor=redactor), **of} for read in gate.reads]
            for data in gate.seen:
                keep(data)
            self.measures.update(gate.measures)
        record = self.recorder.clean(
            replace(
                record,
                completed_at=datetime.now(UTC),
                seconds=round(self._seconds(), 6),
                exchanges=tuple(exchanges),
                reads=tuple(reads),
                pictures=tuple(vars(picture) for _, _, gate in self._gates for picture in gate.pictures),
            )
        )
        self.recorder.finish_step(record, bodies)
        return record

    def _seconds(self) -> float:
        """How long it took on the clock of the mode: live, from the start to now."""
        if self.begins is None:
            return self._gates[0][2].elapsed()
        return max(begins + gate.elapsed() for begins, _, gate in self._gates)


def expression_reads(template: Template, scope: Mapping[str, Any]) -> Iterator[Read]:
    """What each expression of the template gave; of what is large only its size, as the inputs hold it."""
    for found in template.found:
        if found.expression.secrets:
            continue  # to ask again would be a read of its own
        value = found.expression.evaluate(scope)
        if isinstance(value, list | tuple | Mapping):
            value = {"list" if isinstance(value, list | tuple) else "mapping": len(value)}
        elif isinstance(value, str) and len(value) > MOST_OF_AN_EXPRESSION:
            value = {"text": len(value)}
        yield Read(kind="expression", name=found.expression.text, value=value)


def _summed(counts: Sequence[Records]) -> dict[str, int]:
    return {
        "checked": sum(count.checked for count in counts),
        "passed": sum(count.passed for count in counts),
        "failed": sum(count.failed for count in counts),
    }
