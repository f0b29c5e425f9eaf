"""A first runbook that passes its tests at once, and a project around it where there is none."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from runbook_defs.model import ID, Runbook
from runbook_defs.problems import listed
from runbook_factory import project
from runbook_factory.editor_schema import Subject, build_schema
from runbook_factory.project import Project
from step_ops.registry import step_types

SCHEMA_FILE = "runbook.schema.json"
_MAX_ID = next(item.max_length for item in Runbook.model_fields["id"].metadata if hasattr(item, "max_length"))


class ScaffoldError(Exception):
    """Nothing was made; the message says why."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was made: the runbook, its project, and the files, relative to the project."""

    runbook_id: str
    project: Project
    files: tuple[Path, ...]
    is_new_project: bool


def make_runbook(runbook_id: str, *, folder: Path | None = None) -> Made:
    """Makes a runbook with its acceptance pack, and a project for it unless there is one.

    The project is in `folder`, else around the current folder. All files are written or none: raises
    `ScaffoldError` when the id will not do, when a file is in the way, or when a folder for a new
    project holds other things.
    """
    if not re.fullmatch(ID, runbook_id) or len(runbook_id) > _MAX_ID:
        rule = f"lower case letters and digits, parted by single dashes, at most {_MAX_ID} characters"
        raise ScaffoldError(
            f"{runbook_id[:100]!r} cannot be the id of a runbook", hint=f"use {rule}: night-report"
        )
    root, is_new = _root(folder)
    if is_new:
        _check_empty(root)
    wanted = dict(_runbook_files(runbook_id))
    taken = [path for path in wanted if os.path.lexists(root / path)]
    if taken:
        names = listed(str(path) for path in taken)
        hint = "choose another id, or move them away; nothing was written"
        raise ScaffoldError(f"in the way in {root}: {names}", hint=hint)
    around = {} if not is_new else dict(_project_files())
    if not os.path.lexists(root / SCHEMA_FILE):
        around[Path(SCHEMA_FILE)] = _schema()
    wanted |= {path: text for path, text in around.items() if not os.path.lexists(root / path)}
    _write(root, wanted)
    return Made(
        runbook_id=runbook_id, project=Project(root), files=tuple(sorted(wanted)), is_new_project=is_new
    )


def _root(folder: Path | None) -> tuple[Path, bool]:
    """The folder of the project, and whether it is still to be made."""
    if folder is not None:
        return folder.absolute(), not (folder / "runbooks").is_dir()
    if os.environ.get(project.VARIABLE):
        return project.find_project().root, False
    here = Path.cwd()
    # Not `find_project`: that would also take the project that DAGSTER_HOME belongs to.
    for place in (here, *here.parents):
        if (place / "runbooks").is_dir():
            return place, False
    return here, True


def _check_empty(root: Path) -> None:
    """Raises `ScaffoldError` when something is in the folder, but for hidden things such as `.git`."""
    try:
        there = sorted(item.name for item in root.iterdir() if not item.name.startswith("."))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _failed(root, error) from None
    if there:
        hint = "make a project in a new folder: rb init --in my-runbooks"
        raise ScaffoldError(f"{root} is not empty, it has: {listed(there)}", hint=hint)


def _project_files() -> Iterator[tuple[Path, str]]:
    for name, text in _templates("project"):
        yield Path(".gitignore" if name == Path("gitignore") else name), text


def _runbook_files(runbook_id: str) -> Iterator[tuple[Path, str]]:
    names = {"__id__": runbook_id, "__name__": runbook_id.replace("-", " ").capitalize()}
    for kind, folder in (("runbook", "runbooks"), ("pack", "acceptance")):
        for name, text in _templates(kind):
            yield Path(folder, runbook_id, name), _filled(text, names)


def _filled(text: str, names: Mapping[str, str]) -> str:
    for mark, value in names.items():
        text = text.replace(mark, value)
    return text


def _templates(kind: str) -> Iterator[tuple[Path, str]]:
    """The files of a template, by their path in it."""
    yield from _below(files("runbook_factory") / "scaffold" / kind, Path())


def _below(folder: Traversable, path: Path) -> Iterator[tuple[Path, str]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _below(item, path / item.name)
        else:
            yield path / item.name, item.read_text(encoding="utf-8")


def _schema() -> str:
    return json.dumps(build_schema(Subject.RUNBOOK, step_types=step_types()), indent=2) + "\n"


def _write(root: Path, wanted: Mapping[Path, str]) -> None:
    """Writes all files, or takes back what it wrote."""
    made: list[Path] = []
    try:
        for path, text in wanted.items():
            for folder in _missing(root / path.parent):
                folder.mkdir()
                made.append(folder)
            with (root / path).open("x", encoding="utf-8", newline="\n") as file:
                made.append(root / path)
                file.write(text)
    except OSError as error:
        _take_back(made)
        raise _failed(root, error) from None
    except BaseException:
        _take_back(made)
        raise


def _missing(folder: Path) -> list[Path]:
    """The folders down to `folder` that are not there, the outermost first."""
    missing = [item for item in (folder, *folder.parents) if not item.is_dir()]
    return list(reversed(missing))


def _take_back(made: Sequence[Path]) -> None:
    for path in reversed(made):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


def _failed(root: Path, error: OSError) -> ScaffoldError:
    place = error.filename or root
    reason = (error.strerror or str(error)).lower()
    return ScaffoldError(f"cannot write {place}: {reason}", hint="nothing was written; choose another folder")
