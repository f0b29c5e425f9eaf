"""The statements that reach the database, whoever sends them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2.extensions import cursor
from sqlalchemy import Engine, event


@contextmanager
def noted(engine: Engine) -> Iterator[list[str]]:
    """Those that are sent on connections which the engine's pool lends while the block lasts."""
    statements: list[str] = []

    class Noting(cursor):
        def execute(self, query: Any, values: Any = None) -> None:
            statements.append(query.decode() if isinstance(query, bytes) else str(query))
            super().execute(query, values)

    def lend(connection: Any, record: Any, proxy: Any) -> None:
        connection.cursor_factory = Noting

    def take_back(connection: Any, record: Any) -> None:
        if connection is not None:
            connection.cursor_factory = None

    event.listen(engine, "checkout", lend)
    event.listen(engine, "checkin", take_back)
    try:
        yield statements
    finally:
        event.remove(engine, "checkout", lend)
        event.remove(engine, "checkin", take_back)
