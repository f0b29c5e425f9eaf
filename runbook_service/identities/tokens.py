"""Tokens: shown once when they are made, kept as a hash, refused when wrong, expired or revoked."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, Row, text

from runbook_defs.execution import Actor
from runbook_factory import schema
from runbook_factory.audit.log import Action, Entry, Outcome, append
from runbook_factory.database import send
from runbook_service.identities.identity import Identity
from runbook_service.identities.roles import Role

PREFIX = "rbt_"  # so that scanners of source code and logs can tell what it is
SESSION_HOURS = 12

_SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_PATTERN = re.compile(r"[a-z0-9*?\[\]-]{1,100}")
_TOUCH_SECONDS = 60  # how exact `last_used_at` is: not a write for every request

_CREATE = text(
    """
    INSERT INTO runbook.tokens (id, name, role, runbooks, hash, created_by, expires_at)
    VALUES (:id, :name, :role, :runbooks, :hash, :by, :expires)
    """
)
_FIND = text(
    """
    SELECT t.id, t.name, t.role, t.runbooks, t.created_at, t.created_by, t.expires_at, t.last_used_at,
        t.revoked_at, s.expires_at AS session_until,
        coalesce(t.last_used_at < clock_timestamp() - make_interval(secs => :exact), true) AS to_touch
    FROM runbook.tokens t
    LEFT JOIN runbook.sessions s ON s.token_id = t.id AND s.hash = :hash
    WHERE t.hash = :hash OR s.hash = :hash
    """
)
_TOUCH = text("UPDATE runbook.tokens SET last_used_at = clock_timestamp() WHERE id = :id")


class TokenError(Exception):
    """A token that cannot be made, found or used; the message holds nothing of its secret."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, kw_only=True)
class Token:
    """What is known of a token: all but its secret."""

    id: str
    name: str
    role: Role
    runbooks: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def state(self) -> str:
        """valid, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= datetime.now(UTC) else "valid"


def create_token(
    engine: Engine,
    name: str,
    role: Role,
    *,
    by: Actor,
    runbooks: tuple[str, ...] = (),
    days: float | None = None,
) -> tuple[Token, str]:
    """A new token and its secret, which is nowhere else; raises `TokenError`."""
    schema.ensure(engine)
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise TokenError("a token has a name of 1 to 100 printable characters", hint="say what it is for")
    for pattern in runbooks:
        if not _PATTERN.fullmatch(pattern):
            raise TokenError(f"{pattern!r} is neither a runbook's id nor a pattern such as 'rb-*'")
    secret = PREFIX + secrets.token_urlsafe(32)
    token_id = str(uuid4())
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    details = {"name": name, "role": role.value, "runbooks": list(runbooks)}
    _note(engine, Action.TOKEN_CREATED, token_id, by, details)
    with engine.connect() as connection:
        connection.execute(
            _CREATE,
            {
                "id": token_id,
                "name": name,
                "role": role.value,
                "runbooks": list(runbooks),
                "hash": _hash(secret),
                "by": by.name,
                "expires": expires,
            },
        )
    return get_token(engine, token_id), secret


def list_tokens(engine: Engine) -> list[Token]:
    """Every token there ever was, the newest first."""
    schema.ensure(engine)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM runbook.tokens ORDER BY created_at DESC")).all()
    return [_token(row) for row in rows]


def get_token(engine: Engine, name: str) -> Token:
    """The token with this id, a unique start of it, or this name; raises `TokenError`."""
    found = [token for token in list_tokens(engine) if token.id.startswith(name) or token.name == name]
    valid = [token for token in found if token.state == "valid"]
    if len(found) != 1 and len(valid) != 1:
        what = f"more than one token is called {name!r}" if found else f"there is no token {name!r}"
        raise TokenError(what, hint="`rb token list` lists them with their ids")
    return found[0] if len(found) == 1 else valid[0]


def revoke_token(engine: Engine, name: str, *, by: Actor) -> Token:
    """Makes a token useless from now on, and every session that came of it; raises `TokenError`."""
    token = get_token(engine, name)
    _note(engine, Action.TOKEN_REVOKED, token.id, by, {"name": token.name})
    with engine.connect() as connection:
        connection.execute(
            text(
                "UPDATE runbook.tokens SET revoked_at = clock_timestamp()"
                " WHERE id = :id AND revoked_at IS NULL"
            ),
            {"id": token.id},
        )
        connection.execute(text("DELETE FROM runbook.sessions WHERE token_id = :id"), {"id": token.id})
    return get_token(engine, token.id)


def authenticate(engine: Engine, presented: str) -> Identity:
    """Whose token, or session, it is; raises `TokenError`, which says no more than its holder may know."""
    if not _SECRET.fullmatch(presented):
        raise TokenError("the token is not one of ours")
    with engine.connect() as connection:
        row = send(connection, _FIND, {"hash": _hash(presented), "exact": _TOUCH_SECONDS}).first()
        if row is None:
            raise TokenError("the token is not known")
        token = _token(row)
        if token.state != "valid":
            raise TokenError(f"the token is {token.state}")
        if row.session_until is not None and row.session_until <= datetime.now(UTC):
            raise TokenError("the session has ended")
        if row.to_touch:
            connection.execute(_TOUCH, {"id": token.id})
    return Identity(token_id=token.id, name=token.name, role=token.role, runbooks=token.runbooks)


def open_session(engine: Engine, identity: Identity) -> str:
    """The secret of a new session of the identity's, for a browser's cookie."""
    secret = PREFIX + secrets.token_urlsafe(32)
    _note(engine, Action.SIGNED_IN, identity.token_id, identity.actor, {})
    with engine.connect() as connection:
        connection.execute(text("DELETE FROM runbook.sessions WHERE expires_at < clock_timestamp()"))
        connection.execute(
            text(
                "INSERT INTO runbook.sessions (hash, token_id, expires_at)"
                " VALUES (:hash, :token, clock_timestamp() + make_interval(hours => :hours))"
            ),
            {"hash": _hash(secret), "token": identity.token_id, "hours": SESSION_HOURS},
        )
    return secret


def close_session(engine: Engine, secret: str) -> None:
    """Ends a session."""
    with engine.connect() as connection:
        connection.execute(text("DELETE FROM runbook.sessions WHERE hash = :hash"), {"hash": _hash(secret)})


def _note(engine: Engine, action: Action, subject: str, by: Actor, details: dict[str, Any]) -> None:
    """Into the audit log, before it is done: what cannot be recorded does not happen."""
    append(engine, Entry(action=action, subject=subject, outcome=Outcome.ALLOWED, actor=by, details=details))


def _hash(secret: str) -> bytes:
    # Not a slow hash: a secret of 256 random bits cannot be guessed from a fast one either.
    return hashlib.sha256(secret.encode()).digest()


def _token(row: Row[Any]) -> Token:
    return Token(
        id=str(row.id),
        name=row.name,
        role=Role(row.role),
        runbooks=tuple(row.runbooks),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
