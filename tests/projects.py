"""Projects made for one test, run on a real PostgreSQL of the test worker's own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from runbook_factory import database, embedded
from runbook_factory.project import Project
from tests.scripted import Server, scripted
from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real server, stopped at the end."""
    # Not under pytest's own folder: that is closed to the user that the server runs as under root.
    with tempfile.TemporaryDirectory(prefix="rb-tests-") as folder:
        yield embedded.start(Path(folder))
        embedded.stop(Path(folder))


@pytest.fixture
def workshop(tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setenv(database.VARIABLE, postgres)
    (tmp_path / "runbooks").mkdir()
    project = Project(tmp_path)
    yield Workshop(project, [])
    database.engine(project).dispose()


@pytest.fixture
def server() -> Iterator[Server]:
    """A real HTTP server that answers as the test says."""
    with scripted() as running:
        yield running


@pytest.fixture
def query(workshop: Workshop) -> Callable[..., list[Any]]:
    """Asks the database."""

    def ask(statement: str, **values: Any) -> list[Any]:
        with database.engine(workshop.project).connect() as connection:
            return list(connection.execute(text(statement), values).all())

    return ask


@pytest.fixture
def shipped(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped runbooks with their packs, and the current folder in it."""
    root = workshop.project.root
    for name in ("runbooks", "acceptance"):
        shutil.copytree(ROOT / name, root / name, dirs_exist_ok=True)
    for name in ("connections.yaml", "dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, root / name)
    monkeypatch.chdir(root)
    return root
