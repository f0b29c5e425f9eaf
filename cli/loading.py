"""Getting hold of a runbook or its pack for a command, with their problems printed when they have any."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from cli.errors import Exit, Stop
from cli.reporters.outcome import Broken
from cli.reporters.problems import as_text

if TYPE_CHECKING:
    from runbook_defs.problems import Problem
    from runbook_factory.acceptance import Case
    from runbook_factory.catalog import LoadedRunbook


def load(runbook_id: str) -> "LoadedRunbook":
    """The runbook of the project around the current folder; exits when it has errors."""
    from runbook_factory.catalog import InvalidRunbook, load_runbook
    from runbook_factory.project import find_project

    try:
        return load_runbook(find_project(), runbook_id)
    except InvalidRunbook as error:
        _explain(error.path, error.problems)


def load_file(name: str) -> "LoadedRunbook":
    """The runbook in the file called `name`, in the project around the current folder; exits when it has
    errors. Raises `Stop` when there is no such file.
    """
    from runbook_factory.catalog import InvalidRunbook, check_file, loaded
    from runbook_factory.project import find_project

    path = Path(name)
    if not path.is_file():
        raise Stop(f"there is no file {name}", hint="name a runbook's YAML file, or `current`")
    try:
        return loaded(check_file(path), find_project())
    except InvalidRunbook as error:
        _explain(error.path, error.problems)


def load_cases(runbook: "LoadedRunbook", fixture: str | None) -> "list[Case]":
    """The cases to test; exits when the acceptance pack has errors."""
    from runbook_defs.pack import InvalidPack
    from runbook_factory.acceptance import find_cases

    try:
        return find_cases(runbook, fixture)
    except InvalidPack as error:
        _explain(error.path, error.problems)


def load_all_cases() -> "tuple[list[Case], list[Broken], list[str]]":
    """The cases of the whole project, what cannot be tested, and the runbooks that have no case.

    Raises `ProjectError`, or `Stop` when there is no runbook.
    """
    from runbook_defs.pack import InvalidPack
    from runbook_factory.acceptance import find_cases
    from runbook_factory.catalog import InvalidRunbook, load_runbook
    from runbook_factory.project import find_project

    project = find_project()
    cases: list[Case] = []
    broken: list[Broken] = []
    untested: list[str] = []
    for runbook_id in project.runbook_ids():
        try:
            found = find_cases(load_runbook(project, runbook_id))
        except (InvalidRunbook, InvalidPack) as error:
            broken.append(Broken(runbook_id=runbook_id, path=error.path, problems=error.problems))
            continue
        cases += found
        untested += [] if found else [runbook_id]
    if not (cases or broken or untested):
        raise Stop(f"there is no runbook in {project.runbooks}", hint="make runbooks/<id>/runbook.yaml")
    return cases, broken, untested


def explain(path: Path, problems: "Sequence[Problem]") -> None:
    """Prints problems of the file at `path` with the lines they stand on."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for problem in problems:
        print(as_text(problem, lines))


def _explain(path: Path, problems: "Sequence[Problem]") -> NoReturn:
    explain(path, problems)
    raise typer.Exit(Exit.FINDINGS)
