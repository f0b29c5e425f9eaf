"""DBOS as the peer: a worker of its own, and a client that puts workflows into its queue."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbos import DBOSClient, WorkflowHandle

from benchmarks import durable_worker
from benchmarks.program import line_with, program

SLOWEST = 1.0  # how often DBOS looks, unless it is told otherwise: at the queue, and for a result


@dataclass(frozen=True, kw_only=True)
class Durable:
    """A DBOS worker that is running, and a client of it."""

    client: DBOSClient
    process: "subprocess.Popen[str]"
    poll: float

    def execute(self) -> None:
        """Puts a workflow into the queue and waits for its end."""
        handle: WorkflowHandle[None] = self.client.enqueue(
            {"workflow_name": "diamond", "queue_name": durable_worker.QUEUE}
        )
        handle.get_result(polling_interval_sec=self.poll)

    def invoke(self) -> float:
        """The seconds that a workflow takes that is called in the worker: there is no boundary to cross."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


@contextmanager
def durable(folder: Path, url: str, *, poll: float = SLOWEST) -> Iterator[Durable]:
    """A worker on the database at `url`, and its client, who look every `poll` seconds."""
    folder.mkdir()
    arguments = [sys.executable, "-m", durable_worker.__name__, url, str(poll)]
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    with program(arguments, folder=folder, environment=environment) as process:
        line_with(process, "ready")
        client = DBOSClient(system_database_url=url)
        try:
            yield Durable(client=client, process=process, poll=poll)
        finally:
            client.destroy()
