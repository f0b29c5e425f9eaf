"""Looks after runs whose worker or slot was lost: ends those that had begun, puts back those that had not."""

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from dagster import DagsterInstance, DagsterRunStatus

from runbook_factory.database import engine
from runbook_factory.endings import end_lost_runs, quiet_runs
from runbook_factory.execution_log import status_of
from runbook_factory.leases import lost_executions
from runbook_factory.project import Project
from runbook_factory.schedules import LINE_TAG
from runbook_service.launcher import end_unbegun
from runbook_service.run_queue import Job, RunQueue, run_queue
from runbook_service.workers.terminal import first_line

TICK_SECONDS = 1.0
FORGOTTEN_SECONDS = 15.0  # a run that waits, and is not in the queue so long after it was launched
MOST_ATTEMPTS = 3
NEVER_BEGAN = f"its process was lost before it began, {MOST_ATTEMPTS} times"
_FORGOTTEN_TICKS = 10

_log = logging.getLogger("runbook.worker")


class Slots(Protocol):
    """The slots of this worker."""

    def executing(self) -> Sequence[str]:
        """The runs that they have."""

    def end(self, run_id: str) -> None:
        """Ends the process that has the run."""


class Watch:
    """A thread that looks every second, and whenever it is told that a slot was lost."""

    def __init__(self, project: Project, instance: DagsterInstance) -> None:
        self._project, self._instance = project, instance
        self._slots: Slots | None = None
        self._queue: RunQueue = run_queue(engine(project))
        self._look = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self, slots: Slots) -> None:
        """Begins to look."""
        self._slots = slots
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopped = True
        self._look.set()
        self._thread.join(timeout=10)

    def slot_lost(self, job: Job, run_id: str) -> None:
        """Sees to the run of a slot of this worker's that was lost."""
        self._settle(job, run_id)
        self._look.set()

    def put_back(self, job: Job) -> None:
        """Leaves the run, which no slot was given, to another worker."""
        self._queue.put_back(job.id)

    def _run(self) -> None:
        tick = 0
        while not self._stopped:
            self._look.wait(TICK_SECONDS)
            self._look.clear()
            try:
                end_lost_runs(self._project, self._instance)
                self._end_shut_out()
                for job, run_id in self._queue.stalled():
                    if self._settle(job, run_id):
                        self._queue.drop(job.id)
                if tick % _FORGOTTEN_TICKS == 0:
                    self._remember()
            except Exception as error:
                _log.warning("looking after lost runs failed, and is tried again: %s", first_line(error))
            tick += 1

    def _end_shut_out(self) -> None:
        """Ends slots of ours whose execution was declared lost: the database had lost sight of them.

        Nothing that they do is recorded any more, so they must do nothing more.
        """
        if self._slots is None:
            return
        for run_id in lost_executions(engine(self._project), self._slots.executing()):
            self._slots.end(run_id)

    def _settle(self, job: Job, run_id: str) -> bool:
        """Puts the run of a lost process back or ends it, unless it has begun.

        Gives False while its execution runs: a slot has it still, or it is about to be ended as lost.
        """
        status = status_of(engine(self._project), run_id)
        if status is not None:
            return status != "running"
        run = self._instance.get_run_by_id(run_id)
        if run is not None and run.status is DagsterRunStatus.CANCELING:
            end_unbegun(self._instance, run)
        elif run is not None and not run.is_finished and job.attempts + 1 >= MOST_ATTEMPTS:
            end_unbegun(self._instance, run, failure=NEVER_BEGAN)
        elif job.attempts + 1 < MOST_ATTEMPTS and (run is None or not run.is_finished):
            self._queue.put_back(job.id)
        return True

    def _remember(self) -> None:
        """Sees to the runs whose launcher, or canceller, died before it was done."""
        for status in (DagsterRunStatus.QUEUED, DagsterRunStatus.CANCELING):
            quiet = quiet_runs(self._instance, status, seconds=FORGOTTEN_SECONDS)
            for run_id in self._queue.missing(quiet):
                run = self._instance.get_run_by_id(run_id)
                if (
                    run is None
                    or run.status is not status
                    or status_of(engine(self._project), run_id) is not None
                ):
                    continue
                if status is DagsterRunStatus.QUEUED:
                    self._queue.put(run_id, line=run.tags.get(LINE_TAG))
                else:
                    end_unbegun(self._instance, run)
