"""The queue of runs, and what it relies on of procrastinate."""

import inspect
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy
from procrastinate.jobs import DeleteJobCondition, Job, Status
from procrastinate.manager import JobManager
from procrastinate.schema import SchemaManager
from procrastinate.tasks import ConfigureTaskOptions
from procrastinate.worker import Worker
from sqlalchemy import text

from runbook_factory import database
from runbook_service.run_queue import DEAF_SECONDS, REPLAY, STALLED_SECONDS, RunQueue
from tests.working import Yard

FUNCTIONS = "SELECT proname, prosrc FROM pg_proc WHERE proname LIKE 'procrastinate%' ORDER BY 1"
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
    WHERE table_name LIKE 'procrastinate%' ORDER BY 1, 2
"""
TRIGGERS = """
    SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname LIKE 'procrastinate%' ORDER BY 1
"""


@pytest.fixture
def queue(yard: Yard) -> Iterator[RunQueue]:
    """An empty one."""
    yield yard.queue
    yard.query("DELETE FROM procrastinate_jobs RETURNING id")
    yard.query("DELETE FROM procrastinate_workers RETURNING id")


def taken(yard: Yard, *, heard: float = 0.0) -> tuple[int, str]:
    """The job and run that a worker takes now, who was last heard of so many seconds ago."""
    (row,) = yard.query("SELECT worker_id FROM procrastinate_register_worker_v1()")
    yard.query(
        "UPDATE procrastinate_workers SET last_heartbeat = now() - make_interval(secs => :heard)"
        " WHERE id = :id RETURNING id",
        id=row.worker_id,
        heard=heard,
    )
    (job,) = yard.query(
        "SELECT id, args->>'run_id' AS run_id FROM procrastinate_fetch_job_v2(ARRAY['runs'], :id)",
        id=row.worker_id,
    )
    return job.id, job.run_id


def test_a_run_is_in_the_queue_once_and_taken_once(yard: Yard, queue: RunQueue) -> None:
    name = str(uuid4())
    assert queue.find(name) is None
    for _ in range(3):
        queue.put(name)
    assert queue.depth().waiting == 1
    job_id, run_id = taken(yard)
    assert run_id == name
    found = queue.find(name)
    assert found is not None
    assert (found.id, found.taken) == (job_id, True)
    queue.put(name)  # waits until the one that is taken has ended
    assert taken(yard) == (None, None)
    assert queue.missing([name, "other"]) == ["other"]


def test_the_runs_of_a_line_are_taken_one_after_the_other_in_their_order(yard: Yard, queue: RunQueue) -> None:
    names = [str(uuid4()) for _ in range(3)]
    for name in names:
        queue.put(name, line="line")
    other = str(uuid4())
    queue.put(other)
    first, run_id = taken(yard, heard=60)
    assert run_id == names[0]
    assert taken(yard)[1] == other
    assert taken(yard) == (None, None)
    # The first is put back before the rest of its line, and the rest waits for it.
    queue.put_back(first)
    assert taken(yard) == (None, None)
    queue.drop(first)
    again, run_id = taken(yard)
    assert run_id == names[0]
    found = queue.find(run_id)
    assert found is not None
    assert (found.id, found.attempts) == (again, 1)
    queue.drop(again)
    assert taken(yard)[1] == names[1]


def test_a_run_that_waits_is_withdrawn_and_one_that_is_taken_is_told_to_stop(
    yard: Yard, queue: RunQueue
) -> None:
    name = str(uuid4())
    queue.put(name)
    job = queue.find(name)
    assert job is not None
    assert queue.withdraw(job)
    assert not queue.withdraw(job)
    assert not queue.abort(job)
    assert queue.find(name) is None
    queue.put(name, task=REPLAY, execution="x")
    job_id, _ = taken(yard)
    job = queue.find(name)
    assert job is not None
    assert job.asked == {"run_id": name, "execution": "x"}
    assert not queue.withdraw(job)
    assert queue.abort(job)
    assert queue.abort(job)
    queue.put_back(job_id)  # it was to stop: it does not come again
    assert queue.depth().waiting == 0


def test_the_runs_of_workers_that_are_heard_of_no_more_are_stalled(yard: Yard, queue: RunQueue) -> None:
    for _ in range(3):
        queue.put(str(uuid4()))
    alive, _ = taken(yard)
    dead, _ = taken(yard, heard=STALLED_SECONDS + 1)
    gone, _ = taken(yard)
    yard.query(
        "DELETE FROM procrastinate_workers WHERE id ="
        " (SELECT worker_id FROM procrastinate_jobs WHERE id = :id) RETURNING id",
        id=gone,
    )
    assert {job.id for job, _ in queue.stalled()} == {dead, gone}
    assert queue.depth().workers == 1
    # One that does not hear that it is to stop has lost the run, too.
    (job,) = yard.query("SELECT args->>'run_id' AS run_id FROM procrastinate_jobs WHERE id = :id", id=alive)
    found = queue.find(job.run_id)
    assert found is not None
    queue.abort(found)
    assert alive not in {job.id for job, _ in queue.stalled()}
    yard.query(
        "UPDATE procrastinate_events SET at = now() - make_interval(secs => :deaf)"
        " WHERE job_id = :id AND type = 'abort_requested' RETURNING id",
        id=alive,
        deaf=DEAF_SECONDS + 1,
    )
    assert alive in {job.id for job, _ in queue.stalled()}


def test_the_tables_are_those_of_the_installed_procrastinate(yard: Yard, postgres: str) -> None:
    url = database.normalized(postgres)
    name = f"procrastinate_{uuid4().hex[:12]}"
    server = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    theirs = sqlalchemy.create_engine(url.set(database=name), isolation_level="AUTOCOMMIT")
    with theirs.connect() as connection:
        connection.connection.cursor().execute(SchemaManager.get_schema())
        for asked in (FUNCTIONS, COLUMNS, TRIGGERS):
            wanted = [tuple(row) for row in connection.execute(text(asked))]
            assert [tuple(row) for row in yard.query(asked)] == wanted
            assert wanted
    theirs.dispose()


def test_procrastinate_has_the_names_that_are_used() -> None:
    assert {"todo", "doing"} < {status.value for status in Status}
    assert DeleteJobCondition("always") is DeleteJobCondition.ALWAYS
    worker = inspect.signature(Worker.__init__).parameters
    assert {
        "queues",
        "concurrency",
        "fetch_job_polling_interval",
        "abort_job_polling_interval",
        "update_heartbeat_interval",
        "stalled_worker_timeout",
        "delete_jobs",
        "install_signal_handlers",
    } <= worker.keys()
    assert {"queueing_lock", "lock", "queue"} <= ConfigureTaskOptions.__annotations__.keys()
    assert {"abort", "delete_job"} <= inspect.signature(JobManager.cancel_job_by_id).parameters.keys()
    assert list(inspect.signature(JobManager.update_heartbeat).parameters) == ["self", "worker_id"]
    assert callable(JobManager.list_jobs_to_abort_async)
    assert {"id", "attempts", "worker_id"} <= _fields(Job)


def _fields(kind: Any) -> set[str]:
    return {each.name for each in kind.__attrs_attrs__}
