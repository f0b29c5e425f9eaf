"""Approving recorded pictures: they become baselines of their pack, without another run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from runbook_defs.checks.steps import resolve_inside
from runbook_defs.execution import Actor, ExecutionRecord, StepRecord
from runbook_defs.pack import FILE_NAME, Scenario, load_pack
from runbook_defs.problems import did_you_mean, listed
from runbook_factory.audit.baselines import ApprovedPicture, note_approved
from runbook_factory.baselines import digest_of, read_picture, size_of
from runbook_factory.database import engine, reachable
from runbook_factory.execution_log import get_execution
from runbook_factory.project import Project
from runbook_factory.shelf import default_baseline
from runbook_factory.whole_file import write_whole
from step_ops.pixels import BrokenPicture, compare

_LIVE = "live"  # the mode whose pictures are compared with what no scenario names


class NotApprovable(Exception):
    """No baseline can be made of it, and nothing was written; the message says why."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Change(StrEnum):
    """What an approval does to the baseline."""

    NEW = "new"
    SAME = "same"
    PIXELS = "pixels"
    SIZE = "size"
    UNREADABLE = "unreadable"  # what was there is no picture


@dataclass(frozen=True, kw_only=True)
class NewBaseline:
    """A recorded picture and the baseline that it becomes; `ratio` is the share of pixels that differ."""

    picture: ApprovedPicture
    file: Path
    data: bytes = field(repr=False)
    change: Change
    size: tuple[int, int] | None
    before: tuple[int, int] | None = None
    ratio: float = 0.0
    places: int = 0


@dataclass(frozen=True, kw_only=True)
class _Shot:
    """A recorded picture, with the digest of the baseline that it was compared with, if there was one."""

    step: str
    name: str
    path: str
    digest: str
    compared: str | None


def find_new(
    project: Project, execution: str, *, step: str | None = None, scenario: str | None = None
) -> list[NewBaseline]:
    """What approving the pictures of an execution, or of one step of it, would do; writes nothing.

    Of a pack with several files for one picture, it is that of the `scenario`, else the one that the
    picture was compared with. Raises `NotApprovable`, `NoSuchExecution`, `InvalidPack`, `DatabaseError`.
    """
    with reachable():
        record = get_execution(engine(project), execution)
    if record.runbook_id not in project.runbook_ids():
        message = f"the runbook of {record.short_name}, {record.runbook_id!r}, is not in {project.runbooks}"
        raise NotApprovable(message)
    folder = project.pack(record.runbook_id)
    if not (folder / FILE_NAME).is_file():
        message = f"{record.runbook_id} has no acceptance pack that a baseline could belong to"
        raise NotApprovable(message, hint=f"rb pack from {record.short_name} makes one of the execution")
    scenarios = _chosen(load_pack(folder).scenarios, scenario, record)
    shots = _shots(record, step)
    files = [_file(folder, scenarios, shot, record, explicit=scenario is not None) for shot in shots]
    _check_one_each(shots, files, record)
    once = {file: shot for shot, file in zip(shots, files, strict=True)}
    return [_new(project, record, shot, file) for file, shot in once.items()]


def approve(project: Project, baselines: Sequence[NewBaseline], *, actor: Actor) -> None:
    """Makes the pictures the baselines, one file after the other, each noted in the audit log before.

    Raises `NotApprovable` for a file that cannot be written, or `DatabaseError`.
    """
    known = engine(project)
    for baseline in baselines:
        note_approved(known, baseline.picture, actor=actor)
        try:
            write_whole(baseline.file, baseline.data)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise NotApprovable(f"cannot write {baseline.picture.path}: {reason}") from None


def _chosen(scenarios: Sequence[Scenario], name: str | None, record: ExecutionRecord) -> list[Scenario]:
    if name is None:
        return list(scenarios)
    names = [scenario.name for scenario in scenarios]
    if name not in names:
        hint = did_you_mean(name, names) or (f"there are: {listed(names)}" if names else "")
        raise NotApprovable(f"the pack of {record.runbook_id} has no scenario {name!r}", hint=hint)
    return [scenario for scenario in scenarios if scenario.name == name]


def _shots(record: ExecutionRecord, wanted: str | None) -> list[_Shot]:
    """The pictures of the last attempt of each step, or of the step that is wanted."""
    last = {step.step_id: step for step in record.steps}
    pictured = [step_id for step_id, step in last.items() if step.pictures]
    if not pictured:
        message = f"{record.short_name} took no picture"
        raise NotApprovable(message, hint="pictures are taken by steps of the type ui_screenshot")
    if wanted is not None and wanted not in pictured:
        what = "took no picture" if wanted in last else f"is no step of {record.short_name}"
        hint = did_you_mean(wanted, pictured) or f"pictures were taken by: {listed(pictured)}"
        raise NotApprovable(f"{wanted!r} {what}", hint=hint)
    steps = [last[wanted]] if wanted is not None else list(last.values())
    return [_shot(step, picture) for step in steps for picture in step.pictures]


def _shot(step: StepRecord, picture: dict[str, Any]) -> _Shot:
    name = picture["name"]
    compared = [read["value"] for read in step.reads if read["kind"] == "baseline" and read["name"] == name]
    return _Shot(
        step=step.step_id,
        name=name,
        path=picture["path"],
        digest=picture["digest"],
        compared=_bare(compared[-1]) if compared and compared[-1] else None,
    )


def _bare(digest: str) -> str:
    return digest.rpartition(":")[2]


def _file(
    folder: Path, scenarios: Sequence[Scenario], shot: _Shot, record: ExecutionRecord, *, explicit: bool
) -> Path:
    """The baseline that the picture becomes."""
    default = default_baseline(shot.name)
    if record.mode == _LIVE and not explicit:
        names = [default]
    else:
        files = (scenario.expected.screenshots.get(shot.name, default) for scenario in scenarios)
        names = list(dict.fromkeys(files)) or [default]
    if len(names) > 1:
        names = [name for name in names if _digest(folder / name) == shot.compared] or names
    if len(names) > 1:
        message = f"the scenarios of {record.runbook_id} have different baselines for {shot.name!r}"
        takers = listed(repr(item.name) for item in scenarios if shot.name in item.expected.screenshots)
        raise NotApprovable(message, hint=f"say which one it is for with --scenario: {takers}")
    path = resolve_inside(folder, names[0])
    if path is None:
        raise NotApprovable(f"the baseline {names[0]!r} does not lie in the pack {folder}")
    return path


def _digest(path: Path) -> str | None:
    picture = read_picture(path)
    return None if picture is None else digest_of(picture)


def _check_one_each(shots: Sequence[_Shot], files: Sequence[Path], record: ExecutionRecord) -> None:
    """Raises `NotApprovable` where two pictures that differ would become one baseline."""
    taken: dict[Path, _Shot] = {}
    for shot, file in zip(shots, files, strict=True):
        other = taken.setdefault(file, shot)
        if other.digest == shot.digest:
            continue
        message = f"two pictures of {record.short_name} are called {shot.name!r}, and differ"
        hint = "give each step a `name` for its picture"
        if other.step != shot.step:
            hint = f"approve one: rb baseline approve {record.short_name}:{shot.step}"
        raise NotApprovable(message, hint=hint)


def _new(project: Project, record: ExecutionRecord, shot: _Shot, file: Path) -> NewBaseline:
    data = _recorded(project, record, shot)
    before = read_picture(file)
    change, ratio, places = _change(before, data)
    return NewBaseline(
        picture=ApprovedPicture(
            path=file.relative_to(project.root).as_posix(),
            runbook_id=record.runbook_id,
            execution=record.id,
            step=shot.step,
            picture=shot.name,
            digest=shot.digest,
            previous=None if before is None else digest_of(before),
        ),
        file=file,
        data=data,
        change=change,
        size=size_of(data),
        before=None if before is None else size_of(before),
        ratio=ratio,
        places=places,
    )


def _recorded(project: Project, record: ExecutionRecord, shot: _Shot) -> bytes:
    """The picture's file, which is the one that was taken; raises `NotApprovable`."""
    path = project.root / shot.path
    if not path.resolve().is_relative_to((project.state / "artifacts").resolve()):
        raise NotApprovable(f"the picture {shot.path} does not lie where pictures are kept")
    data = read_picture(path)
    again = f"rb test {record.runbook_id} takes a new one"
    if data is None:
        message = f"the picture {shot.path} is not here: it was deleted, or taken on another machine"
        raise NotApprovable(message, hint=again)
    if digest_of(data) != shot.digest:
        raise NotApprovable(f"the picture {shot.path} is not the one that was taken", hint=again)
    return data


def _change(before: bytes | None, after: bytes) -> tuple[Change, float, int]:
    """What it changes, the share of the pixels that differ, and in how many places."""
    if before is None:
        return Change.NEW, 0.0, 0
    try:
        difference = compare(before, after)
    except BrokenPicture:
        return Change.UNREADABLE, 0.0, 0
    if difference is None:
        return Change.SAME, 0.0, 0
    kind = Change.SIZE if difference.size_changed else Change.PIXELS
    return kind, difference.ratio, len(difference.boxes)
