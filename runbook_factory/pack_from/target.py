"""The acceptance pack that a scenario is added to, and the runbook as it is now."""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_defs.pack import FILE_NAME, parse_pack
from runbook_defs.pack_files import check_steps
from runbook_defs.problems import Code
from runbook_defs.source import parse_document
from runbook_factory.catalog import InvalidRunbook, LoadedRunbook, load_runbook
from runbook_factory.pack_from.pack_text import with_scenario
from runbook_factory.pack_from.refusal import NotPackable
from runbook_factory.packs import check_pack
from runbook_factory.project import Project


@dataclass(frozen=True, kw_only=True)
class Target:
    """The pack of `runbook` in `folder`; `before` is the text of it, None when there is none yet."""

    runbook: LoadedRunbook
    folder: Path
    before: bytes | None

    @staticmethod
    def of(project: Project, runbook_id: str) -> "Target":
        """The pack of the runbook called so; raises `ProjectError`, or `NotPackable` when it has errors."""
        try:
            runbook = load_runbook(project, runbook_id)
        except InvalidRunbook as error:
            first = error.problems[0]
            message = f"the runbook {runbook_id} has errors: line {first.line}: {first.message}"
            raise NotPackable(message, hint=f"rb validate {runbook_id} shows them; mend them first") from None
        folder = project.pack(runbook_id)
        return Target(runbook=runbook, folder=folder, before=_read(folder / FILE_NAME))

    def with_scenario(self, scenario: Mapping[str, Any], fixture: Mapping[str, Any]) -> bytes:
        """The text of the pack with the scenario in it; raises `NotPackable` when it does not fit in."""
        mark = codecs.BOM_UTF8 if self.before is not None and self.before.startswith(codecs.BOM_UTF8) else b""
        before = None if self.before is None else self.before.removeprefix(mark).decode()
        data = mark + with_scenario(before, scenario).encode()
        for message in self._unknown(data, fixture):
            hint = "run the runbook as it is now, and take that execution"
            raise NotPackable(f"the runbook is another one by now: {message}", hint=hint)
        return data

    def _unknown(self, data: bytes, fixture: Mapping[str, Any]) -> Iterator[str]:
        """What the scenario names and the runbook does not have any more."""
        document = parse_document(data, path=self.folder / FILE_NAME)
        pack, _ = parse_pack(document)
        if pack is not None:
            added = [(len(pack.scenarios) - 1, pack.scenarios[-1])]
            outputs = {step.id: step.outputs for step in self.runbook.runbook.steps}
            yield from (problem.message for problem in check_steps(document, added, outputs))
        asked = {*self.runbook.steps, *(probe.id for probe in self.runbook.probes.values())}
        gone = [key for key in fixture["steps"] if key.partition("[")[0] not in asked]
        yield from (f"it does not ask {key!r} anything" for key in gone)


def _read(path: Path) -> bytes | None:
    """The text of a pack without errors, None when there is no such file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotPackable(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    problems = [item for item in check_pack(path).errors if item.code is not Code.NOT_MADE]
    if problems:
        first = problems[0]
        message = f"{path} has errors: line {first.line}: {first.message}"
        raise NotPackable(message, hint="`rb validate` shows them; mend them first")
    return data
