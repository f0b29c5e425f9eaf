"""Runs a runbook on fixtures and holds what happened against what the acceptance pack expects."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

from runbook_defs.comparisons import compile_comparison
from runbook_defs.execution import Actor, Event, ExecutionFinished, ExecutionRecord, Status
from runbook_defs.pack import Expected, load_pack
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.request import CassetteRef, RunRequest
from runbook_factory.runs import run_runbook
from step_ops.cassette import CassetteError, Fixture, load_fixtures
from step_ops.gate import Mode


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of a test: a scenario of a fixture file and what is expected of it."""

    name: str
    path: Path
    fixture: Fixture
    expected: Expected
    pack: Path


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as expected; `told` when a line about the picture already says it."""

    what: str
    told: bool = False


@dataclass(frozen=True, kw_only=True)
class CaseFinished:
    """The end of a case: its execution, and what was not as expected."""

    case: Case
    record: ExecutionRecord
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def find_cases(runbook: LoadedRunbook, fixture: str | None) -> list[Case]:
    """The cases of the runbook's pack, or those of one fixture file.

    Raises `CassetteError`, or `InvalidPack`.
    """
    folder = runbook.project.pack(runbook.id)
    pack = load_pack(folder)
    if fixture is None:
        wanted = [(item.name, folder / item.fixture, item.expected) for item in pack.scenarios]
    else:
        path = _find_fixture(fixture, folder)
        wanted = [
            (item.name, path, item.expected)
            for item in pack.scenarios
            if (folder / item.fixture).resolve() == path.resolve()
        ] or [("", path, Expected())]
    cases: list[Case] = []
    for name, path, expected in wanted:
        for loaded in load_fixtures(path):
            if loaded.runbook != runbook.id:
                message = f"the fixture is for {loaded.runbook!r}, not for {runbook.id!r}"
                raise CassetteError(path, message)
            title = name or loaded.scenario
            cases.append(Case(name=title, path=path, fixture=loaded, expected=expected, pack=folder))
    return cases


def _find_fixture(name: str, pack: Path) -> Path:
    places = [Path(name), pack / name, pack / "fixtures" / name]
    for path in places:
        if path.is_file():
            return path.resolve()
    looked = ", ".join(str(path.parent) for path in places)
    raise CassetteError(Path(name), "there is no such fixture", hint=f"looked in {looked}")


def run_case(
    runbook: LoadedRunbook, case: Case, *, actor: Actor, instance: DagsterInstance
) -> Iterator[Event | CaseFinished]:
    """What happens in the run of `case`, and at last how it compares."""
    baselines = {name: str(case.pack / file) for name, file in case.expected.screenshots.items()}
    request = RunRequest(
        mode=Mode.TEST,
        cassette=CassetteRef(
            file=str(case.path.resolve()), scenario=case.fixture.scenario, baselines=baselines
        ),
    )
    record: ExecutionRecord | None = None
    for event in run_runbook(runbook, request, actor=actor, instance=instance):
        if isinstance(event, ExecutionFinished):
            record = event.record
        yield event
    if record is not None:
        yield CaseFinished(case=case, record=record, findings=tuple(_compare(case.expected, record)))


def _compare(expected: Expected, record: ExecutionRecord) -> Iterator[Finding]:
    if record.status is not expected.status:
        why = f": {record.reason}" if record.reason else ""
        yield Finding(what=f"status is {record.status}, expected {expected.status}{why}")
        if record.status is Status.ABORTED:
            return  # what comes of that is no finding of its own
    elif record.status is Status.SUCCESS and record.reason:
        yield Finding(what=record.reason)
    yield from _figures(expected, record)
    yield from _errors(expected, record)
    yield from _pictures(expected, record)


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
        yield Finding(what=f"{len(matching)} errors{kind}, expected {comparison.text}")


def _pictures(expected: Expected, record: ExecutionRecord) -> Iterator[Finding]:
    pictures = {item["name"]: item for step in record.steps for item in step.pictures}
    for name in expected.screenshots:
        if name not in pictures:
            taken = ", ".join(pictures) or "none"
            yield Finding(what=f"screenshot {name!r} was expected, taken: {taken}")
    for name, picture in pictures.items():
        if picture["ratio"] is None:
            what = f"screenshot {name!r} has no baseline: look at {picture['path']}"
            yield Finding(what=what, told=True)
        elif picture["ratio"] > picture["allowed"] or picture["verdict"] == "size-changed":
            what = f"screenshot {name!r} differs in {picture['ratio']:.2%} of its pixels"
            yield Finding(what=what, told=True)
