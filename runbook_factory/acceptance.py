"""Runs a runbook on the scenarios of its acceptance pack."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dagster import DagsterInstance

from runbook_defs.execution import Actor, Event, ExecutionFinished, ExecutionRecord, StepFinished, StepRecord
from runbook_defs.pack import Expected
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.expectations import Finding, Happened, find_deviations
from runbook_factory.packs import load_runnable_pack, load_scenarios
from runbook_factory.request import CassetteRef, RunRequest
from runbook_factory.runs import run_runbook
from step_ops.cassette import CassetteError, Fixture
from step_ops.gate import Mode


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of a test: a scenario of a fixture file and what is expected of it."""

    runbook: LoadedRunbook
    name: str
    path: Path
    fixture: Fixture
    expected: Expected
    pack: Path

    @property
    def id(self) -> str:
        """Such as `rb-001-entity-enrichment::golden`: what names of cases are selected by."""
        return f"{self.runbook.id}::{self.name}"


@dataclass(frozen=True, kw_only=True)
class CaseFinished:
    """The end of a case: its execution, what was not as expected, and the real seconds it took."""

    case: Case
    record: ExecutionRecord
    findings: tuple[Finding, ...]
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def find_cases(runbook: LoadedRunbook, fixture: str | None = None) -> list[Case]:
    """The cases of the runbook's pack, or those of one fixture file.

    Raises `CassetteError`, or `InvalidPack`.
    """
    folder = runbook.project.pack(runbook.id)
    if fixture is None:
        scenarios = load_runnable_pack(runbook)
        wanted = [(item.name, folder / item.fixture, item.expected) for item in scenarios]
    else:
        path = _find_fixture(fixture, folder)
        scenarios = load_runnable_pack(runbook, wanted=lambda item: (folder / item.fixture).resolve() == path)
        wanted = [(item.name, path, item.expected) for item in scenarios] or [("", path, Expected())]
    cases: list[Case] = []
    for name, path, expected in wanted:
        fixtures = load_scenarios(path, runbook.runbook)
        for loaded in fixtures:
            title = f"{name} [{loaded.scenario}]" if name and len(fixtures) > 1 else name or loaded.scenario
            cases.append(
                Case(runbook=runbook, name=title, path=path, fixture=loaded, expected=expected, pack=folder)
            )
    return cases


def _find_fixture(name: str, pack: Path) -> Path:
    places = [Path(name), pack / name, pack / "fixtures" / name]
    for path in places:
        if path.is_file():
            return path.resolve()
    looked = ", ".join(str(path.parent) for path in places)
    raise CassetteError(Path(name), "there is no such fixture", hint=f"looked in {looked}")


def run_case(case: Case, *, actor: Actor, instance: DagsterInstance) -> Iterator[Event | CaseFinished]:
    """What happens in the run of `case`, and at last how it compares."""
    began = time.monotonic()
    baselines = {name: str(case.pack / file) for name, file in case.expected.screenshots.items()}
    request = RunRequest(
        mode=Mode.TEST,
        cassette=CassetteRef(
            file=str(case.path.resolve()), scenario=case.fixture.scenario, baselines=baselines
        ),
    )
    record: ExecutionRecord | None = None
    attempts: list[StepRecord] = []
    for event in run_runbook(case.runbook, request, actor=actor, instance=instance):
        match event:
            case StepFinished(record=attempt):
                attempts.append(attempt)
            case ExecutionFinished(record=ended):
                record = ended
        yield event
    if record is None:
        return  # `run_runbook` raises when there is no end
    happened = Happened(
        runbook=case.runbook.runbook,
        fixture=case.fixture,
        record=record,
        attempts=attempts,
        pack=case.pack,
        project=case.runbook.project.root,
    )
    findings = tuple(find_deviations(case.expected, happened))
    yield CaseFinished(case=case, record=record, findings=findings, seconds=time.monotonic() - began)
