"""A process that executes runs, one at a time: forked from the template, warm from its first run."""

import json
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterInvalidConfigError
from dagster._utils.interrupts import capture_interrupts
from dagster_shared.record import copy

from runbook_defs.execution import Actor
from runbook_factory.database import DatabaseError, engine, keep_to_connections
from runbook_factory.execution import listener
from runbook_factory.execution_log import status_of
from runbook_factory.instance import stored_instance
from runbook_factory.replay.recording import NotReplayable
from runbook_factory.replay.replays import open_replay
from runbook_factory.runs import WarmJob, execute_stored
from runbook_service.launcher import end_unbegun
from runbook_service.process import own_bytes
from runbook_service.run_queue import REPLAY
from runbook_service.workers.terminal import first_line, keep_quiet
from runbook_service.workers.warm_jobs import Unrunnable, WarmJobs

_WAITING = {DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED}
CONNECTIONS = 2  # the lease of the execution, and one for all that is written


def serve(channel: socket.socket, jobs: WarmJobs) -> None:
    """Executes what `channel` asks for, a JSON object a line, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between two runs, it is meant for one that has ended
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    keep_to_connections(CONNECTIONS)
    keep_quiet()
    listener.set(deque(maxlen=0))  # what fails stands in the record, and not in the worker's terminal
    with stored_instance(jobs.project, settles=False) as instance, channel.makefile("rw") as lines:
        _say(lines, {"ready": True})
        was_told_to_stop = _hears_signals()
        for line in lines:
            asked = json.loads(line)
            with capture_interrupts():
                _say(lines, {"hears": True})  # a signal to stop is noted from here on
                _do(jobs, instance, asked)
            if was_told_to_stop():
                _end_unbegun(jobs, instance, asked["run_id"])
            _say(lines, {"bytes": own_bytes(), "stale": jobs.stale})


def _hears_signals() -> Callable[[], bool]:
    """What tells whether a signal came since it was last asked, whoever handled that."""
    heard, told = os.pipe()
    for end in (heard, told):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(told)

    def asked() -> bool:
        try:
            return bool(os.read(heard, 512))
        except BlockingIOError:
            return False

    return asked


def _end_unbegun(jobs: WarmJobs, instance: DagsterInstance, run_id: str) -> None:
    """Ends a run as cancelled that was told to stop on its way to its record: for Dagster, it failed."""
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status is not DagsterRunStatus.CANCELED and not _begun(jobs, run_id):
        end_unbegun(instance, run)


def _say(lines: Any, what: dict[str, Any]) -> None:
    lines.write(json.dumps(what) + "\n")
    lines.flush()


def _do(jobs: WarmJobs, instance: DagsterInstance, asked: dict[str, Any]) -> None:
    if asked["task"] == REPLAY:
        _replay(jobs, instance, asked)
    else:
        _execute(jobs, instance, asked["run_id"])


def _execute(jobs: WarmJobs, instance: DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    # One that has begun waits no more: nobody asks for its record.
    if run is None or run.is_finished or (run.status not in _WAITING and _begun(jobs, run_id)):
        return
    if run.status is DagsterRunStatus.CANCELING:
        end_unbegun(instance, run)
        return
    try:
        job = jobs.job(run)
        # Whatever it stands at: no process has begun it.
        execute_stored(job, _as_now(run, job, instance).with_status(DagsterRunStatus.STARTING), instance)
    except Unrunnable as error:
        end_unbegun(instance, run, failure=error.message)
    except DagsterInvalidConfigError as error:
        told = "; ".join(each.message for each in error.errors)
        misfit = f"the run does not fit the runbook {run.tags['runbook/id']} as it is now: {told}"
        end_unbegun(instance, run, failure=misfit)
    except DagsterExecutionInterruptedError:  # raised by Dagster only where it makes ready for the run
        if _begun(jobs, run_id):
            raise
    except Exception as error:
        end_unbegun(instance, run, failure=f"{type(error).__name__}: {first_line(error)}")


def _as_now(run: DagsterRun, job: WarmJob, instance: DagsterInstance) -> DagsterRun:
    """The run with the steps that its runbook has now, unless it was launched for some of them only."""
    asked, snapshot = set(run.step_keys_to_execute or ()), run.execution_plan_snapshot_id
    if not asked or snapshot is None or asked == set(job.plan.step_keys_to_execute):
        return run
    if asked != {step.key for step in instance.get_execution_plan_snapshot(snapshot).steps}:
        return run
    whole: DagsterRun = copy(run, step_keys_to_execute=None)
    return whole


def _begun(jobs: WarmJobs, run_id: str) -> bool:
    return status_of(engine(jobs.project), run_id) is not None


def _replay(jobs: WarmJobs, instance: DagsterInstance, asked: dict[str, Any]) -> None:
    """What comes of it is in the record; what cannot be replayed was refused before it came here."""
    if _begun(jobs, asked["run_id"]):
        return
    try:
        with open_replay(
            jobs.project, asked["execution"], live=asked["live"], allow_writes=asked["allow_writes"]
        ) as replay:
            for _ in replay.run(actor=Actor(**asked["actor"]), instance=instance, run_id=asked["run_id"]):
                pass
    except (NotReplayable, DatabaseError):
        return
