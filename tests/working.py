"""A project in a database of its own, with real workers to be started, stopped and killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster_shared.record import copy
from sqlalchemy import text

from runbook_factory import database
from runbook_factory.catalog import load_runbook
from runbook_factory.instance import stored_instance
from runbook_factory.jobs import build_job
from runbook_factory.opening import make_ready
from runbook_factory.project import VARIABLE as PROJECT
from runbook_factory.project import Project
from runbook_factory.request import RunRequest
from runbook_service.run_queue import RunQueue, run_queue
from tests.scripted import Says, Server, scripted

ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}

# A runbook whose first step tells the server the word that it was given.
TELLS = """
id: {id}
name: Quick
version: 1.0.0
owner: tests
legal_basis: none needed
inputs:
  word: {{type: string, default: none}}
steps:
  - id: told
    type: data_fetch
    inputs: {{source_url: "{url}/a", headers: {{X-Word: "${{word}}"}}}}
"""

_QUICK = (
    TELLS
    + """
  - id: rest
    type: wait
    depends_on: [told]
    inputs: {{seconds: {seconds}}}
"""
)


def until(is_so: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `is_so` gives, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
    return found


@dataclass
class Host:
    """A worker's process, and those below it: the template, its slots, and the studio, if there is one."""

    process: "subprocess.Popen[str]"
    said: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def templates(self) -> list[int]:
        """One, but for moments in which it is replaced."""
        return [pid for pid in children_of(self.pid) if pid not in self.studios()]

    def studios(self) -> list[int]:
        """One, while pictures are wanted."""
        return [pid for pid in children_of(self.pid) if "workers.studio" in command_of(pid)]

    def template(self) -> int:
        (pid,) = until(lambda: found if len(found := self.templates()) == 1 else None)
        return int(pid)

    def slots(self) -> list[int]:
        return [pid for each in self.templates() for pid in children_of(each)]

    def all(self) -> list[int]:
        return [self.pid, *children_of(self.pid), *self.slots()]

    def errors(self) -> str:
        return self.said.read_text()

    def stop(self) -> int:
        """Tells it to end, as an operator does; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def children_of(pid: int) -> list[int]:
    """The processes that it started, and that have not been waited for."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(each) for each in task.read_text().split()]
    return sorted(found)


def family_of(pid: int) -> list[int]:
    """The process and all below it."""
    return [pid, *(each for child in children_of(pid) for each in family_of(child))]


def command_of(pid: int) -> str:
    """What it was started as; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def is_gone(pid: int) -> bool:
    """Whether the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@dataclass
class Yard:
    """The project, its queue, and ways to launch runs and to see what became of them."""

    project: Project
    world: Server
    instance: DagsterInstance
    environment: Mapping[str, str]
    _models: dict[str, DagsterRun] = field(default_factory=dict)

    @property
    def queue(self) -> RunQueue:
        return run_queue(database.engine(self.project))

    def runbook(self, runbook_id: str, *, seconds: float = 0.0, text: str = _QUICK) -> None:
        path = self.project.runbook_file(runbook_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(id=runbook_id, url=self.world.url, seconds=seconds))

    def add(self, runbook_id: str = "quick", *, word: str = "", **tags: str) -> DagsterRun:
        """A run that is stored, and launched by nobody yet. `word` is what it tells the world."""
        run_id = str(uuid4())
        model = self._models.get(runbook_id)
        config = RunRequest(inputs={"word": word or run_id}).run_config()
        if model is None:
            job = build_job(load_runbook(self.project, runbook_id))
            model = self.instance.create_run_for_job(job_def=job, run_config=config, tags=job.tags)
            self.instance.delete_run(model.run_id)
            self._models[runbook_id] = model
        run: DagsterRun = copy(
            model,
            run_id=run_id,
            run_config=config,
            tags={**model.tags, **tags},
            remote_job_origin=_origin(model.job_name),
        )
        return self.instance.run_storage.add_run(run)

    def submit(self, run: DagsterRun) -> None:
        self.instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]

    def launch(self, runbook_id: str = "quick", **more: str) -> str:
        run = self.add(runbook_id, **more)
        self.submit(run)
        return run.run_id

    def cancel(self, run_id: str) -> bool:
        return self.instance.run_coordinator.cancel_run(run_id)

    def status(self, run_id: str) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def reason(self, run_id: str) -> str:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.tags.get("runbook/reason", "")

    def wait(self, ids: str | Iterable[str], *, seconds: float = 30.0) -> list[DagsterRunStatus]:
        """How the runs ended."""
        names = [ids] if isinstance(ids, str) else list(ids)
        deadline = time.monotonic() + seconds
        while True:
            found = [self.status(name) for name in names]
            if ENDED.issuperset(found):
                return found
            assert time.monotonic() < deadline, f"{found}: {self.query('SELECT * FROM procrastinate_jobs')}"
            time.sleep(0.05)

    def started(self, run_id: str) -> None:
        """Waits until it has told the world its word: its second step is about to begin, or has."""
        until(lambda: self.asked(run_id))

    def asked(self, word: str) -> int:
        """How often the world was told this word: a step's effect."""
        return sum(asked.headers.get("x-word") == word for asked in self.world.asked)

    def recorded(self, run_id: str) -> tuple[str, str] | None:
        """The execution's status and reason; None when there is no record of it."""
        rows = self.query(
            "SELECT status, coalesce(metadata->>'reason', '') FROM runbook.runbook_executions"
            " WHERE id = CAST(:id AS UUID)",
            id=run_id,
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def query(self, statement: str, **values: Any) -> list[Any]:
        with database.engine(self.project).connect() as connection:
            return list(connection.execute(text(statement), values).all())

    def is_settled(self) -> bool:
        """Whether nothing waits, runs or is left in the queue."""
        return not self.query("SELECT 1 FROM procrastinate_jobs")

    @contextmanager
    def worker(self, slots: int = 1) -> Iterator[Host]:
        """A worker that is ready, killed at the end when it is still there."""
        rb = Path(sys.executable).with_name("rb")
        with tempfile.NamedTemporaryFile("w+") as said:
            process = subprocess.Popen(
                [str(rb), "worker", "--slots", str(slots)],
                cwd=self.project.root,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                process_group=0,
            )
            try:
                assert process.stdout is not None
                while "ready" not in (line := process.stdout.readline()):
                    assert line, Path(said.name).read_text()
                yield Host(process, Path(said.name))
            finally:
                process.kill()
                process.communicate()


def _origin(job: str) -> RemoteJobOrigin:
    """Where Dagster's pages would say that a job is from; a queued run must have one."""
    location = RegisteredCodeLocationOrigin("runbooks")
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job)


@contextmanager
def opened(url: str, root: Path) -> Iterator[Yard]:
    """A yard at `root`, with its tables in the database at `url`."""
    environment = {database.VARIABLE: url, PROJECT: str(root)}
    project = Project(root)
    with pytest.MonkeyPatch.context() as patched, scripted() as world:
        for name, value in environment.items():
            patched.setenv(name, value)
        world.answers = {"/a": Says({"n": 3})}
        (root / "runbooks").mkdir()
        make_ready(project)
        with stored_instance(project, settles=False) as instance:
            yard = Yard(project, world, instance, environment)
            for name, seconds in (("quick", 0.0), ("brief", 0.4), ("slow", 60.0)):
                yard.runbook(name, seconds=seconds)
            yield yard
        database.engine(project).dispose()


@pytest.fixture(scope="module")
def yard(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """One for the tests of a module."""
    url = database.normalized(postgres)
    name = f"workers_{uuid4().hex[:12]}"
    server = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    with opened(database.as_text(url.set(database=name)), tmp_path_factory.mktemp("yard")) as yard:
        yield yard
