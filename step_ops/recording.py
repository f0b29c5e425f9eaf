"""Exchanges as the JSON that is stored: a cassette entry with its request, and nothing secret in it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from step_ops.exchanges import (
    MAX_LEVELS,
    HttpRequest,
    HttpResponse,
    PageCapture,
    PageRequest,
    PageResource,
    PageShot,
    SqlRequest,
    SqlRows,
    check_levels,
)
from step_ops.gate import Exchange, Read
from step_ops.redaction import Redactor

INLINE_BYTES = 2048  # a larger body is stored once, under its digest

# Keeps a body; gives its digest and whether it was cut, so that it cannot be replayed.
Keep = Callable[[bytes], tuple[str, bool]]


def record_exchange(exchange: Exchange, *, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    """The exchange as a cassette entry plus its `request`; secrets become keyed pseudonyms."""
    entry: dict[str, Any] = {
        "takes_seconds": round(exchange.seconds, 6),
        "request": record_request(exchange.request, redactor=redactor, keep=keep),
    }
    if exchange.error is not None:
        entry["error"] = redactor.text(f"{exchange.error.type}: {exchange.error.message}")
    match exchange.response:
        case HttpResponse() as response:
            entry["status"] = response.status
            entry["headers"] = {name: redactor.text(value) for name, value in response.headers.items()}
            entry |= _body(response.body, redactor, keep)
        case PageShot() as shot:
            entry |= _shot(shot, redactor, keep)
        case SqlRows() as answer:
            entry |= _large_or("rows", [dict(row) for row in answer.rows], redactor, keep)
            if answer.count != len(answer.rows):
                entry["count"] = answer.count
    return entry


def record_request(
    request: HttpRequest | PageRequest | SqlRequest, *, redactor: Redactor, keep: Keep
) -> dict[str, Any]:
    """The request as JSON: two that ask for the same are equal, whatever the secrets in them."""
    match request:
        case HttpRequest():
            return _http_request(request, redactor, keep)
        case PageRequest():
            return _page_request(request, redactor)
        case SqlRequest():
            return _sql_request(request, redactor, keep)


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


def _shot(shot: PageShot, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    entry: dict[str, Any] = {"picture_digest": keep(shot.png)[0], "fingerprint": dict(shot.fingerprint)}
    if shot.masked:
        entry["masked"] = [list(asdict(box).values()) for box in shot.masked]
    if shot.capture is not None:
        entry["capture"] = _capture(shot.capture, redactor, keep)
    return entry


def _capture(capture: PageCapture, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    resources = [_resource(item, redactor, keep) for item in capture.resources]
    cut = next((item["url"] for item in resources if item.get("truncated")), None)
    missing = capture.missing or (f"the answer of {cut} was cut" if cut else "")
    stored: dict[str, Any] = {"opened_at": capture.opened_at.isoformat(), "resources": resources}
    return stored | ({"missing": redactor.text(missing)} if missing else {})


def _resource(resource: PageResource, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    """One answer that a page got, its body byte by byte: a browser shows what JSON would not keep."""
    stored: dict[str, Any] = redactor.data(
        {
            "method": resource.method,
            "url": resource.url,
            "status": resource.status,
            "headers": dict(resource.headers),
        }
    )
    if resource.sent is not None:
        stored["sent"] = redactor.text(resource.sent)
    if not resource.body:
        return stored
    data = redactor.bytes(resource.body)
    text = _inline_text(data)
    return stored | ({"text": text} if text is not None else _kept(data, keep))


def _inline_text(data: bytes) -> str | None:
    """Small UTF-8 text that the database can hold as it is."""
    if len(data) > INLINE_BYTES or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _large_or(key: str, value: Any, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    """The value under `key` or, when it is large, under `body_digest`."""
    cleaned = redactor.data(value)
    data = json.dumps(cleaned, separators=(",", ":"), ensure_ascii=False)
    if len(data) > INLINE_BYTES or "\\u0000" in data:  # which no column of the database holds
        return _kept(data.encode("utf-8", "replace"), keep)
    return {key: cleaned}


def _body(body: bytes, redactor: Redactor, keep: Keep) -> dict[str, Any]:
    """The body under `json`, `text` or, when it is large or binary, `body_digest`."""
    if not body:
        return {}
    try:
        text = body.decode() if b"\0" not in body else None
    except UnicodeDecodeError:
        text = None
    if text is None:  # the bytes of another encoding, or of no text
        return _kept(redactor.bytes(body), keep)
    data = _structure(text)
    if data is not None:
        data = redactor.data(data)
        cleaned = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    else:
        cleaned = redactor.text(text)
    if len(cleaned) > INLINE_BYTES or "\\u0000" in cleaned:
        return _kept(cleaned.encode("utf-8", "replace"), keep)
    return {"json": data} if data is not None else {"text": cleaned}


def _structure(text: str) -> Any:
    """The object or list that `text` is as JSON, None when it is anything else.

    A number keeps the digits it was written with only as text; what JSON has no word for is text too.
    """
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        data = json.loads(text)
        json.dumps(data, allow_nan=False)
        if text.count("[") + text.count("{") > MAX_LEVELS:
            check_levels(data)
    except (ValueError, RecursionError):
        return None
    return data


def _kept(data: bytes, keep: Keep) -> dict[str, Any]:
    digest, cut = keep(data)
    return {"body_digest": digest, "body_bytes": len(data)} | ({"truncated": True} if cut else {})


def digest(data: bytes) -> str:
    """The name that content is stored under."""
    return hashlib.sha256(data).hexdigest()
