"""Looks after runs whose worker or slot was lost: ends those that had begun, puts back those that had not."""

import logging
import threading
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from sqlalchemy import text

from runbook_factory.database import engine
from runbook_factory.instance import end_lost_runs
from runbook_factory.project import Project
from runbook_factory.schedules import LINE_TAG
from runbook_service.launcher import NEVER_BEGAN
from runbook_service.run_queue import RunQueue, run_queue

TICK_SECONDS = 1.0
FORGOTTEN_SECONDS = 15.0  # a run that waits, and is not in the queue so long after it was launched
_FORGOTTEN_TICKS = 10

_STATUS = text("SELECT status FROM runbook.runbook_executions WHERE id = CAST(:id AS UUID)")

_log = logging.getLogger("runbook.worker")


class Watch:
    """A thread that looks every second, and whenever it is told that a slot was lost."""

    def __init__(self, project: Project, instance: DagsterInstance) -> None:
        self._project, self._instance = project, instance
        self._queue: RunQueue = run_queue(engine(project))
        self._look = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopped = True
        self._look.set()
        self._thread.join(timeout=10)

    def look(self) -> None:
        """Lets it look at once."""
        self._look.set()

    def _run(self) -> None:
        tick = 0
        while not self._stopped:
            self._look.wait(TICK_SECONDS)
            self._look.clear()
            try:
                end_lost_runs(self._project, self._instance)
                self._handle_stalled()
                if tick % _FORGOTTEN_TICKS == 0:
                    self._remember()
            except Exception as error:
                _log.warning("looking after lost runs failed, and is tried again: %s", error)
            tick += 1

    def _handle_stalled(self) -> None:
        """The runs of dead workers. One that a slot still executes is left to it: it holds its lease."""
        for job, run_id in self._queue.stalled():
            run = self._instance.get_run_by_id(run_id)
            status = self._status(run_id)
            if status == "running":
                continue
            if run is not None and run.status is DagsterRunStatus.CANCELING and status is None:
                self._instance.add_run_tags(run_id, {"runbook/reason": NEVER_BEGAN})
                self._instance.report_run_canceled(run)
            elif (run is None or not run.is_finished) and status is None:
                self._queue.put_back(job)
                continue
            self._queue.drop(job)

    def _remember(self) -> None:
        """Puts in the runs whose launcher died before it could."""
        waiting = RunsFilter(
            statuses=[DagsterRunStatus.QUEUED],
            created_before=datetime.now(UTC) - timedelta(seconds=FORGOTTEN_SECONDS),
        )
        for run in self._instance.get_runs(waiting, limit=100):
            if self._queue.find(run.run_id) is None and self._status(run.run_id) is None:
                self._queue.put(run.run_id, line=run.tags.get(LINE_TAG))

    def _status(self, run_id: str) -> str | None:
        with engine(self._project).connect() as connection:
            found: str | None = connection.scalar(_STATUS, {"id": run_id})
            return found
