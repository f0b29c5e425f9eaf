"""`rb test --update`: writes what a run gave into the pack, and tells what changes by it."""

import json
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbook_defs.differences import described, find_differences
from runbook_defs.pack_files import ExpectedFileError, read_expected
from runbook_factory.acceptance import CaseFinished
from runbook_factory.expectations import Finding, NewFile


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
                changes.append(_written(file))
                self._written[file.path] = file.data
        return replace(finished, findings=tuple(left)), changes


def _written(file: NewFile) -> Change:
    change = Change(path=file.path, new=not file.path.exists(), lines=tuple(_lines(file)))
    file.path.parent.mkdir(parents=True, exist_ok=True)
    # Beside it first: whoever reads meanwhile sees the old file or the new one, never half of one.
    handle, name = tempfile.mkstemp(dir=file.path.parent, prefix=f".{file.path.name}.")
    with os.fdopen(handle, "wb") as new:
        new.write(file.data)
    Path(name).chmod(0o644)
    Path(name).replace(file.path)
    return change


def _lines(file: NewFile) -> list[str]:
    if file.path.suffix != ".json":
        return []
    try:
        before = read_expected(file.path)
    except (ExpectedFileError, FileNotFoundError):
        return []
    return described(list(find_differences(before, json.loads(file.data), path=file.path.stem)))
