"""The one place that knows where the database is and how it is spoken to."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import sqlalchemy
from sqlalchemy import Connection, CursorResult, TextClause
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError

from runbook_factory import embedded
from runbook_factory.project import Project

VARIABLE = "RUNBOOK_DATABASE_URL"
CONNECT_SECONDS = 10


class DatabaseError(Exception):
    """The database cannot be used; the message holds no password."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def database_url(project: Project) -> URL:
    """The URL of RUNBOOK_DATABASE_URL, or of the embedded server, which is started when it is not up."""
    named = os.environ.get(VARIABLE)
    if named:
        return normalized(named)
    try:
        return normalized(embedded.start(project.state_folder()))
    except Exception as error:
        raise DatabaseError(
            f"the embedded PostgreSQL did not start: {type(error).__name__}: {error}",
            hint=f"see {project.state / 'pg' / 'log'}, or name a server in {VARIABLE}",
        ) from error


def normalized(url: str) -> URL:
    """`url` with the psycopg2 driver, whatever it asks for; raises `DatabaseError`.

    SQLAlchemy 2.1 reads a bare `postgresql://` as psycopg 3, whose connections Dagster's pooled
    engines close under themselves.
    """
    scheme = urlsplit(url).scheme
    if scheme.split("+")[0] not in {"postgresql", "postgres"}:
        hint = "it looks like postgresql://user:password@host:5432/name"
        raise DatabaseError(f"{VARIABLE} is not a PostgreSQL URL (scheme {scheme!r})", hint=hint)
    try:
        return make_url(url).set(drivername="postgresql+psycopg2")
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise DatabaseError(f"{VARIABLE} cannot be read as a URL") from None


def as_text(url: URL) -> str:
    """The URL with its password, for code that connects; never for people."""
    return url.render_as_string(hide_password=False)


_pool = {"pool_size": 24, "max_overflow": 8}  # opened as they are needed, and kept


def keep_to_connections(most: int) -> None:
    """Lets this process have so many connections at most; before it has any."""
    _pool.update(pool_size=most, max_overflow=0)


@cache
def engine(project: Project) -> Engine:
    """The process's engine on the project's database: one pool, for the record and for Dagster's tables."""
    return sqlalchemy.create_engine(
        database_url(project),
        **_pool,
        pool_pre_ping=False,
        pool_use_lifo=True,  # those that have prepared their statements first
        connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "runbook"},
        isolation_level="AUTOCOMMIT",
    )


def send(connection: Connection, statement: TextClause, values: Mapping[str, Any]) -> CursorResult[Any]:
    """The answer to a statement that every execution makes: each connection prepares it once.

    Neither SQLAlchemy nor PostgreSQL reads it again then, which costs both more than all the rest. Name
    the columns: one of `SELECT *` fails after a migration.
    """
    prepared = _prepared(statement)
    prepared.make_known(connection.info, connection.exec_driver_sql)
    return connection.exec_driver_sql(prepared.use, dict(values))


def execute(engine: Engine, statement: TextClause, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of the answer, if it has any, to a statement that is sent as `send` does.

    Past SQLAlchemy, which takes longer to make ready for rows than PostgreSQL to find them.
    """
    prepared = _prepared(statement)
    try:
        with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
            prepared.make_known(connection.info, cursor.execute)
            cursor.execute(prepared.use, values)
            return [*cursor.fetchall()] if cursor.description else []
    except psycopg2.Error as error:
        is_lost = engine.dialect.is_disconnect(error, None, None)  # type: ignore[arg-type]
        if is_lost:
            engine.dispose()  # as SQLAlchemy does: what the pool has is lost too
        raise DBAPIError.instance(
            prepared.use, None, error, psycopg2.Error, connection_invalidated=is_lost, dialect=engine.dialect
        ) from error


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A statement as it is made known to the server under a name, and as it is used from then on."""

    name: str
    make: str
    use: str

    def make_known(self, info: MutableMapping[Any, Any], send: Callable[[str], object]) -> None:
        """Sends it, unless `info`, which lasts as long as the connection to the server, says that it was."""
        if self.name not in info:
            send(self.make)
            info[self.name] = True


_number = itertools.count(1)


@cache
def _prepared(statement: TextClause) -> _Prepared:
    dialect: Any = PGDialect_psycopg2(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    compiled = statement.compile(dialect=dialect)
    name = f"runbook_{next(_number)}"
    values = ", ".join(f"%({key})s" for key in dict.fromkeys(compiled.positiontup or ()))
    use = f"EXECUTE {name} ({values})" if values else f"EXECUTE {name}"
    return _Prepared(name=name, make=f"PREPARE {name} AS {compiled}", use=use)


@contextmanager
def reachable() -> Iterator[None]:
    """Turns a database that is away into a `DatabaseError` that says so."""
    try:
        yield
    except sqlalchemy.exc.OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
        raise DatabaseError(
            f"cannot reach the database: {reason}",
            hint=f"check {VARIABLE}, or unset it to use the embedded server",
        ) from None
