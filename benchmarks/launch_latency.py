"""From a request to SUCCESS: five empty steps, against stock Dagster and DBOS on the same database server.

Each is asked from another process. Stock Dagster is asked over its GraphQL and looked at every 50 ms.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from benchmarks.durable import SLOWEST, Durable, durable
from benchmarks.load import Load, load
from benchmarks.postgres import Server, server
from benchmarks.runbook import write_diamond
from benchmarks.service import service
from benchmarks.stock import DEFAULT, IN_PROCESS, Stock, stock

SLOTS = 2
CLIENTS = 8
WARM_UP = 10
RUNS, RUNS_AT_ONCE = 100, 200
STOCK_RUNS = {IN_PROCESS: (5, 8), DEFAULT: (2, 4)}  # one after the other, and at once: each takes seconds
SLOWEST_RUNS = 10
OFTEN = 0.01  # seconds


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one of them took, for one execution at a time and for several clients."""

    name: str
    alone: Load
    at_once: Load | None = None


def main() -> None:
    """Prints the table."""
    print("five empty steps, request to SUCCESS       runs  median ms   p95 ms  x ours    runs/s  ours x")
    with server() as database:
        ours = _ours(database)
        print(_line(ours, ours))
        for row in chain(_stock(database), _durable(database)):
            print(_line(row, ours), flush=True)
    few = " and ".join(str(at_once) for _, at_once in STOCK_RUNS.values())
    print(f"runs/s: {RUNS_AT_ONCE} executions by {CLIENTS} clients; of stock Dagster {few} runs at once\n")


def _line(row: Row, ours: Row) -> str:
    alone = row.alone
    ratio = alone.median_ms / ours.alone.median_ms
    text = f"{row.name:42} {len(alone.each):4} {alone.median_ms:10.1f} {alone.p95_ms:8.1f} {ratio:7.2f}"
    if row.at_once is None or ours.at_once is None:
        return text
    faster = ours.at_once.per_second / row.at_once.per_second
    return f"{text} {row.at_once.per_second:9.2f} {faster:7.2f}"


def _ours(database: Server) -> Row:
    root = database.folder / "project"
    runbook = write_diamond(root)
    with service(root, database.database("ours"), slots=SLOTS) as running:
        load(lambda: running.execute(runbook), times=WARM_UP, clients=SLOTS)
        return Row(
            name=f"rb serve --slots {SLOTS}, REST",
            alone=load(lambda: running.execute(runbook), times=RUNS),
            at_once=load(lambda: running.execute(runbook), times=RUNS_AT_ONCE, clients=CLIENTS),
        )


def _stock(database: Server) -> Iterator[Row]:
    with stock(database.folder / "stock", database.database("stock")) as running:
        for job, name in ((IN_PROCESS, "in-process executor"), (DEFAULT, "default executor")):
            yield _stock_row(running, job, f"stock Dagster, {name}")


def _stock_row(running: Stock, job: str, name: str) -> Row:
    alone, at_once = STOCK_RUNS[job]
    running.execute(job)
    return Row(
        name=name,
        alone=load(lambda: running.execute(job), times=alone),
        at_once=load(lambda: running.execute(job), times=at_once, clients=min(CLIENTS, at_once)),
    )


def _durable(database: Server) -> Iterator[Row]:
    url = database.database("durable")
    with durable(database.folder / "durable", url) as running:
        running.execute()
        alone = load(running.execute, times=SLOWEST_RUNS)
        yield Row(name=f"DBOS, queue looked at every {SLOWEST:g} s (default)", alone=alone)
    with durable(database.folder / "durable-often", url, poll=OFTEN) as running:
        load(running.execute, times=WARM_UP)
        yield Row(
            name=f"DBOS, queue looked at every {OFTEN * 1000:g} ms",
            alone=load(running.execute, times=RUNS),
            at_once=load(running.execute, times=RUNS_AT_ONCE, clients=CLIENTS),
        )
        yield _invoked(running)


def _invoked(running: Durable) -> Row:
    for _ in range(WARM_UP):
        running.invoke()
    took = tuple(running.invoke() for _ in range(RUNS))
    return Row(name="DBOS, called in its own process", alone=Load(each=took, together=sum(took)))
