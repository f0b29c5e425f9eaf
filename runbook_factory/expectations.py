"""What happened in a test held against what its scenario expects: a finding for each thing that differs."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from runbook_defs.comparisons import compile_comparison
from runbook_defs.differences import described, find_differences
from runbook_defs.execution import ExecutionRecord, Status, StepRecord, StepStatus
from runbook_defs.graph import upstream
from runbook_defs.model import Runbook
from runbook_defs.pack import Expected, ExpectedPath, is_file
from runbook_defs.pack_files import ExpectedFileError, read_expected
from runbook_factory.shelf import default_baseline
from step_ops.cassette import Fixture
from step_ops.errors import ErrorType

# Errors that say that the test is wrong, or the step type, never what the runbook was tested for.
_FAULTS = (ErrorType.CASSETTE, ErrorType.INTERNAL)
_BEGUN = {StepStatus.SUCCESS, StepStatus.FAILED, StepStatus.UNKNOWN}
_PSEUDONYM = re.compile(r"secret:[A-Za-z_][A-Za-z0-9_]*#[0-9a-f]{10}")


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file of the pack as `rb test --update` would write it; a baseline has its `step` and `picture`."""

    path: Path
    data: bytes
    step: str = ""
    picture: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as expected, with its details; `told` when a line about the picture says it.

    `mended_by` is the file that would make it as expected.
    """

    what: str
    details: tuple[str, ...] = ()
    told: bool = False
    mended_by: NewFile | None = None


@dataclass(frozen=True, kw_only=True)
class Happened:
    """A test that has ended: the record, each attempt of each step, and where the files are.

    `project` is the folder that the paths of pictures are relative to.
    """

    runbook: Runbook
    fixture: Fixture
    record: ExecutionRecord
    attempts: Sequence[StepRecord]
    pack: Path
    project: Path


def find_deviations(expected: Expected, happened: Happened) -> Iterator[Finding]:
    """All that is not as expected."""
    record = happened.record
    if record.status != expected.status:
        why = f": {record.reason}" if record.reason else ""
        yield Finding(what=f"status is {record.status}, expected {expected.status}{why}")
        if record.status is Status.ABORTED:
            return  # what comes of that is no finding of its own
    else:
        yield from _not_of_the_runbook(expected, happened)
    yield from _figures(expected, record)
    yield from _errors(expected, record)
    if expected.path is not None:
        yield from _path(expected.path, happened)
    yield from _outputs(expected, happened)
    yield from _pictures(expected, happened)


def _not_of_the_runbook(expected: Expected, happened: Happened) -> Iterator[Finding]:
    """Reasons for the status that was expected which have nothing to do with what is tested."""
    record = happened.record
    unmet = [item for item in record.assumptions if not item.met]
    nothing_ran = all(step.status is StepStatus.NOT_RUN for step in record.steps)
    if record.status is Status.ABORTED and nothing_ran and not unmet:
        yield Finding(what=f"it did not start: {record.reason}")
    for item in unmet:
        if item.how == "fixture" and item.id not in happened.fixture.assumptions:
            yield Finding(what=f"assumption {item.id!r} is not stated by the fixture")
    wanted = expected.errors.type if expected.errors else None
    for step in (*record.probes, *record.steps):
        failure = step.failure
        if failure and failure["type"] in _FAULTS and failure["type"] != wanted:
            what = f"{step.step_id!r} failed for a reason outside the runbook: {failure['message']}"
            yield Finding(what=what)
    for key, count in _unused(happened):
        what = f"the fixture has {count} exchange{'s' if count > 1 else ''} for step {key!r} that nobody used"
        yield Finding(what=what)


def _unused(happened: Happened) -> Iterator[tuple[str, int]]:
    used: Counter[str] = Counter()
    for attempt in (*happened.record.probes, *happened.attempts):
        for exchange in attempt.exchanges:
            item = exchange.get("item")
            used[attempt.step_id if item is None else f"{attempt.step_id}[{item}]"] += 1
    # After an abort it is a matter of chance whether a step beside the failed one had begun.
    steps = (*happened.record.probes, *happened.record.steps)
    of_steps = {step.step_id for step in steps if step.status is not StepStatus.NOT_RUN}
    for key, entries in happened.fixture.steps.items():
        left = len(entries) - used[key]
        if left > 0 and key.partition("[")[0] in of_steps:
            yield key, left


def _figures(expected: Expected, record: ExecutionRecord) -> Iterator[Finding]:
    figures: dict[str, Any] = {"duration_seconds": record.duration_seconds}
    figures |= record.measures
    figures |= {kpi.name: kpi.value for kpi in record.kpis}
    for name, spec in expected.kpis.items():
        if name not in figures:
            known = ", ".join(figures)
            yield Finding(what=f"KPI {name} was expected, but there are only: {known}")
            continue
        comparison = compile_comparison(spec)
        if not comparison.holds(figures[name]):
            yield Finding(what=f"KPI {name} is {figures[name]}, expected {comparison.text}")


def _errors(expected: Expected, record: ExecutionRecord) -> Iterator[Finding]:
    if expected.errors is None:
        return
    errors = [error for step in record.steps for error in step.errors]
    wanted = expected.errors.type
    matching = [error for error in errors if wanted is None or error.get("type") == wanted]
    kind = f" of type {wanted}" if wanted else ""
    count = expected.errors.count
    comparison = compile_comparison("> 0" if count is None else count)
    if not comparison.holds(len(matching)):
        there = Counter(str(error.get("type")) for error in errors)
        yield Finding(
            what=f"{len(matching)} errors{kind}, expected {comparison.text}",
            details=tuple(f"{number} of type {name}" for name, number in there.items()),
        )


def _path(expected: ExpectedPath, happened: Happened) -> Iterator[Finding]:
    steps = happened.record.steps
    begun = _order(happened)
    if expected.ran is not None:
        if sorted(expected.ran) != sorted(begun):
            yield Finding(what=f"steps that ran: {_row(begun)}; expected: {_row(expected.ran)}")
        elif not _may_be_the_order(expected.ran, happened):
            starts = _starts(happened)
            yield Finding(
                what=f"steps began in the order {_row(begun)}; expected: {_row(expected.ran)}",
                details=tuple(f"{step} began after {starts[step]:g}s" for step in begun),
            )
    for wanted, status in (
        (expected.failed, StepStatus.FAILED),
        (expected.skipped, StepStatus.SKIPPED),
        (expected.not_run, StepStatus.NOT_RUN),
    ):
        found = [step.step_id for step in steps if step.status is status]
        if wanted is not None and sorted(wanted) != sorted(found):
            name = "that did not run" if status is StepStatus.NOT_RUN else status.value
            yield Finding(what=f"steps {name}: {_row(found)}; expected: {_row(wanted)}")
    if expected.retried is not None:
        yield from _retried(expected.retried, steps)


def _retried(expected: Mapping[str, Any], steps: Sequence[StepRecord]) -> Iterator[Finding]:
    attempts = {step.step_id: step.attempt if step.status in _BEGUN else 0 for step in steps}
    for step, spec in expected.items():
        comparison = compile_comparison(spec)
        if not comparison.holds(attempts.get(step, 0)):
            made = attempts.get(step, 0)
            what = f"step {step!r} had {made} attempt{'' if made == 1 else 's'}, expected {comparison.text}"
            yield Finding(what=what)
    for step, made in attempts.items():
        if made > 1 and step not in expected:
            yield Finding(what=f"step {step!r} was retried, which was not expected ({made} attempts)")


def _order(happened: Happened) -> list[str]:
    """The steps that began, in the order of the virtual clock, then of the graph."""
    starts, before = _starts(happened), _before(happened.runbook)
    begun = [step.step_id for step in happened.record.steps if step.status in _BEGUN]
    return sorted(begun, key=lambda step: (starts[step], len(before[step])))


def _may_be_the_order(names: Sequence[str], happened: Happened) -> bool:
    """Steps that begin at one moment, neither after the other in the graph, have no order."""
    starts, before = _starts(happened), _before(happened.runbook)
    return all(
        starts[earlier] <= starts[later] and later not in before[earlier]
        for earlier, later in combinations(names, 2)
    )


def _starts(happened: Happened) -> dict[str, float]:
    """When the first attempt of each step began."""
    starts: dict[str, float] = {}
    for attempt in happened.attempts:
        starts.setdefault(attempt.step_id, attempt.started_virtual or 0.0)
    return starts


def _before(runbook: Runbook) -> dict[str, frozenset[str]]:
    """For each step, the steps that are done before it."""
    return upstream({step.id: step.depends_on for step in runbook.steps})


def _row(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _outputs(expected: Expected, happened: Happened) -> Iterator[Finding]:
    steps = {step.step_id: step for step in happened.record.steps}
    for step_id, spec in expected.outputs.items():
        step = steps[step_id]
        if step.status is StepStatus.NOT_RUN:
            yield Finding(what=f"step {step_id!r} did not run, so it has no outputs")
            continue
        outputs = json.loads(json.dumps(step.outputs, default=str))
        if is_file(spec):
            yield from _as_in_file(spec, outputs, step_id, happened)
            continue
        for name, value in spec.items():
            place = f"{step_id}.{name}"
            if name not in outputs:
                yield Finding(what=f"there is no output {place}")
            elif is_file(value):
                yield from _as_in_file(value, outputs[name], place, happened)
            else:
                yield from _as_stated(value, outputs[name], place)


def _as_stated(spec: Any, value: Any, place: str) -> Iterator[Finding]:
    comparison = compile_comparison(spec)
    if comparison.holds(value):
        return
    if isinstance(spec, dict | list):
        differences = list(find_differences(spec, value, path=place))
        yield Finding(what=f"output {place} is not as expected", details=tuple(described(differences)))
    else:
        shown = json.dumps(value, ensure_ascii=False)
        shown = shown if len(shown) <= 200 else f"{shown[:197]}..."
        yield Finding(what=f"output {place} is {shown}, expected {comparison.text}")


def _as_in_file(name: str, value: Any, place: str, happened: Happened) -> Iterator[Finding]:
    path = happened.pack / name
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # A pseudonym is made with this deployment's key: elsewhere it is another one.
    portable = not _PSEUDONYM.search(text)
    mended = NewFile(path=path, data=text.encode("utf-8", "replace")) if portable else None
    hint = () if portable else (f"{place} holds a secret, which no expected file can: expect its parts",)
    try:
        wanted = read_expected(path)
    except FileNotFoundError:
        details = hint or ("`rb test ID --update` makes it",)
        yield Finding(
            what=f"{name}, which output {place} should be like, is not there",
            details=details,
            mended_by=mended,
        )
        return
    except ExpectedFileError as error:
        yield Finding(what=error.message)
        return
    differences = list(find_differences(wanted, value, path=place))
    if differences:
        count = f"{len(differences)} difference{'s' if len(differences) > 1 else ''}"
        yield Finding(
            what=f"output {place} is not as in {name}: {count}",
            details=(*described(differences), *hint),
            mended_by=mended,
        )


def _pictures(expected: Expected, happened: Happened) -> Iterator[Finding]:
    pictures = {
        item["name"]: (step.step_id, item) for step in happened.record.steps for item in step.pictures
    }
    for name in expected.screenshots:
        if name not in pictures:
            taken = ", ".join(pictures) or "none"
            yield Finding(what=f"screenshot {name!r} was expected, taken: {taken}")
    for step, picture in pictures.values():
        name = picture["name"]
        if picture["ratio"] is None:
            what = f"screenshot {name!r} has no baseline: look at {picture['path']}"
            yield Finding(what=what, told=True, mended_by=_baseline(step, picture, expected, happened))
        elif picture["ratio"] > picture["allowed"] or picture["verdict"] == "size-changed":
            what = f"screenshot {name!r} differs in {picture['ratio']:.2%} of its pixels"
            yield Finding(what=what, told=True)


def _baseline(
    step: str, picture: Mapping[str, Any], expected: Expected, happened: Happened
) -> NewFile | None:
    name = picture["name"]
    file = expected.screenshots.get(name, default_baseline(name))
    try:
        data = (happened.project / picture["path"]).read_bytes()
    except OSError:
        return None
    return NewFile(path=happened.pack / file, data=data, step=step, picture=name)
