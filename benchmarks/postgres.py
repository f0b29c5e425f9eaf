"""A PostgreSQL server of the benchmark's own, the one that a project without a database gets."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy

from benchmarks.processes import family
from runbook_factory import embedded
from runbook_factory.database import as_text, normalized


@dataclass(frozen=True, kw_only=True)
class Server:
    """The running server, and a folder for what the benchmark writes."""

    folder: Path
    url: str

    def database(self, name: str) -> str:
        """The URL of a new database."""
        self.execute(f'CREATE DATABASE "{name}"')
        return as_text(normalized(self.url).set(database=name))

    def execute(self, statement: str, *, database: str = "") -> list[Any]:
        """The rows that a statement gives, in the server's own database or the one at a URL."""
        engine = sqlalchemy.create_engine(normalized(database or self.url), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                found = connection.exec_driver_sql(statement)
                return list(found.all()) if found.returns_rows else []
        finally:
            engine.dispose()

    def processes(self) -> list[int]:
        """The server's processes: of this one only, whatever others the machine has."""
        first, *_ = (self.folder / "pg" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return family(int(first))


@contextmanager
def server() -> Iterator[Server]:
    """A server that ends, and leaves nothing, with the block."""
    with tempfile.TemporaryDirectory(prefix="rb-bench-") as name:
        folder = Path(name)
        try:
            yield Server(folder=folder, url=embedded.start(folder))
        finally:
            embedded.stop(folder)
