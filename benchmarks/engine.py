"""What the engine adds to a step, and how that grows with the number of steps, on real Postgres.

The peer is Dagster alone: as many empty ops in a chain, its in-process executor, the same database.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import (
    DagsterInstance,
    DependencyDefinition,
    GraphDefinition,
    In,
    JobDefinition,
    NodeInvocation,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    in_process_executor,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from runbook_factory import embedded
from runbook_factory.actors import local_actor
from runbook_factory.catalog import load_runbook
from runbook_factory.instance import stored_instance
from runbook_factory.project import Project
from runbook_factory.request import RunRequest
from runbook_factory.runs import run_runbook

SIZES = (10, 50, 200, 500)
RUNS = 3


def main() -> None:
    """Prints the table."""
    print("steps   ours s   ms/step   Dagster s   ms/step   ours/Dagster")
    with project_on_postgres() as project, stored_instance(project) as instance:
        for size in SIZES:
            ours = _median(_our_run(project, instance, size))
            peer = _median(_dagster_run(instance, size))
            print(
                f"{size:5} {ours:8.3f} {ours / size * 1000:9.2f} {peer:11.3f} {peer / size * 1000:9.2f}"
                f" {ours / peer:14.2f}"
            )
    print()


def _median(run: Callable[[], None]) -> float:
    def once() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    once()
    return statistics.median(once() for _ in range(RUNS))


@contextmanager
def project_on_postgres() -> Iterator[Project]:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        project.runbooks.mkdir()
        try:
            yield project
        finally:
            embedded.stop(project.state)


def _our_run(project: Project, instance: DagsterInstance, size: int) -> Callable[[], None]:
    """A chain of steps that check nothing: what is left is the engine."""
    head = f"id: bench-{size}\nname: b\nversion: 1.0.0\nowner: b\nlegal_basis: none\nsteps:\n"
    steps = [
        f"  - id: s{number}\n    type: schema_check\n"
        + (f"    depends_on: [s{number - 1}]\n" if number else "")
        + "    inputs: {entities: [], schema: any.json}\n"
        for number in range(size)
    ]
    path = project.runbook_file(f"bench-{size}")
    path.parent.mkdir()
    path.write_text(head + "".join(steps), encoding="utf-8")
    (path.parent / "any.json").write_text("{}", encoding="utf-8")
    runbook = load_runbook(project, f"bench-{size}")

    def run() -> None:
        for _ in run_runbook(runbook, RunRequest(), actor=local_actor(), instance=instance):
            pass

    return run


def _dagster_run(instance: DagsterInstance, size: int) -> Callable[[], None]:
    job = _chain(size)

    def run() -> None:
        stored = instance.create_run_for_job(job_def=job)
        for _ in execute_run_iterator(InMemoryJob(job), stored, instance):
            pass

    return run


def _chain(size: int) -> JobDefinition:
    def nothing(context: OpExecutionContext, inputs: object) -> Iterator[Output[None]]:
        yield Output(None, "done")

    ops = [
        OpDefinition(
            name=f"op{number}",
            compute_fn=nothing,
            ins={"after": In(Nothing)} if number else {},
            outs={"done": Out(Nothing)},
        )
        for number in range(size)
    ]
    edges = {
        NodeInvocation(f"op{number}"): {"after": DependencyDefinition(f"op{number - 1}", "done")}
        if number
        else {}
        for number in range(size)
    }
    graph = GraphDefinition(name=f"chain_{size}", node_defs=ops, dependencies=edges)
    return graph.to_job(executor_def=in_process_executor)
