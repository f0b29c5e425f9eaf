"""`rb validate`: everything wrong with runbook files, at once."""

from enum import StrEnum
from pathlib import Path

import typer

from cli.errors import Exit, Stop
from cli.reporters.problems import as_json, as_text


class Format(StrEnum):
    """How problems are printed."""

    TEXT = "text"
    JSON = "json"


def validate(
    files: list[str] = typer.Argument(
        None, metavar="[FILE|ID]...", help="Runbook files or ids; without any, all of the project."
    ),
    strict: bool = typer.Option(False, "--strict", help="Warnings fail too."),
    form: Format = typer.Option(Format.TEXT, "--format", help="How to print problems."),
) -> None:
    """Check runbooks: all problems at once, each with its place and a hint."""
    from runbook_defs.problems import Severity  # `rb --help` does not pay for it
    from runbook_factory.catalog import check_file

    paths = [_path(name) for name in files] if files else _all()
    checked = [check_file(path) for path in paths]
    if form is Format.JSON:
        print(as_json([(item.document.path, item.problems) for item in checked]))
    errors = warnings = 0
    for item in checked:
        lines = item.document.text.splitlines()
        for problem in item.problems:
            errors += problem.severity is Severity.ERROR
            warnings += problem.severity is Severity.WARNING
            if form is Format.TEXT:
                print(as_text(problem, lines))
    if form is Format.TEXT:
        print(_conclusion(len(checked), errors, warnings))
    if errors or (strict and warnings):
        raise typer.Exit(Exit.FINDINGS)


def _path(name: str) -> Path:
    """A file as it is named; else the runbook of that id."""
    path = Path(name)
    try:
        if path.is_dir():
            return path / "runbook.yaml"
        if path.exists() or path.suffix or "/" in name:
            return path
    except OSError:  # such as a name longer than the file system takes
        return path
    from runbook_factory.catalog import find_runbook
    from runbook_factory.project import ProjectError, find_project

    try:
        project = find_project()
    except ProjectError:
        return path
    return find_runbook(project, name)


def _all() -> list[Path]:
    from runbook_factory.project import find_project

    project = find_project()
    ids = project.runbook_ids()
    if not ids:
        raise Stop(f"there is no runbook in {project.runbooks}", hint="make runbooks/<id>/runbook.yaml")
    return [project.runbook_file(item) for item in ids]


def _conclusion(files: int, errors: int, warnings: int) -> str:
    def count(number: int, word: str) -> str:
        return f"{number} {word}{'' if number == 1 else 's'}"

    found = [count(errors, "error")] if errors else []
    found += [count(warnings, "warning")] if warnings else []
    return f"{count(files, 'runbook')}: {', '.join(found) if found else 'no problems'}"
