"""What each execution of a load test is given."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook_defs.execution import ExecutionRecord
from runbook_defs.problems import listed
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.loadtest.refusal import LoadTestError
from runbook_factory.sealed_inputs import sensitive_names

if TYPE_CHECKING:
    from runbook_factory.acceptance import Case

# From here on a whole number is another one in JavaScript.
_MOST = 2**53
# What stands in a record for something that was masked.
_MASKED = re.compile(r"secret:.*#[0-9a-f]{10}|withheld:")


@dataclass(frozen=True, kw_only=True)
class GivenInputs:
    """The inputs that executions get in turn, and in words where they are from."""

    values: tuple[Mapping[str, Any], ...] = ({},)
    source: str = "the runbook's own defaults"


def inputs_of_cases(
    runbook: LoadedRunbook, cases: "Sequence[Case]", *, fixture: str, scenario: str
) -> GivenInputs:
    """The inputs of the scenarios that are asked for; of nothing in particular, those of the first that is
    expected to succeed. Raises `LoadTestError`.
    """
    chosen = [case for case in cases if not scenario or scenario in {case.name, case.fixture.scenario}]
    if scenario and not chosen:
        names = listed(dict.fromkeys(case.name for case in cases))
        hint = f"there are: {names}" if names else ""
        raise LoadTestError(f"{runbook.id} has no scenario {scenario!r}", hint=hint)
    if not fixture and not scenario:
        chosen = [case for case in chosen if case.expected.status == "success"][:1]
    if not chosen:
        return _checked(runbook, GivenInputs())
    names = ", ".join(dict.fromkeys(json.dumps(case.name) for case in chosen))
    values = _in_turn(runbook, (case.fixture.inputs for case in chosen))
    return _checked(runbook, GivenInputs(values=values, source=f"the acceptance pack: {names}"))


def inputs_of_executions(runbook: LoadedRunbook, records: Sequence[ExecutionRecord]) -> GivenInputs:
    """The inputs of executions, given newest first, oldest first; raises `LoadTestError`."""
    whole = [item.inputs for item in records if not _MASKED.search(json.dumps(_own(runbook, item.inputs)))]
    if not whole:
        hint = "run it first, or leave --from-executions out"
        what = "has nothing masked in its inputs" if records else "succeeded"
        raise LoadTestError(f"no execution of {runbook.id} that {what} is recorded", hint=hint)
    values = _in_turn(runbook, reversed(whole))
    return _checked(runbook, GivenInputs(values=values, source="recorded executions"))


def inputs_kept(runbook: LoadedRunbook, values: Iterable[Any]) -> GivenInputs:
    """Those that a script has from recorded executions, as they may be given to this runbook."""
    kept = tuple(item for item in values if isinstance(item, dict))
    known = _own_names(runbook)
    unknown = sorted({name for item in kept for name in item} - known)
    if unknown or not kept:
        what = f"has inputs that are no longer the runbook's: {listed(unknown)}" if kept else "has no inputs"
        raise LoadTestError(f"the load test of {runbook.id} {what}", hint="generate it again")
    return _checked(runbook, GivenInputs(values=kept, source="recorded executions"))


def from_environment(runbook: LoadedRunbook) -> dict[str, bool]:
    """The inputs that the script leaves out and the environment may have, and whether it has to."""
    hidden = {name: runbook.runbook.inputs[name].is_required for name in sorted(sensitive_names(runbook))}
    return {**hidden, **dict.fromkeys(sorted(runbook.checked.uses.implicit), False)}


def _own_names(runbook: LoadedRunbook) -> set[str]:
    """What may stand in the file: no secret of a person, and no address of one place or a fixture's."""
    return set(runbook.runbook.inputs) - sensitive_names(runbook)


def _own(runbook: LoadedRunbook, inputs: Mapping[str, Any]) -> dict[str, Any]:
    names = _own_names(runbook)
    return {name: value for name, value in inputs.items() if name in names}


def _in_turn(runbook: LoadedRunbook, inputs: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Each once."""
    kept = [_own(runbook, item) for item in inputs]
    different = {json.dumps(item, sort_keys=True): item for item in kept}
    return tuple(different.values())


def _checked(runbook: LoadedRunbook, given: GivenInputs) -> GivenInputs:
    """Raises `LoadTestError` for what the service would refuse, or k6 would change."""
    required = [
        name
        for name, spec in runbook.runbook.inputs.items()
        if spec.is_required and name in _own_names(runbook)
    ]
    missing = listed(name for name in required if any(name not in item for item in given.values))
    if missing:
        message = f"{runbook.id} needs inputs that are not in {given.source}: {missing}"
        raise LoadTestError(message, hint="name a fixture that has them: --fixture FILE")
    if any(_is_too_large(value) for item in given.values for value in item.values()):
        raise LoadTestError(
            f"an input of {runbook.id} has a number that k6 cannot send as it is", hint="give it as text"
        )
    return given


def _is_too_large(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_is_too_large(item) for item in value.values())
    if isinstance(value, list):
        return any(_is_too_large(item) for item in value)
    return isinstance(value, int) and abs(value) > _MOST
