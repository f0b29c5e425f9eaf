"""A recorded execution made into a scenario of its runbook's acceptance pack."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from runbook_defs.execution import ExecutionRecord, StepStatus
from runbook_defs.pack import FILE_NAME
from runbook_defs.problems import listed
from runbook_factory.actors import local_actor
from runbook_factory.audit.baselines import ApprovedPicture, note_approved
from runbook_factory.baselines import digest_of
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import engine, reachable
from runbook_factory.execution_log import get_execution
from runbook_factory.pack_from.expectations import ExpectationMaker
from runbook_factory.pack_from.fake_secrets import FakeSecrets
from runbook_factory.pack_from.files import check_free, write_all
from runbook_factory.pack_from.fixture import FOLDER, FixtureMaker
from runbook_factory.pack_from.naming import check_name, default_name, slug_of
from runbook_factory.pack_from.proposals import Proposal, executions_like, propose
from runbook_factory.pack_from.refusal import NotPackable
from runbook_factory.pack_from.side_files import SideFiles, as_json
from runbook_factory.pack_from.target import Target
from runbook_factory.pack_from.volatile import Volatile
from runbook_factory.project import Project
from runbook_factory.replay.definition import recorded_runbook
from runbook_factory.replay.recording import NotReplayable, Recording, load_recording
from runbook_factory.replay.replays import changes_since
from step_ops.cassette import MAX_BYTES
from step_ops.gate import Mode


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A scenario that was written: its runbook, its fixture, and the new files, relative to the project.

    `proposals` are tolerances for what differed in the answers of the `compared` other executions.
    """

    runbook: LoadedRunbook
    scenario: str
    fixture: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    compared: int = 0


@dataclass(frozen=True, kw_only=True)
class _Made:
    """The scenario as `acceptance.yml` has it, its files by their path in the pack, and what to say of it."""

    scenario: dict[str, Any]
    fixture: dict[str, Any]
    files: dict[str, bytes]
    notes: tuple[str, ...]


def pack_execution(
    project: Project, execution: str, *, name: str | None = None, file_name: str | None = None
) -> Packed:
    """Adds the execution called `execution` to the acceptance pack of its runbook.

    The scenario is called `name`, its files after that or after `file_name`. Writes all or nothing:
    raises `NotPackable`, `NoSuchExecution`, `ProjectError` or `DatabaseError`.
    """
    with reachable():
        known = engine(project)
        recording = _recording(known, execution)
        others = executions_like(known, recording.record)
    target = Target.of(project, recording.record.runbook_id)
    title = check_name(name if name is not None else default_name(recording.record))
    made = _make(recording, target.runbook, title, slug_of(file_name if file_name is not None else title))
    text = target.with_scenario(made.scenario, made.fixture)
    proposals = propose(recording, others, known=target.runbook.runbook.tolerances)
    check_free(target.folder, list(made.files))
    for picture in _approved(recording.record, made, target):
        note_approved(known, picture, actor=local_actor())
    write_all(target.folder, made.files, last=(FILE_NAME, text))
    return Packed(
        runbook=target.runbook,
        scenario=title,
        fixture=target.folder / made.scenario["fixture"],
        files=tuple((target.folder / path).relative_to(project.root) for path in made.files),
        notes=(*made.notes, *_changes(recording, target.runbook)),
        proposals=tuple(proposals),
        compared=len(others),
    )


def _approved(record: ExecutionRecord, made: _Made, target: Target) -> Iterator[ApprovedPicture]:
    """The recorded pictures that become baselines of the scenario."""
    named: Mapping[str, str] = made.scenario["expected"].get("screenshots", {})
    steps = {picture["name"]: step.step_id for step in record.steps for picture in step.pictures}
    for name, file in named.items():
        yield ApprovedPicture(
            path=(target.folder / file).relative_to(target.runbook.project.root).as_posix(),
            runbook_id=record.runbook_id,
            execution=record.id,
            step=steps[name],
            picture=name,
            digest=digest_of(made.files[file]),
        )


def _recording(known: Engine, execution: str) -> Recording:
    record = get_execution(known, execution)
    if record.mode not in {Mode.LIVE, Mode.TEST}:
        of = f" of {record.parent_id}" if record.parent_id else ""
        hint = f"rb pack from {record.parent_id}" if record.parent_id else "take the execution it came from"
        raise NotPackable(f"{record.short_name} is itself a {record.mode}{of}", hint=hint)
    try:
        return load_recording(known, record.id)
    except NotReplayable as error:
        message = f"{record.short_name} cannot become a scenario: {error.message}"
        raise NotPackable(message, hint=error.hint) from None


def _make(recording: Recording, now: LoadedRunbook, title: str, slug: str) -> _Made:
    with tempfile.TemporaryDirectory(prefix="rb-pack-") as folder:
        try:
            runbook = recorded_runbook(recording, now.project, Path(folder))
        except NotReplayable as error:
            message = f"{recording.record.short_name} cannot become a scenario: {error.message}"
            raise NotPackable(message, hint=error.hint) from None
        secrets = FakeSecrets(recording.secrets.keys())
        volatile = Volatile(recording, runbook, secrets=secrets)
        answers = SideFiles(folder=f"{FOLDER}/{slug}")
        outputs, pictures = SideFiles(folder=f"expected/{slug}"), SideFiles(folder="screenshots")
        fixtures = FixtureMaker(
            recording=recording, runbook=runbook, volatile=volatile, secrets=secrets, files=answers
        )
        expectations = ExpectationMaker(
            recording=recording,
            runbook=runbook,
            volatile=volatile,
            secrets=secrets,
            outputs=outputs,
            pictures=pictures,
            slug=slug,
        )
        fixture, name = fixtures.fixture(slug), f"{FOLDER}/{slug}.json"
        scenario = {"name": title, "fixture": name, "expected": expectations.expected()}
        files = {name: as_json(fixture), **answers.files, **outputs.files, **pictures.files}
        _check_sizes(files)
        notes = tuple(_left_open(recording, expectations.by_chance))
        return _Made(scenario=scenario, fixture=fixture, files=files, notes=notes)


def _check_sizes(files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        if len(data) > MAX_BYTES:
            message = f"{name} would be larger than {MAX_BYTES // 1024**2} MiB, which a test does not read"
            raise NotPackable(message, hint="take an execution with smaller answers")


def _left_open(recording: Recording, by_chance: frozenset[str]) -> Iterator[str]:
    """What a test of an execution that was ended by a step cannot be sure of."""
    if not by_chance:
        return
    steps = {step.step_id: step for step in recording.record.steps}
    names = [name for name in steps if name in by_chance]
    yield f"nothing is expected of {listed(names)}: in an abort, chance decides which steps begin"
    unknown = [name for name in names if steps[name].status is StepStatus.NOT_RUN]
    if unknown:
        yield f"no answer to {listed(unknown)} is recorded: a test in which one of them begins fails"


def _changes(recording: Recording, now: LoadedRunbook) -> Iterator[str]:
    changed = changes_since(recording, now)
    if changed:
        yield f"the runbook has changed since in {', '.join(changed)}: the scenario is of what was recorded"
