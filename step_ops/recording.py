"""Exchanges as the JSON that is stored: a cassette entry with its request, and nothing secret in it."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from step_ops.exchanges import HttpRequest, HttpResponse, PageRequest, PageShot, SqlRequest, SqlRows
from step_ops.gate import Exchange, Read
from step_ops.redaction import Redactor

INLINE_BYTES = 2048  # a larger body is stored once, under its digest

# Keeps a body; gives its digest and whether it was cut, so that it cannot be replayed.
Keep = Callable[[bytes], tuple[str, bool]]

# Headers that change at every answer, or that only concern the connection.
_UNKEPT = frozenset({"connection", "date", "keep-alive", "server", "transfer-encoding"})


def record_exchange(exchange: Exchange, *, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    """The exchange as a cassette entry plus its `request`; secrets become keyed pseudonyms."""
    entry: dict[str, Any] = {"takes_seconds": round(exchange.seconds, 6)}
    match exchange.request:
        case HttpRequest() as request:
            entry["request"] = _http_request(request, redactor, keep)
        case PageRequest() as request:
            entry["request"] = _page_request(request, redactor)
        case SqlRequest() as request:
            entry["request"] = _sql_request(request, redactor, keep)
    if exchange.error is not None:
        entry["error"] = redactor.text(f"{exchange.error.type}: {exchange.error.message}")
    match exchange.response:
        case HttpResponse() as response:
            entry["status"] = response.status
            entry["headers"] = {
                name: redactor.text(value)
                for name, value in response.headers.items()
                if name not in _UNKEPT or (name == "date" and "retry-after" in response.headers)
            }
            entry |= _body(response.body, redactor, keep)
        case PageShot() as shot:
            entry["picture_digest"] = keep(shot.png)[0]
        case SqlRows() as answer:
            entry |= _large_or("rows", [dict(row) for row in answer.rows], redactor, keep)
            if answer.count != len(answer.rows):
                entry["count"] = answer.count
    return entry


def record_read(read: Read, *, redactor: Redactor) -> dict[str, Any]:
    """A read as JSON."""
    return {"kind": read.kind, "name": read.name, "value": redactor.data(read.value)}


def _http_request(request: HttpRequest, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    stored: dict[str, Any] = {"method": request.method, "url": redactor.data(request.url)}
    if request.connection:
        stored["connection"] = request.connection
    if request.params:
        stored["params"] = redactor.data(dict(request.params))
    if request.headers:
        stored["headers"] = redactor.data(dict(request.headers))
    if request.json is not None:
        body = json.dumps(redactor.data(request.json), separators=(",", ":")).encode()
        stored |= _body(body, redactor, keep)
    elif request.data is not None:
        stored |= _body(request.data, redactor, keep)
    return stored


def _page_request(request: PageRequest, redactor: Redactor) -> dict[str, Any]:
    width, height = request.viewport
    stored = {"url": request.url, "selector": request.selector, "viewport": f"{width}x{height}"}
    if request.actions:
        stored["actions"] = [dict(action) for action in request.actions]  # type: ignore[assignment]
    if request.mask:
        stored["mask"] = list(request.mask)  # type: ignore[assignment]
    cleaned: dict[str, Any] = redactor.data(stored)
    return cleaned


def _sql_request(request: SqlRequest, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    stored: dict[str, Any] = {
        "connection": request.connection,
        "sql": redactor.text(request.query),
        "read_only": request.read_only,
    }
    return stored | (_large_or("params", dict(request.params), redactor, keep) if request.params else {})


def _large_or(key: str, value: Any, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    """The value under `key` or, when it is large, under `body_digest`."""
    cleaned = redactor.data(value)
    data = json.dumps(cleaned, separators=(",", ":"), ensure_ascii=False)
    return {key: cleaned} if len(data) <= INLINE_BYTES else _kept(data.encode("utf-8", "replace"), keep)


def _body(body: bytes, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    """The body under `json`, `text` or, when it is large or binary, `body_digest`."""
    if not body:
        return {}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _kept(redactor.bytes(body), keep)
    try:
        data = redactor.data(json.loads(text))
        cleaned = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        data, cleaned = None, redactor.text(text)
    if len(cleaned) > INLINE_BYTES:
        return _kept(cleaned.encode(), keep)
    return {"json": data} if data is not None else {"text": cleaned}


def _kept(data: bytes, keep: Keep) -> dict[str, Any]:
    digest, cut = keep(data)
    return {"body_digest": digest, "body_bytes": len(data)} | ({"truncated": True} if cut else {})


def digest(data: bytes) -> str:
    """The name that content is stored under."""
    return hashlib.sha256(data).hexdigest()
