"""The slots of a worker: replaced in time, with two connections of the database at most."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRunStatus
from sqlalchemy import event

from runbook_factory import database
from runbook_factory.actors import local_actor
from runbook_factory.project import Project
from runbook_factory.replay.replays import open_replay
from runbook_service.run_queue import EXECUTE
from runbook_service.workers import pool as pools
from runbook_service.workers.pool import Pool
from runbook_service.workers.processes import Slot, SlotLost, Template
from runbook_service.workers.slot import CONNECTIONS, _execute
from runbook_service.workers.warm_jobs import WarmJobs
from tests.scripted import Says
from tests.working import Yard, children_of, is_gone, until

SUCCESS = DagsterRunStatus.SUCCESS

WIDE = """
id: {id}
name: Wide
version: 1.0.0
owner: tests
legal_basis: none needed
assumptions: [{{looked_at: true}}]
inputs:
  word: {{type: string, default: none}}
kpis:
  found: {{value: "${{steps.a.outputs.n}}", min: 1}}
steps:
  - {{id: a, type: data_fetch, inputs: {{source_url: "{url}/wide"}}, outputs: {{n: "$.n"}}}}
  - {{id: b, type: api_call, inputs: {{endpoint: "{url}/wide", method: POST}}}}
  - {{id: c, type: data_fetch, inputs: {{source_url: "{url}/wide"}}}}
  - {{id: d, type: api_call, inputs: {{endpoint: "{url}/wide", method: POST}}}}
  - id: e
    type: data_fetch
    depends_on: [a, b, c, d]
    for_each: "${{[1, 2, 3]}}"
    inputs: {{source_url: "{url}/wide?n=${{item}}"}}
"""


def asked(run_id: str) -> dict[str, str]:
    return {"task": EXECUTE, "run_id": run_id}


class Counted(Pool):
    """Notes the process of each slot."""

    def __init__(self, project: Project, size: int) -> None:
        super().__init__(project, size)
        self.pids: list[int] = []

    async def _fork(self) -> Slot:
        slot = await super()._fork()
        self.pids.append(slot.pid)
        return slot


def in_pool(yard: Yard, work: Any, size: int = 1) -> None:
    async def whole() -> None:
        pool = Counted(yard.project, size)
        try:
            await pool.start()
            await work(pool)
        finally:
            pool.close()

    asyncio.run(whole())


@pytest.mark.parametrize(("limit", "value", "slots"), [("RUNS_PER_SLOT", 2, 2), ("BYTES_PER_SLOT", 1, 3)])
def test_a_slot_is_replaced_after_so_many_runs_or_bytes(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, slots: int
) -> None:
    monkeypatch.setattr(pools, limit, value)
    names, seen = [yard.add().run_id for _ in range(3)], set()

    async def work(pool: Counted) -> None:
        for name in names:
            await pool.run(asked(name))
        seen.update(pool.pids)

    in_pool(yard, work)
    assert [yard.status(name) for name in names] == [SUCCESS] * 3
    assert len(seen) == slots
    until(lambda: all(is_gone(pid) for pid in seen))


def test_a_run_that_is_stopped_while_its_slot_is_forked_does_not_cost_the_slot(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "RUNS_PER_SLOT", 1)  # each run forks a slot
    last = yard.add("slow").run_id

    async def work(pool: Pool) -> None:
        for _ in range(6):
            run = asyncio.ensure_future(pool.run(asked(yard.add("slow").run_id)))
            await asyncio.sleep(0.005)
            run.cancel()
            await run
        run = asyncio.ensure_future(pool.run(asked(last)))
        while not yard.asked(last):
            await asyncio.sleep(0.05)
        (slot,) = pool._slots
        assert not is_gone(slot.pid)
        pool.end(last)  # by its process id: that must be this slot's
        with pytest.raises(SlotLost):
            await run
        until(lambda: is_gone(slot.pid), 3)

    in_pool(yard, work)


def test_a_slot_has_two_connections_at_most(yard: Yard) -> None:
    yard.world.answers["/wide"] = Says({"n": 3}, delay=0.15)
    yard.runbook("wide", text=WIDE)
    names = [yard.add("wide").run_id for _ in range(3)]
    open_now = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    before: int = yard.query(open_now)[0][0]
    most, stopped = [0], threading.Event()

    def look() -> None:
        while not stopped.wait(0.005):
            most[0] = max(most[0], yard.query(open_now)[0][0])

    looking = threading.Thread(target=look)

    async def work(pool: Pool) -> None:
        looking.start()
        for name in names:
            await pool.run(asked(name))
        stopped.set()

    in_pool(yard, work)
    looking.join()
    assert [yard.status(name) for name in names] == [SUCCESS] * 3
    # The thread that looks has one of its own.
    assert 1 <= most[0] - before <= CONNECTIONS + 1


@contextmanager
def checkouts(yard: Yard) -> Iterator[dict[int, int]]:
    """How many connections each thread has had at once."""
    pool = database.engine(yard.project).pool
    held: dict[int, set[int]] = {}
    most: dict[int, int] = {}

    def out(connection: Any, record: Any, proxy: Any) -> None:
        thread = threading.get_ident()
        mine = held.setdefault(thread, set())
        mine.add(id(record))
        most[thread] = max(most.get(thread, 0), len(mine))

    def back(connection: Any, record: Any) -> None:
        for mine in held.values():
            mine.discard(id(record))

    event.listen(pool, "checkout", out)
    event.listen(pool, "checkin", back)
    yield most
    event.remove(pool, "checkout", out)
    event.remove(pool, "checkin", back)


def test_no_thread_waits_for_a_connection_while_it_has_one_that_others_wait_for(yard: Yard) -> None:
    yard.world.answers["/wide"] = Says({"n": 3})
    yard.runbook("wide", text=WIDE)
    jobs = WarmJobs.of(yard.project)
    name = yard.add("wide").run_id
    with checkouts(yard) as most:
        _execute(jobs, yard.instance, name)
        with open_replay(yard.project, name) as replay:
            for _ in replay.run(actor=local_actor(), instance=yard.instance):
                pass
    assert yard.status(name) is SUCCESS
    # This thread has the lease, and one for what it writes; each step that writes has one at a time.
    assert most.pop(threading.get_ident()) <= CONNECTIONS
    assert set(most.values()) == {1}


def test_a_pool_that_is_closed_while_its_template_is_replaced_leaves_no_process(
    yard: Yard, capfd: pytest.CaptureFixture[str]
) -> None:
    replaced: list[int] = []

    async def work(pool: Counted) -> None:
        assert pool._template is not None
        pool._renew_soon(pool._template)
        replaced.extend(await asyncio.to_thread(until, lambda: children(besides=pool._templates)))

    in_pool(yard, work)
    until(lambda: all(is_gone(pid) for pid in replaced), 3)
    assert "Traceback" not in capfd.readouterr().err


def children(*, besides: set[Template]) -> list[int]:
    """The templates that are being started."""
    known = {template.process.pid for template in besides}
    found = []
    for pid in children_of(os.getpid()):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_text()
            if pid not in known and "runbook_service.workers.template" in command:
                found.append(pid)
    return found
