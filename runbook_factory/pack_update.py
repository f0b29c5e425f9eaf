"""`rb test --update`: writes what a run gave into the pack, and tells what changes by it."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbook_defs.differences import described, find_differences
from runbook_defs.pack_files import ExpectedFileError, read_expected
from runbook_factory.acceptance import CaseFinished
from runbook_factory.actors import local_actor
from runbook_factory.audit.baselines import ApprovedPicture, note_approved
from runbook_factory.baselines import digest_of, read_picture
from runbook_factory.database import engine
from runbook_factory.expectations import Finding, NewFile
from runbook_factory.whole_file import write_whole


@dataclass(frozen=True, kw_only=True)
class Change:
    """A file of the pack that was written: a new one, or what is different in it."""

    path: Path
    new: bool
    lines: tuple[str, ...] = ()


@dataclass
class PackUpdate:
    """The update of one pack by its scenarios, one after the other."""

    _written: dict[Path, bytes] = field(default_factory=dict)

    def apply(self, finished: CaseFinished) -> tuple[CaseFinished, list[Change]]:
        """Writes the files that would mend the case, and gives it without those findings.

        Writes nothing when something else is wrong with it as well: what such a run gave is no measure.
        """
        files = [item.mended_by for item in finished.findings if item.mended_by is not None]
        if len(files) < len(finished.findings):
            return finished, []
        left: list[Finding] = []
        changes: list[Change] = []
        for file in files:
            if self._written.get(file.path, file.data) != file.data:
                what = f"{file.path.name} is expected by another scenario too, with another value"
                left.append(Finding(what=what))
            else:
                _note(file, finished)
                changes.append(_written(file))
                self._written[file.path] = file.data
        return replace(finished, findings=tuple(left)), changes


def _note(file: NewFile, finished: CaseFinished) -> None:
    """Enters a baseline in the audit log, as one that was approved; raises `DatabaseError`."""
    project = finished.case.runbook.project
    if not file.picture:
        return
    before = read_picture(file.path)
    picture = ApprovedPicture(
        path=file.path.relative_to(project.root).as_posix(),
        runbook_id=finished.record.runbook_id,
        execution=finished.record.id,
        step=file.step,
        picture=file.picture,
        digest=digest_of(file.data),
        previous=None if before is None else digest_of(before),
    )
    note_approved(engine(project), picture, actor=local_actor())


def _written(file: NewFile) -> Change:
    change = Change(path=file.path, new=not file.path.exists(), lines=tuple(_lines(file)))
    write_whole(file.path, file.data)
    return change


def _lines(file: NewFile) -> list[str]:
    if file.path.suffix != ".json":
        return []
    try:
        before = read_expected(file.path)
    except (ExpectedFileError, FileNotFoundError):
        return []
    return described(list(find_differences(before, json.loads(file.data), path=file.path.stem)))
