"""The baselines of packs: which picture lies where, and whether it is the one that was approved."""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from runbook_defs.checks.steps import resolve_inside
from runbook_defs.pack import load_pack
from runbook_factory.audit.baselines import Approval
from runbook_factory.project import Project
from runbook_factory.shelf import default_baseline

_HEADER = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


class State(StrEnum):
    """How a baseline stands to the audit log."""

    APPROVED = "approved"
    CHANGED = "changed"  # another picture than was approved
    UNKNOWN = "unknown"  # the log has no approval of it
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A baseline: the picture's name, its file relative to the project, its size in pixels if it has one.

    `scenarios` name the file; `live` tells whether executions for real are compared with it too.
    """

    runbook_id: str
    name: str
    path: str
    state: State
    scenarios: tuple[str, ...] = ()
    live: bool = False
    size: tuple[int, int] | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    execution: str | None = None


def list_baselines(
    project: Project, runbook_id: str, approvals: Mapping[str, Approval]
) -> Iterator[Baseline]:
    """The baselines of a runbook's pack, by picture and file; raises `InvalidPack`."""
    folder = project.pack(runbook_id)
    named: dict[tuple[str, str], list[str]] = {}
    for scenario in load_pack(folder).scenarios:
        for name, file in scenario.expected.screenshots.items():
            if resolve_inside(folder, file) is not None:
                named.setdefault((name, file), []).append(scenario.name)
    start, end = default_baseline("*").split("*")
    for path in folder.glob(default_baseline("*")):
        name = path.relative_to(folder).as_posix().removeprefix(start).removesuffix(end)
        named.setdefault((name, default_baseline(name)), [])
    for (name, file), scenarios in sorted(named.items()):
        path = folder / file
        shown = path.relative_to(project.root).as_posix()
        approval = approvals.get(shown)
        data = read_picture(path)
        yield Baseline(
            runbook_id=runbook_id,
            name=name,
            path=shown,
            state=_state(data, approval),
            scenarios=tuple(scenarios),
            live=file == default_baseline(name),
            size=None if data is None else size_of(data),
            approved_by=approval.by if approval else None,
            approved_at=approval.at if approval else None,
            execution=approval.execution if approval else None,
        )


def read_picture(path: Path) -> bytes | None:
    """The file's bytes, or None when there is none that can be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def digest_of(picture: bytes) -> str:
    """The digest that records and the audit log have of a picture."""
    return hashlib.sha256(picture).hexdigest()


def size_of(picture: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None of what is no PNG."""
    if not picture.startswith(_HEADER) or len(picture) < len(_HEADER) + 8:
        return None
    width, height = struct.unpack_from(">II", picture, len(_HEADER))
    return width, height


def _state(picture: bytes | None, approval: Approval | None) -> State:
    if picture is None:
        return State.MISSING
    if approval is None:
        return State.UNKNOWN
    return State.APPROVED if digest_of(picture) == approval.digest else State.CHANGED
