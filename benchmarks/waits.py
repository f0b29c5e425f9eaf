"""Eight independent waits of one second, live: what is left beside the second is ours."""

import time

from benchmarks.engine import project_on_postgres
from runbook_factory.actors import local_actor
from runbook_factory.catalog import load_runbook
from runbook_factory.instance import stored_instance
from runbook_factory.request import RunRequest
from runbook_factory.runs import run_runbook

WAITS = 8


def main() -> None:
    """Prints the line."""
    head = "id: waits\nname: w\nversion: 1.0.0\nowner: b\nlegal_basis: none\nsteps:\n"
    steps = "".join(
        f"  - id: w{number}\n    type: wait\n    inputs: {{seconds: 1}}\n" for number in range(WAITS)
    )
    with project_on_postgres() as project, stored_instance(project) as instance:
        path = project.runbook_file("waits")
        path.parent.mkdir()
        path.write_text(head + steps, encoding="utf-8")
        runbook = load_runbook(project, "waits")
        began = time.perf_counter()
        for _ in run_runbook(runbook, RunRequest(), actor=local_actor(), instance=instance):
            pass
        ours = time.perf_counter() - began
    print(f"{WAITS} independent waits of 1 s: {ours:.2f} s; one after the other they would take {WAITS} s\n")
