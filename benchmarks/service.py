"""The service as a user starts it, `rb serve`, and a client that executes runbooks over REST."""

import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import children, command
from benchmarks.program import free_port, line_with, program
from runbook_factory.database import VARIABLE
from runbook_factory.project import VARIABLE as PROJECT

RB = str(Path(sys.executable).with_name("rb"))
CLIENT_SECONDS = 300


class NotExecuted(Exception):
    """An execution that did not end as a success; the message is the answer."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service: where it listens, a token, its process, and the seconds that it took to start."""

    root: Path
    environment: dict[str, str]
    port: int
    token: str
    pid: int
    started: float
    _own: threading.local = field(default_factory=threading.local)

    def execute(self, runbook_id: str) -> None:
        """Executes the runbook and waits for its end, on a connection kept by each thread.

        Raises `NotExecuted`.
        """
        connection = self._connection()
        body = json.dumps({"runbook_id": runbook_id, "wait_seconds": CLIENT_SECONDS})
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request("POST", "/api/runbooks/execute", body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        if answer.status != 200 or found["status"] != "success":
            raise NotExecuted(f"{answer.status}: {str(found)[:500]}")

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CLIENT_SECONDS)
        connection: http.client.HTTPConnection = self._own.connection
        return connection

    def parts(self) -> dict[str, list[int]]:
        """The processes of each part of the service."""
        found: dict[str, list[int]] = {}
        _sort(self.pid, "launch", found)
        return found


def _sort(pid: int, part: str, found: dict[str, list[int]]) -> None:
    found.setdefault(part, []).append(pid)
    for child in children(pid):
        _sort(child, _part(child, part), found)


def _part(pid: int, above: str) -> str:
    """What part a process is, which one of the part `above` has started."""
    said = command(pid)
    if above == "daemon" or "dagster._daemon" in said:
        return "daemon"
    if above == "studio" or "runbook_service.workers.studio" in said:  # with its driver and its browser
        return "studio"
    if "runbook_service.workers.template" in said:  # a slot is forked from it, and so says the same
        return "template" if above == "queue" else "slots"
    return "queue" if "runbook_service.workers" in said else "code server"


@contextmanager
def service(root: Path, url: str, *, slots: int) -> Iterator[Service]:
    """`rb serve --slots N` of the project at `root`, in the database at `url`, ready for runs."""
    port = free_port()
    environment = {VARIABLE: url, PROJECT: str(root)}
    began = time.perf_counter()
    with program(
        [RB, "serve", "--port", str(port), "--slots", str(slots)], folder=root, environment=environment
    ) as process:
        said = line_with(process, "serving on")
        token = next(line.split()[-1] for line in said if "admin token" in line)
        yield Service(
            root=root,
            environment=environment,
            port=port,
            token=token,
            pid=process.pid,
            started=time.perf_counter() - began,
        )
