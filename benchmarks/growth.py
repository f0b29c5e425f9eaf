"""How costs grow: with the steps of a runbook, with stored executions, with runbooks."""

import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial

from benchmarks.load import load
from benchmarks.postgres import Server, server
from benchmarks.processes import cpu_ms
from benchmarks.program import line_with, own_environment, program
from benchmarks.runbook import write_chain, write_diamond
from benchmarks.service import RB, Service, service
from benchmarks.stored_rows import store_copies

SLOTS = 2
WARM_UP = 5
STEPS = {5: 50, 50: 20, 500: 5}  # how many executions of each
STORED = 20_000
PAIRS, PAIRS_OF_LS = 60, 10
LIMIT = 1.3
RUNBOOKS = (1, 100, 1000)
RUNS = 30


def main() -> None:
    """Prints the tables."""
    with server() as database:
        _steps(database)
    with server() as database:
        _stored(database)
    with server() as database:
        _runbooks(database)


def _steps(database: Server) -> None:
    print("steps in a chain   median ms   ms/step   slots: CPU ms/step")
    root = database.folder / "steps"
    names = {size: write_chain(root, size) for size in STEPS}
    with service(root, database.database("steps"), slots=SLOTS) as running:
        for size, runs in STEPS.items():
            execute = partial(running.execute, names[size])
            load(execute, times=WARM_UP)
            before = cpu_ms(running.parts()["slots"])
            done = load(execute, times=runs)
            cpu = (cpu_ms(running.parts()["slots"]) - before) / runs / size
            print(f"{size:16} {done.median_ms:11.1f} {done.median_ms / size:9.2f} {cpu:20.2f}", flush=True)
    print()


def _stored(database: Server) -> None:
    """An empty log and a full one, asked in turns, so that what else the machine does hits both."""
    empty_url, full_url = database.database("empty"), database.database("full")
    empty_root, full_root = database.folder / "empty", database.folder / "full"
    runbook = write_diamond(empty_root)
    write_diamond(full_root)
    with (
        service(empty_root, empty_url, slots=SLOTS) as empty,
        service(full_root, full_url, slots=SLOTS) as full,
    ):
        for each in (empty, full):
            load(partial(each.execute, runbook), times=WARM_UP)
        rows = store_copies(database, full_url, STORED)
        launches = _in_turns(lambda: empty.execute(runbook), lambda: full.execute(runbook), PAIRS)
        lists = _in_turns(lambda: _ls(empty), lambda: _ls(full), PAIRS_OF_LS)
    print(f"stored executions                 few   {STORED}    ratio (limit {LIMIT})")
    for name, (few, many) in (("launch to SUCCESS, ms", launches), ("rb ls, ms", lists)):
        print(f"{name:26} {few * 1000:10.1f} {many * 1000:7.1f} {many / few:8.2f}")
    print(f"rows: {', '.join(f'{count} {name}' for name, count in rows.items())}\n", flush=True)


def _in_turns(first: Callable[[], None], second: Callable[[], None], pairs: int) -> tuple[float, float]:
    """The median seconds of each."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(pairs * 2):
        began = time.perf_counter()
        (first, second)[number % 2]()
        took[number % 2].append(time.perf_counter() - began)
    return statistics.median(took[0]), statistics.median(took[1])


def _ls(running: Service) -> None:
    subprocess.run(
        [RB, "ls"],
        cwd=running.root,
        env={**own_environment(), **running.environment},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _runbooks(database: Server) -> None:
    print("runbooks   rb worker, s   rb serve, s   first execution, s   launch, ms   CPU ms each")
    for size in RUNBOOKS:
        root, url = database.folder / f"of-{size}", database.database(f"of-{size}")
        names = [write_diamond(root, f"diamond-{number}") for number in range(size)]
        with service(root, url, slots=SLOTS) as running:
            execute = partial(running.execute, names[-1])
            # The service answers before its worker has loaded everything.
            until_first = running.started + load(execute, times=1).together
            load(execute, times=WARM_UP)
            before = _cpu(running, database)
            done = load(execute, times=RUNS)
            cpu = (_cpu(running, database) - before) / RUNS
            worker = _worker_start(running)
        print(
            f"{size:8} {worker:14.2f} {running.started:13.2f} {until_first:20.2f} {done.median_ms:12.1f}"
            f" {cpu:13.1f}",
            flush=True,
        )
    print()


def _cpu(running: Service, database: Server) -> float:
    """Of all that takes part in an execution: not of the daemon, which runs schedules."""
    parts = running.parts()
    return cpu_ms(pid for part in parts if part != "daemon" for pid in parts[part]) + cpu_ms(
        database.processes()
    )


def _worker_start(running: Service) -> float:
    """Seconds until another worker of the same project is ready for runs."""
    began = time.perf_counter()
    with program(
        [RB, "worker", "--slots", str(SLOTS)], folder=running.root, environment=running.environment
    ) as process:
        line_with(process, "ready for runs")
        return time.perf_counter() - began
