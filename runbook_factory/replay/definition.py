"""A runbook as it was when an execution of it was recorded."""

from pathlib import Path

from runbook_defs.check import check_document
from runbook_defs.checks.steps import resolve_inside
from runbook_defs.source import load_document
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.project import Project
from runbook_factory.replay.recording import NotReplayable, Recording
from step_ops.registry import step_types


def recorded_runbook(recording: Recording, project: Project, folder: Path) -> LoadedRunbook:
    """The runbook of the recording, its files written into `folder`; raises `NotReplayable`."""
    home = folder / recording.record.runbook_id
    for name, data in recording.files.items():
        path = resolve_inside(home, name)
        if path is None:
            raise NotReplayable(f"its definition names a file outside its folder: {name!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    home.mkdir(parents=True, exist_ok=True)
    file = home / "runbook.yaml"
    file.write_text(recording.definition, encoding="utf-8", newline="")
    checked = check_document(load_document(file), step_types=step_types())
    if checked.runbook is None:
        first = checked.errors[0]
        raise NotReplayable(
            f"its definition is not valid for this version of the program: line {first.line}: "
            f"{first.code} {first.message}",
            hint=first.hint,
        )
    runbook = LoadedRunbook(checked.runbook, checked, project)
    if runbook.digest != recording.record.definition_digest:
        raise NotReplayable("its definition in the database is not the one that it ran with")
    return runbook
