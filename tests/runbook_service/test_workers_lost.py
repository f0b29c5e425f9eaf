"""What becomes of runs whose slot, template or worker is killed, or stands still."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from dagster import DagsterRunStatus

from runbook_factory.leases import LOST
from runbook_service.run_queue import STALLED_SECONDS
from tests.working import Host, Yard, is_gone, until

QUEUED, SUCCESS = DagsterRunStatus.QUEUED, DagsterRunStatus.SUCCESS
FAILURE, CANCELED = DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED


@pytest.fixture(scope="module")
def host(yard: Yard) -> Iterator[Host]:
    """A worker that lives through all of this."""
    with yard.worker(slots=2) as host:
        yield host
        assert "Traceback" not in host.errors()
        assert host.stop() == 0


@pytest.fixture(scope="module")
def other(yard: Yard, host: Host) -> Iterator[Host]:
    """A second worker, which the last test kills."""
    with yard.worker(slots=2) as other:
        yield other
        assert "Traceback" not in other.errors()


@pytest.mark.parametrize("whole", [False, True], ids=["slot", "template"])
def test_the_run_of_a_killed_slot_or_template_is_a_failure_and_the_worker_goes_on(
    yard: Yard, host: Host, whole: bool
) -> None:
    lost = yard.launch("slow")
    yard.started(lost)
    began = time.monotonic()
    for pid in [host.template()] if whole else host.slots():
        os.kill(pid, signal.SIGKILL)
    assert yard.wait(lost) == [FAILURE]
    assert time.monotonic() - began < 4
    assert yard.recorded(lost) == ("failure", LOST)
    assert yard.reason(lost) == LOST
    assert yard.wait([yard.launch() for _ in range(3)]) == [SUCCESS] * 3


@pytest.mark.parametrize("whole", [False, True], ids=["slots", "template"])
def test_what_is_killed_while_it_has_nothing_to_do_is_replaced(yard: Yard, host: Host, whole: bool) -> None:
    until(yard.is_settled)
    for pid in [host.template()] if whole else host.slots():
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    names = [yard.launch() for _ in range(3)]
    assert yard.wait(names) == [SUCCESS] * 3
    assert time.monotonic() - began < (10 if whole else 4)
    assert [yard.asked(name) for name in names] == [1] * 3


def test_a_slot_killed_before_its_run_began_gives_it_to_the_next(yard: Yard, host: Host) -> None:
    until(yard.is_settled)
    slots = host.slots()
    for pid in slots:
        os.kill(pid, signal.SIGSTOP)
    names = [yard.launch(), yard.launch()]
    until(lambda: all((job := yard.queue.find(name)) is not None and job.taken for name in names))
    time.sleep(0.2)
    assert [yard.status(name) for name in names] == [QUEUED] * 2
    for pid in slots:
        os.kill(pid, signal.SIGKILL)
    assert yard.wait(names, seconds=8) == [SUCCESS] * 2
    assert [yard.asked(name) for name in names] == [1] * 2


def test_a_run_that_is_being_cancelled_when_its_slot_is_killed_ends(yard: Yard, host: Host) -> None:
    until(yard.is_settled)
    name = yard.launch("slow")
    yard.started(name)
    slots = host.slots()
    for pid in slots:
        os.kill(pid, signal.SIGSTOP)
    assert yard.cancel(name)
    for pid in slots:
        os.kill(pid, signal.SIGKILL)
    assert yard.wait(name, seconds=5) == [FAILURE]
    assert yard.recorded(name) == ("failure", LOST)
    until(yard.is_settled)


def test_two_workers_share_the_queue_and_each_takes_part(yard: Yard, host: Host, other: Host) -> None:
    until(yard.is_settled)
    names = [yard.launch("slow") for _ in range(4)]
    for name in names:
        yard.started(name)
    rows = yard.query("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing' GROUP BY worker_id")
    assert [row.count for row in rows] == [2, 2]
    third = yard.launch()
    time.sleep(0.3)
    assert yard.status(third) is QUEUED
    for name in names:
        assert yard.cancel(name)
    assert yard.wait([*names, third]) == [CANCELED] * 4 + [SUCCESS]


def test_a_worker_that_stood_still_doubles_nothing_when_it_goes_on(
    yard: Yard, host: Host, other: Host
) -> None:
    names = [yard.launch("brief") for _ in range(10)]
    until(lambda: sum(yard.asked(name) for name in names) >= 4)
    os.kill(other.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert yard.wait(names) == [SUCCESS] * 10
    time.sleep(max(0, began + STALLED_SECONDS + 1.5 - time.monotonic()))
    os.kill(other.pid, signal.SIGCONT)
    until(yard.is_settled)
    more = [yard.launch("brief") for _ in range(6)]
    assert yard.wait(more) == [SUCCESS] * 6
    assert [yard.asked(name) for name in [*names, *more]] == [1] * 16


def test_of_the_runs_of_a_killed_worker_none_is_lost_and_none_doubled(
    yard: Yard, host: Host, other: Host
) -> None:
    names = [yard.launch("brief") for _ in range(30)]
    until(lambda: sum(yard.asked(name) for name in names) >= 8)
    processes = other.all()
    os.kill(other.pid, signal.SIGKILL)
    began = time.monotonic()
    yard.wait(names, seconds=60)
    took = time.monotonic() - began
    found = {name: yard.recorded(name) for name in names}
    for name, record in found.items():
        assert record in {("success", ""), ("failure", LOST)}
        succeeded = record == ("success", "")
        assert (yard.status(name) is SUCCESS) is succeeded
        assert yard.asked(name) == 1 if succeeded else yard.asked(name) <= 1
    lost = [record for record in found.values() if record == ("failure", LOST)]
    assert len(lost) <= 2
    until(yard.is_settled)
    assert not yard.query("SELECT 1 FROM runbook.runbook_executions WHERE status = 'running'")
    until(lambda: all(is_gone(pid) for pid in processes), 3)
    print(
        f"\n{len(names)} runs, two workers of 2 slots, one of them killed: "
        f"{len(names) - len(lost)} succeeded, {len(lost)} failed as lost, "
        f"0 still running, 0 doubled; the last ended {took:.1f} s after the kill"
    )
