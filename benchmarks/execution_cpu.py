"""Milliseconds of CPU for an execution of five empty steps, by part of the service, and its statements."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.load import Load, load
from benchmarks.postgres import Server, server
from benchmarks.processes import cpu_ms
from benchmarks.runbook import write_diamond
from benchmarks.service import Service, service

SLOTS = 4
CLIENTS = 8
RUNS, WARM_UP = 200, 40
IDLE_SECONDS = 30.0
# A connection that has nothing to do tells its numbers to the server's statistics after so long.
TOLD_SECONDS = 11.0
DATABASE = "cpu"

# Dagster's launch and queue, with its events and statements, in warm processes: before runs were made cheap.
BEFORE = {"launch": 34.0, "code server": 5.0, "queue": 4.0, "slots": 68.0, "database": 28.0}
PARTS = {
    "launch": "launch: web server, REST",
    "code server": "code server of Dagster",
    "queue": "queue: takes runs for the slots",
    "template": "template of the slots",
    "slots": "engine and record: slots",
    "database": "database: PostgreSQL",
    "daemon": "Dagster's daemon: schedules",
}


@dataclass
class Spent:
    """What was spent while a block ran: CPU by part in so many seconds; statements until these were told."""

    cpu: dict[str, float] = field(default_factory=dict)
    statements: float = 0
    connections: float = 0
    open: int = 0
    seconds: float = 0
    until_told: float = 0


def main() -> None:
    """Prints the table."""
    with server() as database:
        root = database.folder / "project"
        runbook = write_diamond(root)
        with service(root, database.database(DATABASE), slots=SLOTS) as running:
            load(lambda: running.execute(runbook), times=WARM_UP, clients=CLIENTS)
            with _spending(database, running) as idle:
                time.sleep(IDLE_SECONDS)
            with _spending(database, running) as busy:
                done = load(lambda: running.execute(runbook), times=RUNS, clients=CLIENTS)
    _print(idle, busy, done)


def _print(idle: Spent, busy: Spent, done: Load) -> None:
    print(f"CPU of {RUNS} executions, {CLIENTS} at once, {SLOTS} slots    ms each   before   idle, ms/s")
    for part, name in PARTS.items():
        before = f"{BEFORE[part]:8.0f}" if part in BEFORE else " " * 8
        print(f"{name:45} {busy.cpu[part] / RUNS:9.1f} {before} {idle.cpu[part] / idle.seconds:12.1f}")
    each, resting = sum(busy.cpu.values()) / RUNS, sum(idle.cpu.values()) / idle.seconds
    print(f"{'all':45} {each:9.1f} {sum(BEFORE.values()):8.0f} {resting:12.1f}")
    statements = (busy.statements - idle.statements / idle.until_told * busy.until_told) / RUNS
    print(
        f"statements each: {statements:.1f}; new connections each: {busy.connections / RUNS:.2f};"
        f" connections open: {busy.open}; {done.per_second:.1f} executions/s, p95 {done.p95_ms:.0f} ms\n"
    )


@contextmanager
def _spending(database: Server, running: Service) -> Iterator[Spent]:
    """Counts until its block ends; the statistics of the database for as long as it takes to be told them."""
    spent = Spent()
    time.sleep(TOLD_SECONDS)
    transactions, sessions, _ = _statistics(database)
    began, cpu = time.monotonic(), _cpu(database, running)
    yield spent
    after = _cpu(database, running)
    spent.seconds = time.monotonic() - began
    time.sleep(TOLD_SECONDS)
    transactions_after, sessions_after, spent.open = _statistics(database)
    spent.cpu = {part: after[part] - cpu[part] for part in PARTS}
    spent.statements = transactions_after - transactions
    spent.connections = sessions_after - sessions
    spent.until_told = time.monotonic() - began


def _cpu(database: Server, running: Service) -> dict[str, float]:
    parts = {**running.parts(), "database": database.processes()}
    return {part: cpu_ms(parts.get(part, [])) for part in PARTS}


def _statistics(database: Server) -> tuple[int, int, int]:
    """The transactions so far, each of them a statement, the connections so far, and those that are open."""
    ((transactions, sessions, open_now),) = database.execute(
        "SELECT xact_commit + xact_rollback, sessions, numbackends FROM pg_stat_database"
        f" WHERE datname = '{DATABASE}'"
    )
    return transactions, sessions, open_now
