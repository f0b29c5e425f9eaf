"""A worker that is told to stop ends what it has, leaves the rest, and nothing of it stays behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from runbook_service.run_queue import STALLED_SECONDS
from runbook_service.workers.worker import TooManySlots, check_slots
from tests.working import Yard, is_gone, until

QUEUED, SUCCESS, CANCELED = DagsterRunStatus.QUEUED, DagsterRunStatus.SUCCESS, DagsterRunStatus.CANCELED


def test_a_worker_told_to_stop_ends_what_runs_and_leaves_the_rest_to_others(yard: Yard) -> None:
    with yard.worker(slots=2) as first:
        short, long = yard.launch("brief"), yard.launch("slow")
        yard.started(short)
        yard.started(long)
        waiting = [yard.launch() for _ in range(2)]
        processes = first.all()
        first.process.send_signal(signal.SIGTERM)
        assert yard.wait(short) == [SUCCESS]
        # While it waits for the other, it is not taken for dead, and hears that this is cancelled.
        time.sleep(STALLED_SECONDS + 1)
        assert yard.queue.stalled() == []
        assert [yard.status(name) for name in waiting] == [QUEUED] * 2
        assert yard.cancel(long)
        assert yard.wait(long, seconds=4) == [CANCELED]
        assert yard.recorded(long) == ("aborted", "cancelled")
        assert first.process.wait(timeout=10) == 0
        until(lambda: all(is_gone(pid) for pid in processes), 2)
        assert first.errors() == ""
        assert [yard.status(name) for name in waiting] == [QUEUED] * 2
    with yard.worker(slots=1) as second:
        assert yard.wait(waiting) == [SUCCESS] * 2
        short = yard.launch("brief")
        yard.started(short)
        os.killpg(second.pid, signal.SIGINT)  # as a terminal does at Ctrl-C, to all of the group
        assert second.process.wait(timeout=10) == 0
        assert yard.status(short) is SUCCESS
        assert yard.recorded(short) == ("success", "")


def test_more_slots_than_the_database_has_connections_for_are_refused(yard: Yard) -> None:
    said = subprocess.run(
        [str(Path(sys.executable).with_name("rb")), "worker", "--slots", "1000"],
        cwd=yard.project.root,
        env={**os.environ, **yard.environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 2
    assert "rb: 1000 slots need more connections than the database has: it has room for " in said.stderr
    assert "raise max_connections" in said.stderr


def test_the_slots_of_a_worker_count_for_the_next(yard: Yard) -> None:
    before = room(refused(yard))
    with yard.worker(slots=37):
        until(lambda: room(refused(yard)) <= before - 37)
        assert " of other workers" in refused(yard)
    until(lambda: room(refused(yard)) > before - 37)


def refused(yard: Yard) -> str:
    with pytest.raises(TooManySlots) as caught:
        check_slots(yard.project, 1000)
    return caught.value.message


def room(message: str) -> int:
    (found,) = re.findall(r"it has room for (\d+)", message)
    return int(found)
