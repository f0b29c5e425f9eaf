"""A database that goes away: workers wait for it, and go on when it is back."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterRunStatus
from sqlalchemy.exc import OperationalError

from runbook_factory import embedded
from runbook_factory.leases import LOST
from tests.working import Yard, opened, until

SUCCESS, FAILURE = DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The state folder of a server that can be stopped."""
    with tempfile.TemporaryDirectory(prefix="rb-away-") as folder:
        yield Path(folder)
        embedded.stop(Path(folder))


@pytest.fixture(scope="module")
def yard(server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with opened(embedded.start(server), tmp_path_factory.mktemp("away")) as yard:
        yield yard


def test_a_worker_comes_back_by_itself_when_the_database_does(yard: Yard, server: Path) -> None:
    with yard.worker(slots=2) as host:
        assert yard.wait(yard.launch()) == [SUCCESS]
        running = yard.launch("slow")
        yard.started(running)
        embedded.stop(server)
        time.sleep(1)
        embedded.start(server)
        until(lambda: answers(yard))
        names = [yard.launch() for _ in range(3)]
        assert yard.wait(names, seconds=20) == [SUCCESS] * 3
        # The lease of the other went with its connection: nobody can tell that its process lives. So
        # that is ended, and the record and Dagster say the same.
        assert yard.wait(running, seconds=10) == [FAILURE]
        assert yard.recorded(running) == ("failure", LOST)
        until(yard.is_settled)
        assert "Traceback" not in host.errors()
        began = time.monotonic()
        assert host.stop() == 0
        assert time.monotonic() - began < 10
        assert yard.status(running) is FAILURE


def answers(yard: Yard) -> bool:
    """Whether the database is back; pooled connections to the one that was there fail once."""
    try:
        return bool(yard.query("SELECT 1"))
    except OperationalError:
        return False


def test_a_worker_without_its_database_says_so_in_a_sentence(yard: Yard, server: Path) -> None:
    embedded.stop(server)
    said = subprocess.run(
        [str(Path(sys.executable).with_name("rb")), "worker"],
        cwd=yard.project.root,
        env={**os.environ, **yard.environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    embedded.start(server)
    until(lambda: answers(yard))
    assert said.returncode == 2
    assert said.stderr.startswith("rb: cannot reach the database: ")
    assert "Traceback" not in said.stderr
