"""What becomes of an execution whose process is told to stop, or is killed."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dagster import DagsterRunStatus

from runbook_defs.execution import Status
from runbook_factory import database
from runbook_factory.execution_log import get_execution, list_executions
from runbook_factory.instance import stored_instance
from tests.workshop import Workshop

RUN = """
import sys
from pathlib import Path
from runbook_factory.actors import local_actor
from runbook_factory.catalog import load_runbook
from runbook_factory.instance import stored_instance
from runbook_factory.project import Project
from runbook_factory.request import RunRequest
from runbook_factory.runs import run_runbook

project = Project(Path(sys.argv[1]))
with stored_instance(project) as instance:
    runbook = load_runbook(project, "rb-hangs")
    for event in run_runbook(runbook, RunRequest(), actor=local_actor(), instance=instance):
        print(type(event).__name__, flush=True)
"""


@contextmanager
def hanging(workshop: Workshop) -> Iterator["subprocess.Popen[str]"]:
    """A process whose execution waits in its first step for an answer that never comes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        first: dict[str, Any] = {"id": "a", "type": "data_fetch", "inputs": {"source_url": url}}
        workshop.runbook([first, {**first, "id": "b", "depends_on": ["a"]}], id="rb-hangs")
        command = [sys.executable, "-c", RUN, str(workshop.project.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            while process.stdout.readline().strip() != "StepStarted":
                assert process.poll() is None
            held, _ = silent.accept()
            with held:
                yield process
            process.kill()


def test_an_interrupted_run_is_canceled_and_its_execution_aborted(workshop: Workshop) -> None:
    with hanging(workshop) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert "ExecutionFinished" in process.stdout.read()
    newest = list_executions(database.engine(workshop.project), runbook_id="rb-hangs")[0]
    record = get_execution(database.engine(workshop.project), newest.id)
    assert (record.status, record.reason) == (Status.ABORTED, "cancelled")
    assert [step.status.value for step in record.steps] == ["failed", "not_run"]
    with stored_instance(workshop.project) as instance:
        run = instance.get_run_by_id(record.id)
        assert run is not None
        assert run.status is DagsterRunStatus.CANCELED


def test_the_execution_of_a_killed_process_is_a_failure_and_its_step_unknown(
    workshop: Workshop, query: Callable[..., list[Any]]
) -> None:
    engine = database.engine(workshop.project)
    with hanging(workshop) as process:
        alive = list_executions(engine, runbook_id="rb-hangs")[0]
        assert alive.status is Status.RUNNING  # its process holds the lease
        while not get_execution(engine, alive.id).steps:  # one that reads is noted after a moment
            pass
        process.kill()
        process.wait()
    while True:  # until the server has noticed that the connection is gone
        record = get_execution(engine, alive.id)
        if record.status is not Status.RUNNING:
            break
    assert record.status is Status.FAILURE
    assert record.reason == "the process that ran it was lost"
    assert [step.status.value for step in record.steps] == ["unknown"]
    with stored_instance(workshop.project) as instance:
        run = instance.get_run_by_id(record.id)
        assert run is not None
        assert run.status is DagsterRunStatus.FAILURE
