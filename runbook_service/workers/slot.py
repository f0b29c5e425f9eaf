"""A process that executes runs, one at a time: forked from the template, warm from its first run."""

import json
import signal
import socket
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from sqlalchemy import text

from runbook_defs.execution import Actor
from runbook_factory.database import DatabaseError, engine, keep_to_connections
from runbook_factory.instance import stored_instance
from runbook_factory.replay.recording import NotReplayable
from runbook_factory.replay.replays import open_replay
from runbook_factory.runs import execute_stored
from runbook_service.process import own_bytes
from runbook_service.run_queue import REPLAY
from runbook_service.workers.warm_jobs import Unrunnable, WarmJobs

CONNECTIONS = 2  # the lease of the execution, and one for all that is written

_BEGUN = text("SELECT 1 FROM runbook.runbook_executions WHERE id = CAST(:id AS UUID)")


def serve(channel: socket.socket, jobs: WarmJobs) -> None:
    """Executes what `channel` asks for, a JSON object a line, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between two runs, it is meant for one that has ended
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    keep_to_connections(CONNECTIONS)
    with stored_instance(jobs.project, settles=False) as instance, channel.makefile("rw") as lines:
        _say(lines, {"ready": True})
        for line in lines:
            asked = json.loads(line)
            if asked["task"] == REPLAY:
                _replay(jobs, instance, asked)
            else:
                _execute(jobs, instance, asked["run_id"])
            _say(lines, {"bytes": own_bytes(), "stale": jobs.stale})


def _say(lines: Any, what: dict[str, Any]) -> None:
    lines.write(json.dumps(what) + "\n")
    lines.flush()


def _execute(jobs: WarmJobs, instance: DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished or _begun(jobs, run_id):
        return
    if run.status is DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run)
        return
    try:
        # Whatever it stands at: the record says that no process has begun it.
        execute_stored(jobs.job(run), run.with_status(DagsterRunStatus.STARTING), instance)
    except Unrunnable as error:
        _fail(instance, run, error.message)
    except Exception as error:
        _fail(instance, run, f"{type(error).__name__}: {error}")


def _begun(jobs: WarmJobs, run_id: str) -> bool:
    with engine(jobs.project).connect() as connection:
        return connection.scalar(_BEGUN, {"id": run_id}) is not None


def _fail(instance: DagsterInstance, run: DagsterRun, reason: str) -> None:
    instance.add_run_tags(run.run_id, {"runbook/status": "failure", "runbook/reason": reason[:400]})
    instance.report_run_failed(run, message=reason)


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
