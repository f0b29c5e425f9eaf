"""What a slot costs in memory after its first runs, and a hundred waits launched at once."""

import statistics
from dataclasses import dataclass

from benchmarks.load import load
from benchmarks.postgres import Server, server
from benchmarks.processes import pss_mb
from benchmarks.runbook import write_diamond, write_wait
from benchmarks.service import Service, service

SIZES = (4, 20)
RUNS = 20  # of each slot
WAITS, WAIT_SECONDS, WAIT_SLOTS = 100, 5.0, 25
LIMIT_MB, LIMIT_SECONDS = 60, 30


@dataclass(frozen=True, kw_only=True)
class Memory:
    """PSS in MB: of each slot, the template and the queue process."""

    slots: tuple[float, ...]
    template: float
    queue: float

    @property
    def all(self) -> float:
        """Of the whole worker."""
        return sum(self.slots) + self.template + self.queue


def main() -> None:
    """Prints the tables."""
    with server() as database:
        found = {size: _memory(database, size) for size in SIZES}
        took = _waits(database)
    print(f"PSS in MB after {RUNS} runs     slots: median   most   template   queue   worker   by slots")
    for size, memory in found.items():
        print(
            f"{size:3} slots {statistics.median(memory.slots):29.1f} {max(memory.slots):6.1f}"
            f" {memory.template:10.1f} {memory.queue:7.1f} {memory.all:8.1f} {memory.all / size:10.1f}"
        )
    few, many = (found[size].all for size in SIZES)
    print(f"each further slot: {(many - few) / (SIZES[1] - SIZES[0]):.1f} MB (limit {LIMIT_MB})")
    print(
        f"{WAITS} executions that wait {WAIT_SECONDS:g} s, launched at once, {WAIT_SLOTS} slots: {took:.1f} s"
        f" (limit {LIMIT_SECONDS}; the waits alone {WAITS / WAIT_SLOTS * WAIT_SECONDS:g} s)\n"
    )


def _memory(database: Server, size: int) -> Memory:
    root = database.folder / f"slots-{size}"
    five = write_diamond(root)
    # So long that every slot gets one of as many as there are slots.
    wait = write_wait(root, 0.5 + 0.1 * size)
    with service(root, database.database(f"slots_{size}"), slots=size) as running:
        load(lambda: running.execute(wait), times=size, clients=size)
        for _ in range(RUNS // 2):
            load(lambda: running.execute(five), times=size, clients=size)
            load(lambda: running.execute(wait), times=size, clients=size)
        return _measured(running)


def _measured(running: Service) -> Memory:
    parts = {part: [pss_mb(pid) for pid in pids] for part, pids in running.parts().items()}
    return Memory(slots=tuple(parts["slots"]), template=sum(parts["template"]), queue=sum(parts["queue"]))


def _waits(database: Server) -> float:
    """Seconds from the first request until the last execution has ended."""
    root = database.folder / "waits"
    wait, warm = write_wait(root, WAIT_SECONDS), write_wait(root, 0.0)
    with service(root, database.database("waits"), slots=WAIT_SLOTS) as running:
        load(lambda: running.execute(warm), times=WAIT_SLOTS * 2, clients=WAIT_SLOTS)
        return load(lambda: running.execute(wait), times=WAITS, clients=WAITS).together
