"""Doing recorded executions again: one with all its details, or the last ones of a runbook."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dagster import DagsterInstance

from runbook_defs.execution import PROBE, Actor, Event
from runbook_defs.replay import ReplayReport
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import engine, reachable
from runbook_factory.execution_log import get_execution
from runbook_factory.project import Project
from runbook_factory.replay.comparison import compare
from runbook_factory.replay.definition import recorded_runbook
from runbook_factory.replay.definition_changes import changed_steps
from runbook_factory.replay.original import Original
from runbook_factory.replay.recording import NotReplayable, Recording, load_recording, read_recording
from runbook_factory.replay.step_comparison import KeepDrawing
from runbook_factory.request import ReplayRef, RunRequest
from runbook_factory.runs import run_runbook
from step_ops.gate import Mode


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A replay that is ready to run. One that is `against` another definition leaves no record."""

    recording: Recording
    runbook: LoadedRunbook
    live: bool = False
    allow_writes: bool = False
    against: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether it becomes an execution in the log, and a run in Dagster."""
        return not self.against

    def run(self, *, actor: Actor, instance: DagsterInstance, run_id: str | None = None) -> Iterator[Event]:
        """What happens, at last `ExecutionFinished` with the report; raises as `run_runbook` does.

        With `run_id` it has that id.
        """
        original = self.recording.record
        ref = ReplayRef(execution=original.id, live=self.live, allow_writes=self.allow_writes)
        request = RunRequest(mode=Mode.BACKTEST if self.against else Mode.REPLAY, replay=ref)
        known = self.is_stored and instance.has_run(original.id)
        yield from run_runbook(
            self.runbook,
            request,
            actor=actor,
            instance=instance,
            parent=original.id if known else None,
            run_id=run_id,
        )


@contextmanager
def open_replay(
    project: Project,
    name: str,
    *,
    against: LoadedRunbook | None = None,
    live: bool = False,
    allow_writes: bool = False,
) -> Iterator[Replay]:
    """The replay of the execution called `name`, with its own definition unless `against` is another.

    Raises `NoSuchExecution`, `NotReplayable` or `DatabaseError`.
    """
    with reachable():
        recording = load_recording(engine(project), name)
    with tempfile.TemporaryDirectory(prefix="rb-replay-") as folder:
        yield Replay(
            recording=recording,
            runbook=against or recorded_runbook(recording, project, Path(folder)),
            live=live,
            allow_writes=allow_writes,
            against=against is not None,
        )


def compare_executions(project: Project, one: str, two: str) -> tuple[Recording, Recording, ReplayReport]:
    """Two recorded executions of a runbook, and how the second differs from the first.

    Raises `NoSuchExecution`, `NotReplayable` or `DatabaseError`.
    """
    with reachable():
        known = engine(project)
        first, second = (read_recording(known, get_execution(known, name)) for name in (one, two))
    ids = [each.record.runbook_id for each in (first, second)]
    if ids[0] != ids[1]:
        raise NotReplayable(f"they are of two runbooks, {ids[0]!r} and {ids[1]!r}")
    with tempfile.TemporaryDirectory(prefix="rb-diff-") as folder:
        runbook = recorded_runbook(second, project, Path(folder))
        original = Original(
            recording=first,
            runbook=runbook.runbook,
            definition=second.definition,
            files=second.files,
            digest=str(second.record.definition_digest),
            redraws=False,
            live=True,
            writes=True,
        )
        attempts = [*second.record.probes, *second.record.steps]
        last = tuple(those[-1] for name, those in second.steps.items() if not name.startswith(PROBE))
        record = replace(second.record, steps=last)
        report = compare(original, record, attempts, bodies=second.bodies, keep=shelf_of(project, second))
    return first, second, report


def shelf_of(project: Project, recording: Recording) -> KeepDrawing:
    """Keeps drawings of differences beside the pictures of a recorded execution."""

    def keep(step: str, name: str, data: bytes) -> str:
        path = project.state / "artifacts" / recording.record.id / step / f"{name}-other-diff.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path.relative_to(project.root))

    return keep


def changes_since(recording: Recording, runbook: LoadedRunbook) -> dict[str, list[str]]:
    """What is different in `runbook` from the definition that was recorded, by step or part."""
    if runbook.digest == recording.record.definition_digest:
        return {}
    return changed_steps(
        recording.definition, runbook.text, files_before=recording.files, files_now=runbook.files
    )
