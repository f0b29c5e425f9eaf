"""Bringing a database up to this version: at once by several, and never back from a newer one."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text

from runbook_factory import database, schema
from runbook_factory.project import Project


@pytest.fixture
def empty(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose database has no tables yet."""
    url = database.normalized(postgres)
    server = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE upgrade_tests"))
    monkeypatch.setenv(database.VARIABLE, database.as_text(url.set(database="upgrade_tests")))
    (tmp_path / "runbooks").mkdir()
    monkeypatch.setenv("RUNBOOK_PROJECT", str(tmp_path))
    project = Project(tmp_path)
    yield project
    database.engine(project).dispose()
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE upgrade_tests WITH (FORCE)"))
    server.dispose()


def tables(project: Project) -> set[str]:
    with database.engine(project).connect() as connection:
        return set(connection.scalars(text("SELECT tablename FROM pg_tables")))


def test_it_makes_our_tables_the_queues_and_dagsters(empty: Project, rb: Callable[..., Any]) -> None:
    answer = rb("db", "upgrade")
    assert (answer.code, answer.err) == (0, "")
    assert f"revision {schema.HEAD}" in answer.out
    assert {"runbook_executions", "procrastinate_jobs", "runs", "event_logs", "jobs"} <= tables(empty)


def test_two_on_an_empty_database_both_succeed(empty: Project) -> None:
    def once(_: int) -> tuple[int, str]:
        command = [str(Path(sys.executable).with_name("rb")), "db", "upgrade"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stderr

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(once, range(2))) == [(0, ""), (0, "")]


def test_a_database_of_a_newer_version_is_refused_in_one_sentence(
    empty: Project, rb: Callable[..., Any]
) -> None:
    assert rb("db", "upgrade").code == 0
    with database.engine(empty).connect() as connection:
        connection.execute(text("UPDATE runbook.alembic_version SET version_num = '999'"))
    schema.ensure.cache_clear()
    answer = rb("db", "upgrade")
    assert answer.code == 2
    assert "a newer version of this program: its tables are at 999" in answer.err
    with database.engine(empty).connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM runbook.alembic_version")) == "999"
