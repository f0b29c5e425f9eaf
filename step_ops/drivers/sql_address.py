"""The address of a database: which kinds there are, and how each is opened. It is never shown."""

import re
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import sqlalchemy
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import SqlRequest

CONNECT_SECONDS = 10
BUSY_SECONDS = 5.0
_FORMS = "postgresql://user:password@host:5432/name or sqlite:////folder/file.db"
_HOST = re.compile(r"[A-Za-z0-9._:%-]*|/[^@]*")


def engine_for(request: SqlRequest, address: str) -> tuple[Engine, URL]:
    """An engine that keeps no connection, and the address it has. Raises `StepError` of type `config`."""
    url = _parsed(request, address)
    options: dict[str, Any] = {"poolclass": NullPool, "hide_parameters": True}
    if url.drivername == "sqlite":
        path = _file(request, url)
        return sqlalchemy.create_engine("sqlite://", creator=lambda: _open(path, request), **options), url
    arguments = {"connect_timeout": CONNECT_SECONDS, "client_encoding": "utf8", "application_name": "runbook"}
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    return sqlalchemy.create_engine(url, connect_args=arguments, **options), url


def shown(text: Any, url: URL) -> str:
    """`text` without the passwords of the address."""
    passwords = [url.password, *(value for name, value in url.query.items() if "password" in name)]
    clean = str(text)
    for password in filter(None, map(str, passwords)):
        for form in (password, quote(password, safe=""), quote_plus(password)):
            clean = clean.replace(form, "***")
    return clean


def _parsed(request: SqlRequest, address: str) -> URL:
    # The messages of the parser may hold parts of the password.
    try:
        url = make_url(address.strip())
    except (ArgumentError, ValueError):
        raise _refused(request, "its address cannot be read") from None
    match url.drivername.partition("+")[0]:
        case "postgresql" | "postgres":
            if not _HOST.fullmatch(url.host or ""):
                raise _refused(request, "its address has no host that could be one") from None
            # Whatever it asks for: a bare postgresql:// may mean another client.
            return url.set(drivername="postgresql+psycopg2")
        case "sqlite":
            return url.set(drivername="sqlite")
        case _:
            raise _refused(request, "it is neither PostgreSQL nor SQLite")


def _refused(request: SqlRequest, why: str) -> StepError:
    hint = f"addresses look like {_FORMS}; in a password write @ as %40, / as %2F, : as %3A"
    return StepError(ErrorType.CONFIG, f"{request.place}: {why}", hint=hint)


def _file(request: SqlRequest, url: URL) -> Path:
    path = Path(url.database or "")
    if not path.is_absolute():
        hint = "four slashes begin an absolute path: sqlite:////folder/file.db"
        raise StepError(ErrorType.CONFIG, f"{request.place}: SQLite needs an absolute path", hint=hint)
    return path


def _open(path: Path, request: SqlRequest) -> sqlite3.Connection:
    """The file, which must be there; for reading only, with no way to another file."""
    mode = "ro" if request.read_only else "rw"
    raw = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=min(BUSY_SECONDS, request.timeout),
        isolation_level=None,  # we begin and commit ourselves
        check_same_thread=False,  # another thread interrupts it
    )
    raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    if request.read_only:
        raw.execute("PRAGMA query_only = ON")
    return raw
