"""The one door: nobody without a token gets further than health and the sign-in page."""

from dataclasses import replace
from urllib.parse import quote, urlsplit

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runbook_service.identities.identity import Identity
from runbook_service.identities.roles import Right
from runbook_service.identities.tokens import TokenError, authenticate
from runbook_service.web.refusals import Refusals, Watched

COOKIE = "rb_session"
MAX_BODY = 2 * 1024 * 1024
OPEN = frozenset({"/health/live", "/health/ready", "/sign-in"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

# Dagster's routes beside GraphQL, and the right each takes; those that show values are not for tokens
# that are limited to some runbooks, as they know no runbooks.
_GUARDED = (
    ("/download_debug/", Right.READ_VALUES),
    ("/logs/", Right.READ_VALUES),
    ("/notebook", Right.READ_VALUES),
    ("/dagit/notebook", Right.READ_VALUES),
    ("/report_asset_", Right.MANAGE),
)
_SHUT_DOWN = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed"})


class Door:
    """ASGI middleware around everything, for HTTP and websockets alike."""

    def __init__(self, app: ASGIApp, *, engine: Engine, refusals: Refusals) -> None:
        self._app = app
        self._engine = engine
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with its identity in the scope, or answers it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, self._until_the_end(send))
            return
        connection = HTTPConnection(scope)
        address = connection.client.host if connection.client else ""
        scope["watched"] = Watched(refusals=self._refusals, path=connection.url.path, address=address)
        if scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        answer = await self._checked(connection)
        if answer is None and _too_long(connection):
            answer = _TOO_LARGE
        if answer is not None:
            await _refuse(answer, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        try:
            await self._app(scope, body.take, send)
        except ClientDisconnect:
            if body.cut:
                await _TOO_LARGE(scope, receive, send)

    async def _checked(self, connection: HTTPConnection) -> Response | None:
        """The refusal, or None when the request may pass."""
        watched: Watched = connection.scope["watched"]
        presented, by_cookie = _presented(connection)
        if presented is None:
            return _sign_in_first(connection, "a token is needed: Authorization: Bearer ...")
        try:
            identity = await run_in_threadpool(authenticate, self._engine, presented)
        except TokenError as wrong:
            seconds = watched.wait()
            if seconds:
                return too_many("too_many_failures", "too many refused tokens from here", seconds)
            await run_in_threadpool(watched.refused, wrong.message)
            return _sign_in_first(connection, wrong.message)
        except OperationalError:
            return error(503, "no_database", "the database cannot be reached", headers={"Retry-After": "5"})
        watched = connection.scope["watched"] = replace(watched, identity=identity)
        seconds = watched.wait()
        if seconds:
            return too_many("too_many_refused", "too many refused requests with this token", seconds)
        if by_cookie and not _same_origin(connection):
            await run_in_threadpool(watched.refused, "sent from another site")
            return error(403, "other_site", "a signed-in browser's request from another site is refused")
        reason = _not_for(identity, connection.url.path)
        if reason:
            await run_in_threadpool(watched.refused, reason)
            return error(403, "forbidden", reason)
        connection.scope["identity"] = identity
        return None

    def _until_the_end(self, send: Send) -> Send:
        """Writes what is still to be written of refused requests before the server says that it is down."""

        async def told(message: Message) -> None:
            if message["type"] in _SHUT_DOWN:
                await run_in_threadpool(self._refusals.close)
            await send(message)

        return told


def error(
    status: int,
    code: str,
    message: str,
    *,
    hint: str = "",
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An error as the API tells it: a code for programs, a sentence for people, the next move."""
    told = {"code": code, "message": message} | ({"hint": hint} if hint else {})
    return JSONResponse({"error": told}, status_code=status, headers=headers)


def too_many(code: str, message: str, seconds: int) -> JSONResponse:
    """The error for whoever was refused too often lately."""
    headers = {"Retry-After": str(seconds)}
    return error(429, code, message, hint=f"wait {seconds} seconds", headers=headers)


_TOO_LARGE = error(413, "too_large", f"the request has more than {MAX_BODY // 1024**2} MiB")


def _presented(connection: HTTPConnection) -> tuple[str | None, bool]:
    """The token of the header or the session of the cookie, and whether it is the latter."""
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip(), False
    return connection.cookies.get(COOKIE), True


def _same_origin(connection: HTTPConnection) -> bool:
    """Whether a cookie may speak for this request: reading is free, all else comes from our own pages."""
    origin = connection.headers.get("origin")
    if origin is None:
        return connection.scope["type"] == "http" and connection.scope["method"] in SAFE
    return urlsplit(origin).netloc == connection.headers.get("host")


def _not_for(identity: Identity, path: str) -> str:
    for start, right in _GUARDED:
        if path.startswith(start):
            if not identity.has(right):
                return f"the role {identity.role} does not have the right {right}"
            if identity.is_limited:
                return "a token that is limited to some runbooks does not get this"
    return ""


def _sign_in_first(connection: HTTPConnection, message: str) -> Response:
    """A browser is sent to the sign-in page; a program is told."""
    wants_page = "text/html" in connection.headers.get("accept", "")
    if connection.scope["type"] == "http" and wants_page and connection.scope["method"] == "GET":
        target = connection.url.path + (f"?{connection.url.query}" if connection.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", status_code=303)
    return error(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})


async def _refuse(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()  # the connect message
        await send({"type": "websocket.close", "code": 4401, "reason": "unauthorized"})
        return
    await answer(scope, receive, send)


def _too_long(connection: HTTPConnection) -> bool:
    length = connection.headers.get("content-length", "0")
    return not length.isascii() or not length.isdigit() or int(length) > MAX_BODY


class _Body:
    """The body, cut off where a client that gave no length goes too far."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen = 0

    @property
    def cut(self) -> bool:
        return self._seen > MAX_BODY

    async def take(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.cut else message
