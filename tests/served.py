"""The service, really served on a free port, with a runbook that needs only a scripted server."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn

from runbook_defs.execution import Actor
from runbook_factory import database
from runbook_factory.opening import make_ready
from runbook_factory.project import Project
from runbook_service.identities.roles import Role
from runbook_service.identities.tokens import create_token
from runbook_service.serving import application, worker_beside
from tests.scripted import Says, Server, scripted

TESTS = Actor(id="7f1de2a1-0000-4000-8000-000000000000", name="tests")

QUICK = """
id: {id}
name: Quick
version: 1.0.0
owner: tests
legal_basis: none needed
assumptions: [{{looked_at: true}}]
inputs:
  word: {{type: string, default: none}}
  number: {{type: integer, default: 1}}
kpis:
  found: {{value: "${{steps.fetch.outputs.n}}", min: 1}}
steps:
  - id: fetch
    type: data_fetch
    inputs: {{source_url: "{url}/a", headers: {{X-Word: "${{word}}"}}}}
    outputs: {{n: "$.n"}}
  - id: rest
    type: wait
    depends_on: [fetch]
    inputs: {{seconds: {seconds}}}
"""


GUARDED = """
id: guarded
name: Guarded
version: 1.0.0
owner: tests
legal_basis: none needed
inputs:
  customer: {{type: string, sensitive: true}}
steps:
  - id: fetch
    type: data_fetch
    inputs: {{source_url: "{url}/a", headers: {{X-Customer: "${{customer}}"}}}}
    outputs: {{n: "$.n"}}
"""


@dataclass
class Running:
    """The running service and ways to ask it."""

    url: str
    project: Project
    world: Server
    environment: dict[str, str]
    tokens: dict[str, str] = field(default_factory=dict)
    done: str = ""  # an execution that has ended

    def ask(self, method: str, path: str, who: str | None = "admin", **more: Any) -> requests.Response:
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers.setdefault("Authorization", f"Bearer {self.tokens.get(who, who)}")
        more.setdefault("allow_redirects", False)
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=60, **more)

    def graphql(self, query: str, who: str | None = "admin", **variables: Any) -> Any:
        answer = self.ask("POST", "/graphql", who, json={"query": query, "variables": variables})
        return answer.json()

    def execute(self, runbook: str = "quick", who: str = "admin", **more: Any) -> requests.Response:
        return self.ask("POST", "/api/runbooks/execute", who, json={"runbook_id": runbook, **more})


@pytest.fixture
def running(service: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """The service, in the environment that it was started in."""
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    return service


@pytest.fixture(scope="session")
def service(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all tests of a worker: to start it takes seconds."""
    root = tmp_path_factory.mktemp("service")
    environment = {database.VARIABLE: _own_database(postgres), "RUNBOOK_PROJECT": str(root)}
    project = Project(root)
    with pytest.MonkeyPatch.context() as patched, scripted() as world, ExitStack() as stack:
        for name, value in environment.items():
            patched.setenv(name, value)
        world.answers = {"/a": Says({"n": 3})}
        for runbook, seconds in (("quick", 0), ("other", 0), ("brief", 0.4), ("slow", 60)):
            path = root / "runbooks" / runbook / "runbook.yaml"
            path.parent.mkdir(parents=True)
            path.write_text(QUICK.format(id=runbook, url=world.url, seconds=seconds))
        guarded = root / "runbooks" / "guarded" / "runbook.yaml"
        guarded.parent.mkdir()
        guarded.write_text(GUARDED.format(url=world.url))
        for name in ("dagster.yaml", "workspace.yaml"):
            (root / name).write_text((Path(__file__).resolve().parents[1] / name).read_text())
        make_ready(project)
        engine = database.engine(project)
        service = Running(url="", project=project, world=world, environment=environment)
        for role in Role:
            service.tokens[role.value] = create_token(engine, role.value, role, by=TESTS)[1]
        limited = create_token(engine, "limited", Role.OPERATOR, by=TESTS, runbooks=("quick",))[1]
        service.tokens["limited"] = limited
        stack.enter_context(worker_beside(project, slots=2))
        app = stack.enter_context(application(project))
        service.url = stack.enter_context(_served(app))
        patched.undo()
        yield service
        _wait_for_the_rest(service)


def _wait_for_the_rest(service: Running) -> None:
    """Runs that nobody waited for end before their database does."""
    deadline = time.monotonic() + 60
    while service.ask("GET", "/api/executions?status=running&mode=live&mode=replay").json()["executions"]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)


def _own_database(postgres: str) -> str:
    import sqlalchemy

    url = database.normalized(postgres)
    server = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE service_tests"))
    server.dispose()
    return database.as_text(url.set(database="service_tests"))


class _served:  # noqa: N801 - reads as what it does
    def __init__(self, app: Any) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
