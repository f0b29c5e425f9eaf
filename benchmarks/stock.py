"""Stock Dagster as the peer: its webserver, launcher and executors, launched over its GraphQL."""

import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import stock_ops
from benchmarks.program import free_port, listening, program

IN_PROCESS, DEFAULT = "in_process", "stock"
POLL_SECONDS = 0.05
RUN_SECONDS = 300

LAUNCH = """
mutation ($job: String!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "%s", repositoryName: "__repository__", jobName: $job}
    runConfigData: {}
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


class NotRun(Exception):
    """A run that stock Dagster did not finish; the message is what it said."""


@dataclass(frozen=True, kw_only=True)
class Stock:
    """A stock Dagster webserver that is running."""

    url: str

    def execute(self, job: str) -> None:
        """Launches a run of the job and looks until it has ended; raises `NotRun`."""
        launched = self._ask(LAUNCH % stock_ops.__name__, job=job)["launchRun"]
        if "run" not in launched:
            raise NotRun(str(launched))
        deadline = time.monotonic() + RUN_SECONDS
        while (status := self._status(launched["run"]["runId"])) != "SUCCESS":
            if status in {"FAILURE", "CANCELED"} or time.monotonic() > deadline:
                raise NotRun(f"a run of stock Dagster stands at {status}")
            time.sleep(POLL_SECONDS)

    def _status(self, run_id: str) -> str:
        status: str = self._ask(STATUS, id=run_id)["runOrError"]["status"]
        return status

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=RUN_SECONDS) as answer:
            found = json.load(answer)
        if "data" not in found or found.get("errors"):
            raise NotRun(str(found)[:500])
        data: dict[str, Any] = found["data"]
        return data


@contextmanager
def stock(folder: Path, url: str) -> Iterator[Stock]:
    """Dagster with its default launcher, storing in the database at `url`.

    Runs are launched at once, as its default coordinator would have them wait for its daemon.
    """
    folder.mkdir()
    settings = {
        "storage": {"postgres": {"postgres_url": url}},
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
        "telemetry": {"enabled": False},
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    port = free_port()
    environment = {
        "DAGSTER_HOME": str(folder),
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
    }
    arguments = [
        *(sys.executable, "-m", "dagster_webserver", "-m", stock_ops.__name__),
        *("-h", "127.0.0.1", "-p", str(port)),
    ]
    with program(arguments, folder=folder, environment=environment) as process:
        listening(process, port)
        yield Stock(url=f"http://127.0.0.1:{port}/graphql")
