"""SQL with SQLAlchemy: one statement on a connection of its own, bounded in time, rows and bytes.

A read-only request is kept so by the database itself: PostgreSQL in a read-only transaction that is
rolled back, SQLite on a file opened for reading.
"""

import json
import math
import os
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from time import monotonic
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from step_ops.drivers.sql_address import engine_for, shown
from step_ops.drivers.sql_values import as_json, bound
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import SqlRequest, SqlRows
from step_ops.secrets import reveal
from step_ops.sql_text import parse_statement

MAX_BYTES = 50 * 1024 * 1024  # of the rows as JSON
_CHUNK = 500  # rows
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 2.0  # what a statement that was cut short has to end
_COMMIT_SECONDS = 30.0  # what a commit has to end that began in time
_SLOW = "raise `timeout_seconds`, or ask for less at once"
_WRITES = "if it is meant to change data, say `effect: write` on the step"

# Kinds of statement that PostgreSQL has no cursor for, such as SHOW: refused, or a syntax error.
_NO_CURSOR = frozenset({"0A000", "42601"})


def query(request: SqlRequest, *, url: str, cancelled: threading.Event | None = None) -> SqlRows:
    """The rows of the statement, or how many it wrote; raises `StepError` when it did not succeed.

    `url` may hold a password; no message does.
    """
    if not 0 < request.timeout <= threading.TIMEOUT_MAX:
        raise StepError(ErrorType.CONFIG, "the timeout is not a positive number of seconds")
    work = _Work(request, url)
    future: Future[SqlRows] = Future()
    # A thread of its own, because a client that waits for its server cannot be interrupted.
    threading.Thread(target=_into, args=(future, work), name="sql", daemon=True).start()
    deadline = monotonic() + request.timeout
    while not wait([future], min(max(deadline - monotonic(), 0.001), _POLL_SECONDS)).done:
        if cancelled is not None and cancelled.is_set():
            work.end(future, StepError(ErrorType.CANCELLED, f"{request.place}: cancelled"))
        elif monotonic() >= deadline:
            work.end(future, _too_long(request))
    return future.result()


def _into(future: "Future[SqlRows]", work: "_Work") -> None:
    try:
        future.set_result(work.rows())
    except Exception as error:
        future.set_exception(error)


class _Work:
    """One statement on its connection, which another thread can cut short until it is committed."""

    def __init__(self, request: SqlRequest, url: str) -> None:
        self._request = request
        self._engine, self._url = engine_for(request, url)
        self._lock = threading.Lock()
        self._over = False
        self._commits = False
        self._raw: Any = None

    def rows(self) -> SqlRows:
        """Runs the statement; nothing of the connection is left afterwards."""
        try:
            with self._engine.connect() as connection:
                self._raw = connection.connection.dbapi_connection
                answer = self._answer(connection)
                if not self._request.read_only:
                    self._check(commits=True)
                    connection.commit()
                return answer
        except DBAPIError as error:
            raise _failure(error, self._request, self._url, connected=self._raw is not None) from None
        except (ValueError, OverflowError, UnicodeError) as error:
            message = f"{self._request.place}: a value cannot be sent or read: {shown(error, self._url)}"
            raise StepError(ErrorType.SQL, message, hint="cast it to text in the query") from None
        finally:
            self._raw = None
            self._engine.dispose()

    def end(self, future: "Future[SqlRows]", why: StepError) -> None:
        """Cuts the statement short and raises `why`; of a commit under way it awaits the end instead."""
        with self._lock:
            self._over = True
            commits, raw = self._commits, self._raw
        if commits:
            if wait([future], _COMMIT_SECONDS).done:
                return
            why = StepError(why.type, f"{why.message}; whether it wrote is not known", hint=why.hint)
        elif raw is not None:
            # It may have to wait for the server, so it has a thread of its own.
            threading.Thread(target=_interrupt, args=(raw,), name="sql-cancel", daemon=True).start()
            wait([future], _GRACE_SECONDS)
        if not future.done() and raw is not None:
            _hang_up(raw)
        raise why

    def _check(self, *, commits: bool = False) -> None:
        """Raises when the statement was cut short; afterwards a commit cannot be any more."""
        with self._lock:
            if self._over:
                raise StepError(ErrorType.CANCELLED, f"{self._request.place}: cut short")
            self._commits = commits

    def _answer(self, connection: Connection) -> SqlRows:
        self._check()
        if self._url.drivername == "sqlite":
            connection.exec_driver_sql("BEGIN")
            values = {name: bound(value, lists=False) for name, value in self._values.items()}
            return self._fetched(connection.exec_driver_sql(self._request.query, values))
        text = parse_statement(self._request.query).as_format()
        values = {name: bound(value, lists=True) for name, value in self._values.items()}
        if self._request.read_only:
            connection.execution_options(postgresql_readonly=True)
            with suppress(_CursorRefused):
                return self._streamed(connection, text, values)
            connection.rollback()
        self._settings(connection)
        return self._fetched(connection.exec_driver_sql(text, values))

    @property
    def _values(self) -> Mapping[str, Any]:
        values: Mapping[str, Any] = reveal(dict(self._request.params))
        return values

    def _settings(self, connection: Connection) -> None:
        """What holds for this transaction: a bound of the server's own, and how it reads quotes.

        As a query it also takes a snapshot, after which no statement can make the transaction a
        writing one.
        """
        connection.exec_driver_sql(
            "SELECT set_config('statement_timeout', %(ms)s, true),"
            " set_config('standard_conforming_strings', 'on', true)",
            {"ms": str(math.ceil(min(self._request.timeout * 1000, 2**31 - 1)))},
        )

    def _streamed(self, connection: Connection, text: str, values: dict[str, Any]) -> SqlRows:
        """By a cursor of the server's, so that a large answer is not all sent before it is counted."""
        self._settings(connection)
        try:
            result = connection.exec_driver_sql(text, values, execution_options={"stream_results": True})
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) in _NO_CURSOR:
                raise _CursorRefused from None
            raise
        return self._fetched(result)

    def _fetched(self, result: CursorResult[Any]) -> SqlRows:
        if not result.returns_rows:
            return SqlRows(count=max(result.rowcount, 0))
        names = list(result.keys())
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"{self._request.place}: the query gives two columns called {twice[0]!r}"
            raise StepError(ErrorType.SQL, message, hint="name one of them another way, with AS")
        rows: list[dict[str, Any]] = []
        size = 0
        while chunk := result.fetchmany(_CHUNK):
            self._check()
            read = [dict(zip(names, map(as_json, row), strict=True)) for row in chunk]
            rows += read
            self._request.check_rows(len(rows))
            size += len(json.dumps(read, ensure_ascii=False))
            if size > MAX_BYTES:
                message = f"{self._request.place}: the rows are more than {MAX_BYTES // 1024**2} MiB"
                raise StepError(ErrorType.SQL, message, hint="select fewer columns, or fewer rows")
        return SqlRows(rows=tuple(rows), count=len(rows))


class _CursorRefused(Exception):
    """The statement may be right, but has no cursor."""


def _interrupt(raw: Any) -> None:
    with suppress(Exception):  # it may be over by now
        raw.interrupt() if hasattr(raw, "interrupt") else raw.cancel()


def _hang_up(raw: Any) -> None:
    """Shuts the socket of a server that does not answer, so that the thread that waits for it ends."""
    with suppress(Exception), socket.socket(fileno=os.dup(raw.fileno())) as handle:
        handle.shutdown(socket.SHUT_RDWR)


def _too_long(request: SqlRequest) -> StepError:
    message = f"{request.place}: no complete answer within {request.timeout:g} s"
    return StepError(ErrorType.TIMEOUT, message, hint=_SLOW)


def _failure(error: DBAPIError, request: SqlRequest, url: URL, *, connected: bool) -> StepError:
    """The database's own message, with what to do where that is known."""
    said: Any = error.orig
    state = getattr(said, "pgcode", None) or getattr(said, "sqlite_errorname", None) or ""
    about = getattr(said, "diag", None)
    reason = getattr(about, "message_primary", None) or str(said).strip().partition("\n")[0]
    message = f"{request.place}: {shown(reason, url)}"
    details = {"state": state} if state else {}
    detail = getattr(about, "message_detail", None)
    if detail:
        details["detail"] = shown(detail, url)
    if state == "57014":
        return _too_long(request)
    if state == "25006" or state.startswith("SQLITE_READONLY"):
        message = f"{request.place}: the step is read-only, but its query writes ({shown(reason, url)})"
        return StepError(ErrorType.SQL, message, hint=_WRITES, details=details)
    lost = (
        error.connection_invalidated or state[:2] == "08" or state[:3] == "57P" or state == "SQLITE_CANTOPEN"
    )
    if not connected or lost:
        hint = "check that the database is up, and the address of the connection"
        return StepError(ErrorType.CONNECTION, message, hint=hint, details=details)
    hint = getattr(about, "message_hint", None) or ""
    return StepError(ErrorType.SQL, message, hint=shown(hint, url), details=details)
