"""`make up`: what it starts works, what it prints can be used, and nothing is left of it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import sqlalchemy

from runbook_factory import database
from tests.projects import ROOT

RUNBOOK = "gov-001-policy-simulation"


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


@pytest.fixture
def where(postgres: str, shipped: Path) -> Iterator[dict[str, str]]:
    """The environment of a copy of the shipped runbooks on a database of its own."""
    url = database.normalized(postgres)
    server = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE up_tests"))
    own = database.as_text(url.set(database="up_tests"))
    yield {**os.environ, "RUNBOOK_DATABASE_URL": own, "RUNBOOK_PROJECT": str(shipped)}
    with server.connect() as connection:
        connection.execute(sqlalchemy.text("DROP DATABASE up_tests WITH (FORCE)"))
    server.dispose()


@contextmanager
def up(environment: dict[str, str], ports: list[int]) -> Iterator[tuple[str, str]]:
    """The address of the service and the token that is printed; ends it as Ctrl-C does."""
    names = ("--port", "--demo-port", "--metrics-port")
    options = [word for name, port in zip(names, ports, strict=True) for word in (name, str(port))]
    with subprocess.Popen(
        [sys.executable, "-m", "demo.up", *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        said = ""
        try:
            for line in process.stdout or ():
                said += line
                if "Ctrl-C stops it all" in line:
                    break
            (token,) = set(re.findall(r"RB_TOKEN=(rbt_[\w-]+)", said))
            yield f"http://127.0.0.1:{ports[0]}", token
        finally:
            os.killpg(process.pid, signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
            assert (process.returncode, rest.strip()) == (0, "up: stopped"), said + rest


def test_it_starts_all_that_a_runbook_needs_and_leaves_nothing_running(where: dict[str, str]) -> None:
    ports = free_ports(3)
    for _ in ("the first start, which makes a token", "a later one"):
        with up(where, ports) as (url, token):
            answer = requests.post(
                f"{url}/api/runbooks/execute",
                json={"runbook_id": RUNBOOK},
                headers={"Authorization": f"Bearer {token}"},
                timeout=90,
            )
            assert answer.json()["status"] == "success", answer.text
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
    with sqlalchemy.create_engine(where["RUNBOOK_DATABASE_URL"]).connect() as connection:
        others = sqlalchemy.text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = 'up_tests' AND pid <> pg_backend_pid()"
        )
        assert connection.scalar(others) == 0


def test_a_port_that_is_taken_is_one_line(where: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "demo.up", "--demo-port", str(port)],
            cwd=ROOT,
            env=where,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    line = f"up: the demo cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
