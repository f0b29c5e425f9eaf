"""The acceptance pack of a runbook, checked with all that it names: files, fixtures, steps."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from runbook_defs.check import Checked
from runbook_defs.checks.steps import resolve_inside
from runbook_defs.model import Runbook
from runbook_defs.pack import FILE_NAME, InvalidPack, Pack, Scenario, in_order, parse_pack, problem_at
from runbook_defs.pack_files import Numbered, check_files, check_steps
from runbook_defs.problems import Code, Problem, did_you_mean, listed
from runbook_defs.source import Document, load_document
from runbook_factory.catalog import LoadedRunbook, check_file
from runbook_factory.project import Project
from step_ops.cassette import CassetteError, Fixture, load_fixtures

_OF_STEP = re.compile(r"(\[\d+\])?(\.rollback)?$")  # an item of a `for_each`, an undo body


def is_pack(path: Path) -> bool:
    """Whether the file is an acceptance pack, by its name."""
    return path.name == FILE_NAME


def pack_beside(path: Path) -> Path | None:
    """The acceptance pack of the runbook file at `path`, if the project has one."""
    root = path.absolute().parent.parent
    if path.name != "runbook.yaml" or root.name != "runbooks":
        return None
    pack = Project(root.parent).pack(path.absolute().parent.name) / FILE_NAME
    return pack if pack.is_file() else None


def check_pack(path: Path) -> Checked:
    """Everything wrong with the pack in the file at `path`, held against its runbook when that is there."""
    folder = path.absolute().parent
    runbook: Runbook | None = None
    document = load_document(path)
    problems: list[Problem] = []
    if folder.parent.name == "acceptance":
        file = Project(folder.parent.parent).runbook_file(folder.name)
        if file.is_file():
            runbook = check_file(file).runbook
        elif document.readable:
            message = f"there is no runbook {folder.name!r} for this pack"
            hint = "a pack lies in acceptance/<id>/, and its runbook in runbooks/<id>/"
            problems.append(problem_at(document, Code.PACK, (), message, hint=hint))
    _, found = _check(document, runbook)
    return Checked(document=document, runbook=None, problems=tuple(in_order([*problems, *found])))


def load_runnable_pack(
    runbook: LoadedRunbook, *, wanted: Callable[[Scenario], bool] = lambda scenario: True
) -> list[Scenario]:
    """The scenarios of the runbook's pack that are `wanted`, none when it has no pack; raises `InvalidPack`.

    Files that `rb test --update` would make may be missing: the scenarios that name them fail. What
    scenarios that are not wanted name is not looked at.
    """
    path = runbook.project.pack(runbook.id) / FILE_NAME
    if not path.is_file():
        return []
    pack, problems = _check(load_document(path), runbook.runbook, wanted)
    problems = [item for item in problems if item.code is not Code.NOT_MADE]
    if problems or pack is None:
        raise InvalidPack(path, tuple(in_order(problems)))
    return [scenario for scenario in pack.scenarios if wanted(scenario)]


def load_scenarios(path: Path, runbook: Runbook) -> list[Fixture]:
    """The scenarios of a fixture file for `runbook`; raises `CassetteError`."""
    fixtures = load_fixtures(path)
    probes = [f"assumptions.{item.id}" for item in runbook.assumptions if item.probe is not None]
    known = [*(step.id for step in runbook.steps), *probes]
    twice = [name for name, count in Counter(item.scenario for item in fixtures).items() if count > 1]
    if twice:
        raise CassetteError(path, f"two scenarios of the fixture are called {twice[0]!r}")
    for fixture in fixtures:
        if fixture.runbook != runbook.id:
            raise CassetteError(path, f"the fixture is for {fixture.runbook!r}, not for {runbook.id!r}")
        for key in fixture.steps:
            if key not in known and _OF_STEP.sub("", key) not in known:
                hint = did_you_mean(key, known) or f"there are: {listed(known)}"
                message = f"the fixture has exchanges for {key!r}, which is no step of the runbook"
                raise CassetteError(path, message, hint=hint)
    return fixtures


def _check(
    document: Document,
    runbook: Runbook | None,
    wanted: Callable[[Scenario], bool] = lambda scenario: True,
) -> tuple[Pack | None, list[Problem]]:
    pack, problems = parse_pack(document)
    if pack is not None:
        scenarios = [(index, item) for index, item in enumerate(pack.scenarios) if wanted(item)]
        problems += check_files(document, scenarios)
        problems += _check_fixtures(document, scenarios, runbook)
        if runbook is not None:
            problems += check_steps(document, scenarios, {step.id: step.outputs for step in runbook.steps})
    return pack, problems


def _check_fixtures(document: Document, scenarios: Numbered, runbook: Runbook | None) -> Iterator[Problem]:
    for index, scenario in scenarios:
        path = resolve_inside(document.path.parent, scenario.fixture)
        if path is None or not path.is_file():
            continue  # told already
        try:
            load_scenarios(path, runbook) if runbook is not None else load_fixtures(path)
        except CassetteError as error:
            message = f"the fixture {scenario.fixture!r} cannot be used: {error.message}"
            where = ("scenarios", index, "fixture")
            yield problem_at(document, Code.PACK, where, message, hint=error.hint)
