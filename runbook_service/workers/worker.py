"""A worker: takes runs out of the queue and has its slots execute them.

The only module that knows procrastinate's worker.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import procrastinate.jobs
import psycopg
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from sqlalchemy import text

from runbook_factory.database import as_text, database_url, engine, keep_to_connections
from runbook_factory.instance import stored_instance
from runbook_factory.opening import make_ready
from runbook_factory.project import Project
from runbook_service.run_queue import EXECUTE, QUEUE, REPLAY, STALLED_SECONDS, Job
from runbook_service.workers.door import Door
from runbook_service.workers.pool import NoSlot, Pool
from runbook_service.workers.processes import SlotLost, TemplateLost
from runbook_service.workers.slot import CONNECTIONS
from runbook_service.workers.terminal import first_line, keep_quiet
from runbook_service.workers.watch import Watch

HEARTBEAT_SECONDS = 1.0
POLL_SECONDS = 2.0  # for runs, and for those to stop, should a notice be lost
RETRY_SECONDS = 2.0
OWN_CONNECTIONS = 6  # of the process that takes runs, and of its watch
OTHERS = 20  # left to the service, to commands and to people

# A worker opens its connections as it needs them: how many it may have is told by the name of its own.
_NAME = "rb worker {id}, {slots} slots"
_PATTERN = f"^{_NAME.format(id='[0-9a-f]+', slots='([0-9]+)')}$"
_FREE = text(
    f"""
    SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int - {OTHERS}
        - coalesce(sum({OWN_CONNECTIONS} + {CONNECTIONS} * slots), 0) AS connections,
        coalesce(sum(slots), 0) AS slots
    FROM (
        SELECT DISTINCT application_name, substring(application_name FROM '{_PATTERN}')::int AS slots
        FROM pg_stat_activity
    ) AS worker
    """  # noqa: S608 - of pieces that stand here
)

_log = logging.getLogger("runbook.worker")


class TooManySlots(Exception):
    """More slots than the database has connections for, beside those of other workers."""

    def __init__(self, asked: int, *, most: int, others: int) -> None:
        beside = f" beside the {others} of other workers" if others else ""
        self.message = (
            f"{asked} slots need more connections than the database has: it has room for {most}{beside}"
        )
        fewer = f"start with --slots {most}" if most else "stop another worker"
        self.hint = f"{fewer}, or raise max_connections of PostgreSQL"
        super().__init__(self.message)


def check_slots(project: Project, slots: int) -> None:
    """Raises `TooManySlots` when the database could not serve so many."""
    with engine(project).connect() as connection:
        free, others = connection.execute(_FREE).one()
    most = max((free - OWN_CONNECTIONS) // CONNECTIONS, 0)
    if slots > most:
        raise TooManySlots(slots, most=most, others=others)


def work(project: Project, slots: int, *, ready: Callable[[], None]) -> None:
    """Executes runs until it is told to stop (SIGTERM, SIGINT), and then ends those that it has.

    Raises `TooManySlots`, `TemplateLost`, `NoSlot` or `DatabaseError` when it cannot start.
    """
    keep_quiet()
    keep_to_connections(OWN_CONNECTIONS - 3)
    make_ready(project)
    check_slots(project, slots)
    with stored_instance(project) as instance:
        watch = Watch(project, instance)
        try:
            asyncio.run(_Worker(project, slots, watch).work(ready))
        finally:
            watch.stop()


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """A run that this worker has: by whom of procrastinate's workers, and the task that waits for it."""

    worker_id: int
    task: "asyncio.Task[Any] | None"


class _Worker:
    def __init__(self, project: Project, slots: int, watch: Watch) -> None:
        self._project, self._watch = project, watch
        self._door = Door(project)
        self._pool = Pool(project, slots, door=self._door.outside)
        self._stopping = asyncio.Event()
        self._taken: dict[int, _Taken] = {}
        self._name = _NAME.format(id=token_hex(4), slots=slots)

    async def work(self, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_unheard)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        attending = asyncio.ensure_future(self._door.attend())
        try:
            await self._pool.start()
            self._watch.start(self._pool)
            ready()
            while not self._stopping.is_set():
                await self._take_runs()
        finally:
            self._pool.close()
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)
            self._door.close()

    async def _take_runs(self) -> None:
        """Takes runs until it is told to stop, or the database goes away."""
        url = as_text(database_url(self._project).set(drivername="postgresql"))
        connector = PsycopgConnector(
            conninfo=url,
            kwargs={"application_name": self._name},
            min_size=1,
            max_size=3,
            configure=_commit_each,
        )
        app = App(connector=connector)
        app.task(name=EXECUTE, pass_context=True)(self._execute)
        app.task(name=REPLAY, pass_context=True)(self._replay)
        try:
            async with app.open_async():
                worker = asyncio.ensure_future(
                    app.run_worker_async(
                        queues=[QUEUE],
                        concurrency=self._pool.size,
                        fetch_job_polling_interval=POLL_SECONDS,
                        abort_job_polling_interval=POLL_SECONDS,
                        update_heartbeat_interval=HEARTBEAT_SECONDS,
                        stalled_worker_timeout=STALLED_SECONDS,
                        delete_jobs="always",
                        install_signal_handlers=False,
                    )
                )
                stopping = asyncio.ensure_future(self._stopping.wait())
                await asyncio.wait([worker, stopping], return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                worker.cancel()  # it takes no more, and waits for those that it has
                draining = asyncio.ensure_future(self._drain(app))
                try:
                    await worker
                finally:
                    draining.cancel()
        except asyncio.CancelledError:
            pass
        except (ConnectorException, psycopg.Error, OSError) as error:
            _log.warning("the database cannot be reached, and is tried again: %s", first_line(error))
        if not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RETRY_SECONDS)

    async def _drain(self, app: App) -> None:
        """What a worker of procrastinate's does no more once it was told to stop: it says that it is
        alive, and hears which of the runs that it waits for are to be cancelled.
        """
        told: set[int] = set()
        while True:
            with suppress(ConnectorException, psycopg.Error):
                for worker_id in {each.worker_id for each in self._taken.values()}:
                    await app.job_manager.update_heartbeat(worker_id)
                for job_id in set(await app.job_manager.list_jobs_to_abort_async()) - told:
                    taken = self._taken.get(job_id)
                    if taken is not None and taken.task is not None:
                        told.add(job_id)
                        taken.task.cancel()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _execute(self, context: JobContext, /, run_id: str) -> None:
        await self._have_done(context.job, {"task": EXECUTE, "run_id": run_id})

    async def _replay(self, context: JobContext, /, run_id: str, **asked: Any) -> None:
        await self._have_done(context.job, {"task": REPLAY, "run_id": run_id, **asked})

    async def _have_done(self, job: procrastinate.jobs.Job, what: dict[str, Any]) -> None:
        taken = Job(id=job.id or 0, taken=True, attempts=job.attempts)
        self._taken[taken.id] = _Taken(worker_id=job.worker_id or 0, task=asyncio.current_task())
        try:
            await self._pool.run(what)
        except SlotLost:
            _log.warning("the process of run %s was lost", what["run_id"])
            await asyncio.to_thread(self._watch.slot_lost, taken, what["run_id"])
        except (NoSlot, TemplateLost) as error:
            _log.error("%s: run %s is left to another worker", error, what["run_id"])
            await asyncio.sleep(RETRY_SECONDS)
            await asyncio.to_thread(self._watch.put_back, taken)
        finally:
            del self._taken[taken.id]


async def _commit_each(connection: "psycopg.AsyncConnection[Any]") -> None:
    """Each of procrastinate's statements is a whole: it needs no transaction around it."""
    await connection.set_autocommit(True)


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of a task that nobody waits for: a run that it had was taken from a worker that stood still."""
    error = context.get("exception")
    if isinstance(error, ConnectorException):
        _log.warning("a run is not this worker's any more: %s", first_line(error))
    else:
        loop.default_exception_handler(context)
