"""What a scenario made from an execution expects: what was recorded, where a test gives the same."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from runbook_defs.comparisons import ComparisonError, compile_comparison, is_number
from runbook_defs.error_types import ERROR_TYPES
from runbook_defs.execution import ExecutionRecord, KpiResult, StepRecord, StepStatus
from runbook_defs.graph import upstream
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.pack_from.chance import left_to_chance
from runbook_factory.pack_from.fake_secrets import FakeSecrets
from runbook_factory.pack_from.refusal import NotPackable
from runbook_factory.pack_from.side_files import SideFiles
from runbook_factory.pack_from.volatile import Volatile
from runbook_factory.replay.recording import Recording
from step_ops.errors import ErrorType

MOST_MATCHED = 300  # characters of a text that is expected by a pattern
_BEGUN = {StepStatus.SUCCESS, StepStatus.FAILED, StepStatus.UNKNOWN}
_ID = "[0-9a-f-]{36}"


@dataclass(frozen=True, kw_only=True)
class ExpectationMaker:
    """Makes what a scenario expects; outputs go into `outputs`, baselines into `pictures`, by name."""

    recording: Recording
    runbook: LoadedRunbook
    volatile: Volatile
    secrets: FakeSecrets
    outputs: SideFiles
    pictures: SideFiles
    slug: str

    def expected(self) -> dict[str, Any]:
        """The `expected` of the scenario; raises `NotPackable` for pictures that no scenario can expect."""
        parts = {
            "kpis": dict(self._figures()),
            "errors": self._errors(),
            "outputs": {step: spec for step, spec in self._outputs() if spec},
            "path": self._path(),
            "screenshots": dict(self._screenshots()),
        }
        return {"status": self.record.status.value} | {name: part for name, part in parts.items() if part}

    @property
    def record(self) -> ExecutionRecord:
        """The record of the execution."""
        return self.recording.record

    @cached_property
    def by_chance(self) -> frozenset[str]:
        """The steps of which nothing can be expected."""
        return left_to_chance(self.record, self.runbook.runbook)

    @cached_property
    def ends(self) -> dict[str, StepRecord]:
        """The last attempt of each step of which something can be expected."""
        last = {step.step_id: step for step in self.record.steps}
        return {name: step for name, step in last.items() if name not in self.by_chance}

    def _figures(self) -> Iterator[tuple[str, Any]]:
        names = {kpi.name for kpi in self.record.kpis}
        for name in dict.fromkeys(kpi.name for kpi in self.record.kpis):
            results = [kpi for kpi in self.record.kpis if kpi.name == name]
            spec = _limit(results) if self._depends_on_time(name) else _plain(results[0].value)
            if spec is not None and not self.secrets.are_in(str(spec)):
                yield name, spec
        for name, value in self.record.measures.items():
            held_back = self.volatile.measure(name, value) or self.secrets.are_in(str(value))
            if name not in names and not self.by_chance and not held_back:
                yield name, _plain(value)

    def _depends_on_time(self, name: str) -> bool:
        own = self.runbook.runbook.kpis.own.get(name)
        return self.volatile.figure(own.value) if own else name == "max_duration_seconds"

    def _errors(self) -> dict[str, Any]:
        errors = [error for step in self.ends.values() for error in step.errors]
        count = {} if self.by_chance else {"count": len(errors)}
        kinds = {error.get("type") for error in errors}
        return count | ({"type": kinds.pop()} if len(kinds) == 1 and kinds <= ERROR_TYPES else {})

    def _path(self) -> dict[str, Any]:
        """The way through the graph; where chance has a say, only what is beyond it."""
        steps = {step.step_id: step for step in self.record.steps}
        parts: dict[str, Any] = {
            "failed": [name for name, step in steps.items() if step.status is StepStatus.FAILED],
            "skipped": [name for name, step in steps.items() if step.status is StepStatus.SKIPPED],
            "not_run": [name for name, step in steps.items() if step.status is StepStatus.NOT_RUN],
            "retried": {
                name: step.attempt
                for name, step in steps.items()
                if step.attempt > 1 and step.status in _BEGUN
            },
        }
        if self.by_chance:
            kept = ("failed", "retried")
            return {name: parts[name] for name in kept if not self.by_chance & set(parts[name])}
        order = self._order()
        return ({"ran": order} if order is not None else {}) | parts

    def _order(self) -> list[str] | None:
        """The steps that began, in the order in which they do so on any clock; None when there is no such.

        One surely begins no later than another when all that it waits for comes before that one too.
        """
        waits = {step.id: frozenset(step.depends_on) for step in self.runbook.runbook.steps}
        before = upstream({name: list(ups) for name, ups in waits.items()})
        begun = [name for name, step in self.ends.items() if step.status in _BEGUN]
        order = sorted(begun, key=lambda name: len(before[name]))
        pairs = ((one, two) for place, one in enumerate(order) for two in order[place + 1 :])
        return order if all(waits[one] <= before[two] for one, two in pairs) else None

    def _outputs(self) -> Iterator[tuple[str, Any]]:
        """For each step that succeeded the file of its outputs or, where some are volatile, those by name."""
        for name, step in self.ends.items():
            if step.status is not StepStatus.SUCCESS or not step.outputs:
                continue
            written = self.runbook.steps[name][1].outputs  # in the order of the definition
            firm = {output: step.outputs[output] for output in written if self._is_firm(step, output)}
            if len(firm) == len(step.outputs):
                yield name, self.outputs.keep_json(name, firm)
                continue
            yield (
                name,
                {output: self.outputs.keep_json(f"{name}.{output}", value) for output, value in firm.items()}
                | dict(self._patterns(step)),
            )

    def _is_firm(self, step: StepRecord, output: str) -> bool:
        text = json.dumps(step.outputs[output], ensure_ascii=False)
        # Its place was taken by what the database cannot hold.
        odd = "\ufffd" in text
        return not (odd or self.secrets.are_in(text) or self.volatile.output(step.step_id, output))

    def _patterns(self, step: StepRecord) -> Iterator[tuple[str, str]]:
        """For outputs that are texts with the execution's id in them, such as the path of a picture."""
        for output, value in step.outputs.items():
            if not isinstance(value, str) or self.record.id not in value or len(value) > MOST_MATCHED:
                continue
            if not self.secrets.are_in(value) and not self.volatile.but_for_the_id(value, step):
                parts = (re.escape(part).replace("\\-", "-") for part in value.split(self.record.id))
                yield output, f"matches ^{_ID.join(parts)}$"

    def _screenshots(self) -> Iterator[tuple[str, str]]:
        known: dict[str, str] = {}
        for step in self.ends.values():
            if step.failure and step.failure["type"] == ErrorType.SCREENSHOT and step.pictures:
                message = f"step {step.step_id!r} failed because its picture is not like the baseline"
                raise NotPackable(
                    message, hint="no scenario can expect that: each holds its pictures to theirs"
                )
            for picture in step.pictures:
                name, digest = picture["name"], picture["digest"]
                if known.setdefault(name, digest) != digest:
                    message = (
                        f"two pictures are called {name!r} and differ, where a scenario has one baseline"
                    )
                    raise NotPackable(message, hint="give each step a `name` for its picture")
        for name, digest in known.items():
            data = self.recording.bodies[digest]
            yield name, self.pictures.keep(f"{self.slug}-{name}", data, ending=".png")


def _plain(value: Any) -> Any:
    """The value as an expectation that means itself; None when there is none."""
    if is_number(value):
        return int(value) if value % 1 == 0 else value
    if isinstance(value, str):
        return value if _means_itself(value) else None
    return value if isinstance(value, bool) else None


def _means_itself(text: str) -> bool:
    try:
        return compile_comparison(text).text == f"= {text!r}"
    except ComparisonError:
        return False


def _limit(results: list[KpiResult]) -> str | None:
    """The limit that a figure kept, as a comparison."""
    signs = {"max": "<=", "min": ">="}
    kept = [kpi for kpi in results if kpi.met and kpi.bound in signs]
    return f"{signs[kept[0].bound]} {_plain(kept[0].limit)}" if kept else None
