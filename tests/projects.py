"""Projects made for one test, run on a real PostgreSQL of the test worker's own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from runbook_factory import database, embedded
from runbook_factory.project import Project
from tests.workshop import Workshop


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server, stopped at the end."""
    state = tmp_path_factory.mktemp("postgres")
    url = embedded.start(state)
    yield url
    embedded.stop(state)


@pytest.fixture
def workshop(tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setenv(database.VARIABLE, postgres)
    (tmp_path / "runbooks").mkdir()
    project = Project(tmp_path)
    yield Workshop(project, [])
    database.engine(project).dispose()


@pytest.fixture
def query(workshop: Workshop) -> Callable[..., list[Any]]:
    """Asks the database."""

    def ask(statement: str, **values: Any) -> list[Any]:
        with database.engine(workshop.project).connect() as connection:
            return list(connection.execute(text(statement), values).all())

    return ask
