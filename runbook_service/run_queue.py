"""The queue of runs, in the database of the record: who launches puts them in, workers take them out.

Kept by procrastinate; this module is the only one that knows its tables.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from procrastinate import App
from procrastinate.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import Engine, text

QUEUE = "runs"
EXECUTE, REPLAY = "execute", "replay"  # the tasks
STALLED_SECONDS = 5.0  # without a heartbeat, a worker counts as dead
DEAF_SECONDS = 30.0  # a run that was to stop so long ago is no worker's any more

_FIND = text(
    """
    SELECT id, status = 'doing' AS taken, attempts, args FROM procrastinate_jobs
    WHERE args->>'run_id' = :id AND status IN ('todo', 'doing') ORDER BY status = 'doing' LIMIT 1
    """
)

_MISSING = text(
    """
    SELECT name FROM unnest(CAST(:ids AS TEXT[])) AS asked(name) WHERE name NOT IN (
        SELECT args->>'run_id' FROM procrastinate_jobs WHERE status IN ('todo', 'doing')
    )
    """
)

# A new job in place of the old one: the worker that has that may come back, and take it out.
_PUT_BACK = text(
    """
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, attempts)
    SELECT queue_name, task_name, priority + 1, lock, queueing_lock, args, attempts + 1
    FROM procrastinate_jobs WHERE id = :id AND status = 'doing' AND NOT abort_requested
    ON CONFLICT DO NOTHING
    """
)

_STALLED = text(
    """
    SELECT job.id, job.args->>'run_id' AS run_id, job.attempts
    FROM procrastinate_jobs job LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
    WHERE job.status = 'doing' AND (
        worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => :seconds)
        OR job.abort_requested AND EXISTS (
            SELECT 1 FROM procrastinate_events event
            WHERE event.job_id = job.id AND event.type = 'abort_requested'
                AND event.at < now() - make_interval(secs => :deaf)
        )
    )
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
    """A run in the queue; `taken` when a worker has it, after `attempts` that did not begin it."""

    id: int
    taken: bool
    attempts: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)


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

        The runs of a `line` are executed one after the other, in the order they were put in. One that
        was put in again when it was taken already waits for its own end, and then there is nothing to do.
        """
        job = self._app.configure_task(task, queue=QUEUE, queueing_lock=run_id, lock=line or run_id)
        with suppress(AlreadyEnqueued):
            job.defer(run_id=run_id, **asked)

    def find(self, run_id: str) -> Job | None:
        """The run in the queue; None when it is not in it, or not any more."""
        with self._engine.connect() as connection:
            row = connection.execute(_FIND, {"id": run_id}).first()
        if row is None:
            return None
        return Job(id=row.id, taken=row.taken, attempts=row.attempts, asked=row.args)

    def missing(self, run_ids: Sequence[str]) -> list[str]:
        """Those of the runs that are not in the queue."""
        with self._engine.connect() as connection:
            return list(connection.execute(_MISSING, {"ids": list(run_ids)}).scalars())

    def withdraw(self, job: Job) -> bool:
        """Takes a run out that no worker has yet; tells whether it did."""
        return self._app.job_manager.cancel_job_by_id(job.id, delete_job=True)

    def abort(self, job: Job) -> bool:
        """Asks the worker that has the run to stop it; tells whether one has it."""
        return self._app.job_manager.cancel_job_by_id(job.id, abort=True)

    def stalled(self) -> list[tuple[Job, str]]:
        """The runs that workers took who are heard of no more, each with its id."""
        with self._engine.connect() as connection:
            values = {"seconds": STALLED_SECONDS, "deaf": DEAF_SECONDS}
            rows = connection.execute(_STALLED, values).all()
        return [(Job(id=row.id, taken=True, attempts=row.attempts), row.run_id) for row in rows]

    def put_back(self, job_id: int) -> None:
        """Puts a run that was taken, and not begun, in once more, before those that wait.

        It can be taken when the old job is out of the queue.
        """
        with self._engine.connect() as connection:
            connection.execute(_PUT_BACK, {"id": job_id})

    def drop(self, job_id: int) -> None:
        """Takes a run out that has ended, or was put back."""
        with self._engine.connect() as connection:
            connection.execute(text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": job_id})

    def depth(self) -> Depth:
        """How things stand."""
        with self._engine.connect() as connection:
            row = connection.execute(_DEPTH, {"seconds": STALLED_SECONDS}).one()
        return Depth(waiting=row.waiting, running=row.running, workers=row.workers)
