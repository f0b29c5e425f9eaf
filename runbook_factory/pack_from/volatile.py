"""What of a recorded execution is another value each time: ids, clocks, chance, and what comes of them."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from runbook_defs.comparisons import same
from runbook_defs.execution import StepRecord
from runbook_defs.expressions import Expression, text_of
from runbook_defs.graph import levels
from runbook_defs.model import Step
from runbook_defs.outputs import is_path
from runbook_defs.templates import Found, compile_template
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.pack_from.fake_secrets import FakeSecrets
from runbook_factory.replay.recording import Recording

_OWN_READS = {"clock", "random", "id"}
_OF_THE_ENGINE = "execution.duration"


class Volatile:
    """Tells of values of one recorded execution whether a test of it would have others in their place.

    What stands in recorded answers is the same in a test, whatever was asked: what a step gives is
    only volatile where the step reads a clock itself, keeps a picture, or makes it of its inputs alone.
    """

    def __init__(self, recording: Recording, runbook: LoadedRunbook, *, secrets: FakeSecrets) -> None:
        self._recording = recording
        self._id = recording.record.id
        self._secrets = secrets
        self._outputs: set[tuple[str, str]] = set()
        # The expressions whose values are volatile, with the input that they stand in.
        self._inputs: dict[str, list[tuple[str, Found]]] = {}
        for probe in runbook.probes.values():
            self._inputs[probe.id] = list(self._volatile_inputs(probe, runbook))
        for level in levels({step.id: list(step.depends_on) for step in runbook.runbook.steps}):
            for name in level:
                step = runbook.steps[name][1]
                self._inputs[name] = list(self._volatile_inputs(step, runbook))
                self._outputs |= {(name, output) for output in self._volatile_outputs(step)}

    def output(self, step: str, name: str) -> bool:
        """Whether the output of the step is volatile."""
        return (step, name) in self._outputs

    def sent(self, value: Any, attempt: StepRecord) -> bool:
        """Whether something volatile or secret is in `value`, which this attempt sent."""
        text = json.dumps(value, ensure_ascii=False)
        # The last stands for what the database cannot hold.
        unsure = "withheld:" in text or self._secrets.are_in(text) or "\ufffd" in text
        return unsure or self._is_of(value, attempt)

    def but_for_the_id(self, text: str, attempt: StepRecord) -> bool:
        """Whether something volatile besides the execution's id is in a text that this attempt gave."""
        known = self._values(attempt)
        return known is None or _holds(text.replace(self._id, ""), [one for one in known if one != self._id])

    def measure(self, name: str, value: float) -> bool:
        """Whether the published metric `name` is volatile."""
        for step in self._recording.record.steps:
            if _holds(value, _own_reads(step)):
                return True
            if any(name in (place, *one.location) for place, one in self._inputs.get(step.step_id, ())):
                return True
        return False

    def figure(self, value: str) -> bool:
        """Whether a KPI whose value is stated so is volatile."""
        return any(self._varies(one.expression) for one in compile_template(value).found)

    def _volatile_inputs(self, step: Step, runbook: LoadedRunbook) -> Iterator[tuple[str, Found]]:
        items = any(self._varies(one.expression) for one in compile_template(step.for_each).found)
        for name, template in runbook.templates[step.id].items():
            if not runbook.step_types[step.id].is_expression((name,)):
                yield from (
                    (name, one) for one in template.found if self._varies(one.expression, items=items)
                )

    def _volatile_outputs(self, step: Step) -> Iterator[str]:
        attempts = self._recording.steps.get(step.id, ())
        if not attempts:
            return
        last = attempts[-1]
        of_itself = bool(_own_reads(last) or last.pictures)
        of_inputs = bool(self._inputs[step.id] and not last.exchanges)
        for name, spec in step.outputs.items():
            if is_path(spec) and (of_itself or of_inputs or self._is_of(last.outputs.get(name), last)):
                yield name

    def _is_of(self, value: Any, attempt: StepRecord) -> bool:
        known = self._values(attempt)
        return known is None or _holds(value, [self._id, *known])

    def _values(self, attempt: StepRecord) -> list[Any] | None:
        """The volatile values that went into this attempt; None when not all of them are recorded."""
        values = _own_reads(attempt)
        for text in {one.expression.text for _, one in self._inputs.get(attempt.step_id, ())}:
            reads = (read for read in attempt.reads if read["kind"] == "expression")
            given = [read["value"] for read in reads if read["name"] == text]
            if not given or any(isinstance(value, Mapping) for value in given):  # of what is large, its size
                return None
            values += given
        return [value for value in values if value not in (None, "")]

    def _varies(self, expression: Expression, *, items: bool = False) -> bool:
        return any(self._is_volatile(path, items) for path in expression.names)

    def _is_volatile(self, path: tuple[str, ...], items: bool) -> bool:
        match path:
            case ("execution", *_):
                return True
            case ("item", *_):
                return items
            case ("steps", step, "outputs", output, *_):
                return (step, output) in self._outputs
            case ("steps", step) | ("steps", step, "outputs"):
                return any(name == step for name, _ in self._outputs)
            case ("steps",):
                return bool(self._outputs)
            case _:
                return False


def _own_reads(attempt: StepRecord) -> list[Any]:
    """What the step itself read of clocks and chance, and has as an id."""
    return [
        read["value"]
        for read in attempt.reads
        if read["kind"] in _OWN_READS and read["name"] != _OF_THE_ENGINE
    ]


def _holds(value: Any, known: Collection[Any]) -> bool:
    """Whether one of the known values is `value`, or inside it, also as part of a text."""
    return any(
        text_of(one) in leaf if isinstance(leaf, str) else same(one, leaf)
        for leaf in _leaves(value)
        for one in known
    )


def _leaves(value: Any) -> Iterator[Any]:
    match value:
        case dict():
            for key, item in value.items():
                yield key
                yield from _leaves(item)
        case list() | tuple():
            for item in value:
                yield from _leaves(item)
        case _:
            yield value
