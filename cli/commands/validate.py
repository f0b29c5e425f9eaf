"""`rb validate`: everything wrong with runbook files, at once."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.errors import Exit, Stop
from cli.reporters.github import as_github
from cli.reporters.problems import as_json, as_text

if TYPE_CHECKING:
    from runbook_defs.check import Checked


class Format(StrEnum):
    """How problems are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


def validate(
    files: list[str] = typer.Argument(
        None,
        metavar="[FILE|ID]...",
        help="Files of runbooks or packs, or ids; without any, all of the project.",
    ),
    strict: bool = typer.Option(False, "--strict", help="Warnings fail too."),
    form: Format = typer.Option(Format.TEXT, "--format", help="How to print problems."),
) -> None:
    """Check runbooks and their acceptance packs: all problems at once, each with its place and a hint."""
    from runbook_defs.problems import Severity  # `rb --help` does not pay for it

    paths = [_path(name) for name in files] if files else _all()
    checked = [item for path in paths for item in _check(path)]
    if form is Format.JSON:
        print(as_json([(item.document.path, item.problems) for item in checked]))
    elif form is Format.SARIF:
        from cli.reporters.sarif import as_sarif

        print(as_sarif([(item.document.path, item.problems) for item in checked]))
    errors = warnings = 0
    for item in checked:
        lines = item.document.text.splitlines()
        for problem in item.problems:
            errors += problem.severity is Severity.ERROR
            warnings += problem.severity is Severity.WARNING
            if form is Format.TEXT:
                print(as_text(problem, lines))
            elif form is Format.GITHUB:
                print(as_github(problem))
    if form in {Format.TEXT, Format.GITHUB}:
        print(_conclusion(paths, errors, warnings))
    if errors or (strict and warnings):
        raise typer.Exit(Exit.FINDINGS)


def _check(path: Path) -> "list[Checked]":
    """What is wrong with a runbook and its acceptance pack, or with a pack that is named itself."""
    from runbook_factory.catalog import check_file
    from runbook_factory.packs import check_pack, is_pack, pack_beside

    if is_pack(path):
        return [check_pack(path)]
    pack = pack_beside(path)
    return [check_file(path), *([check_pack(pack)] if pack else [])]


def _path(name: str) -> Path:
    """A file as it is named; else the runbook of that id."""
    path = Path(name)
    try:
        if path.is_dir():
            pack = path / "acceptance.yml"
            return pack if pack.is_file() else path / "runbook.yaml"
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


def _conclusion(paths: list[Path], errors: int, warnings: int) -> str:
    from runbook_factory.packs import is_pack

    def count(number: int, word: str) -> str:
        return f"{number} {word}{'' if number == 1 else 's'}"

    packs = sum(is_pack(path) for path in paths)
    named = [count(len(paths) - packs, "runbook")] if packs < len(paths) else []
    named += [count(packs, "acceptance pack")] if packs else []
    found = [count(errors, "error")] if errors else []
    found += [count(warnings, "warning")] if warnings else []
    return f"{' and '.join(named)}: {', '.join(found) if found else 'no problems'}"
