"""The queue of runs, in the database of the record: who launches puts them in, workers take them out.

Kept by procrastinate; this module and `workers.consumer` are the only ones that know its tables.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from procrastinate import App
from procrastinate.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import Engine, text

QUEUE = "runs"
EXECUTE, REPLAY = "execute", "replay"  # the tasks
STALLED_SECONDS = 5.0  # without a heartbeat, a worker counts as dead

_FIND = text(
    """
    SELECT id, status = 'doing' AS taken, args FROM procrastinate_jobs
    WHERE args->>'run_id' = :id AND status IN ('todo', 'doing')
    """
)

_STALLED = text(
    """
    SELECT job.id, job.args->>'run_id' AS run_id
    FROM procrastinate_jobs job LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
    WHERE job.status = 'doing'
        AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => :seconds))
    """
)

_DEPTH = text(
    """
    SELECT count(*) FILTER (WHERE status = 'todo') AS waiting,
        count(*) FILTER (WHERE status = 'doing') AS running,
        (SELECT count(*) FROM procrastinate_workers
            WHERE last_heartbeat >= now() - make_interval(secs => :seconds)) AS workers
    FROM procrastinate_jobs
    """
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run in the queue; `taken` when a worker has it."""

    id: int
    taken: bool
    asked: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many runs wait, how many workers have taken, and how many workers there are."""

    waiting: int
    running: int
    workers: int


@cache
def run_queue(engine: Engine) -> "RunQueue":
    """The queue in the database of `engine`."""
    return RunQueue(engine)


class RunQueue:
    """What a process that launches, cancels or looks after runs does with the queue."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        connector = SQLAlchemyPsycopg2Connector()
        connector.open(engine)
        self._app = App(connector=connector)

    def put(self, run_id: str, *, task: str = EXECUTE, line: str | None = None, **asked: Any) -> None:
        """Lets a worker have the run; once, however often it is put in while it waits.

        The runs of a `line` are executed one after the other, in the order they were put in.
        """
        job = self._app.configure_task(task, queue=QUEUE, queueing_lock=run_id, lock=line)
        with suppress(AlreadyEnqueued):
            job.defer(run_id=run_id, **asked)

    def find(self, run_id: str) -> Job | None:
        """The run in the queue; None when it is not in it, or not any more."""
        with self._engine.connect() as connection:
            row = connection.execute(_FIND, {"id": run_id}).first()
        return None if row is None else Job(id=row.id, taken=row.taken, asked=row.args)

    def withdraw(self, job: Job) -> bool:
        """Takes a run out that no worker has yet; tells whether it did."""
        return self._app.job_manager.cancel_job_by_id(job.id, delete_job=True)

    def abort(self, job: Job) -> bool:
        """Asks the worker that has the run to stop it; tells whether one has it."""
        return self._app.job_manager.cancel_job_by_id(job.id, abort=True)

    def stalled(self) -> list[tuple[Job, str]]:
        """The runs that workers took who are heard of no more, each with its id."""
        with self._engine.connect() as connection:
            rows = connection.execute(_STALLED, {"seconds": STALLED_SECONDS}).all()
        return [(Job(id=row.id, taken=True, asked={}), row.run_id) for row in rows]

    def put_back(self, job: Job) -> None:
        """Lets another worker have a run that a dead one took and did not begin."""
        self._app.job_manager.retry_job_by_id(job.id, retry_at=datetime.now(UTC))

    def drop(self, job: Job) -> None:
        """Takes a run out that has ended."""
        with self._engine.connect() as connection:
            connection.execute(text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": job.id})

    def depth(self) -> Depth:
        """How things stand."""
        with self._engine.connect() as connection:
            row = connection.execute(_DEPTH, {"seconds": STALLED_SECONDS}).one()
        return Depth(waiting=row.waiting, running=row.running, workers=row.workers)
