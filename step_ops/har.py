"""What a page was made of as HAR 1.2, the JSON that browsers' developer tools write and open."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from step_ops.exchanges import PageCapture, PageResource

_FORGET = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class HarError(Exception):
    """A HAR file that cannot be read; the message says where and why."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def to_har(capture: PageCapture) -> str:
    """The capture as HAR: text as text, everything else in base64."""
    opened = capture.opened_at.isoformat()
    log: dict[str, Any] = {
        "version": "1.2",
        "creator": {"name": "runbook-engine", "version": "1"},
        "pages": [{"id": "page", "title": "", "startedDateTime": opened, "pageTimings": {}}],
        "entries": [_entry(resource, opened) for resource in capture.resources],
    }
    if capture.missing:
        log["comment"] = capture.missing
    return json.dumps({"log": log}, indent=1, ensure_ascii=False)


def from_har(text: str) -> PageCapture:
    """The capture in a HAR of ours or of a browser; raises `HarError`."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HarError(f"it is not JSON: {error}") from None
    log = data.get("log") if isinstance(data, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(log, dict) or not isinstance(entries, list):
        raise HarError("it has no log.entries", hint="export the page with `Save all as HAR with content`")
    resources: list[PageResource] = []
    started: list[str] = []
    for number, entry in enumerate(entries):
        try:
            started.append(str(entry.get("startedDateTime", "")))
            resources += _resource(entry)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise HarError(f"log.entries[{number}] is not an exchange: {error}") from None
    return PageCapture(
        opened_at=_opened(log, started), resources=tuple(resources), missing=str(log.get("comment", ""))
    )


def _opened(log: Mapping[str, Any], started: list[str]) -> datetime:
    pages = log.get("pages")
    first = pages[0] if isinstance(pages, list) and pages and isinstance(pages[0], dict) else {}
    for text in (first.get("startedDateTime"), *started):
        try:
            return datetime.fromisoformat(str(text)).astimezone(UTC)
        except ValueError:
            continue
    return datetime(2025, 1, 1, tzinfo=UTC)


def _entry(resource: PageResource, opened: str) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": resource.method,
        "url": resource.url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [],
        "queryString": [],
        "headersSize": -1,
        "bodySize": -1,
    }
    if resource.sent is not None:
        request["postData"] = {"mimeType": "", "text": resource.sent}
    return {
        "startedDateTime": opened,
        "time": 0,
        "request": request,
        "response": {
            "status": resource.status,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [{"name": name, "value": value} for name, value in resource.headers.items()],
            "content": _content(resource),
            "redirectURL": resource.headers.get("location", ""),
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
    }


def _content(resource: PageResource) -> dict[str, Any]:
    kind = resource.headers.get("content-type", "")
    content: dict[str, Any] = {"size": len(resource.body), "mimeType": kind}
    try:
        return content | {"text": resource.body.decode()}
    except UnicodeDecodeError:
        return content | {"text": base64.b64encode(resource.body).decode(), "encoding": "base64"}


def _resource(entry: Mapping[str, Any]) -> Iterator[PageResource]:
    """The exchange, unless it came to nothing."""
    request, response = entry["request"], entry["response"]
    status = response["status"]
    if not isinstance(status, int) or isinstance(status, bool):
        raise ValueError("its status is not a number")
    if status <= 0:
        return
    headers = {
        str(item["name"]).lower(): str(item["value"])
        for item in response.get("headers", ())
        if str(item["name"]).lower() not in _FORGET  # the content stands there decoded and whole
    }
    sent = (request.get("postData") or {}).get("text")
    yield PageResource(
        method=str(request["method"]),
        url=str(request["url"]),
        status=status,
        headers=headers,
        body=_body(response.get("content") or {}),
        sent=None if sent is None else str(sent),
    )


def _body(content: Mapping[str, Any]) -> bytes:
    text = str(content.get("text") or "")
    if content.get("encoding") != "base64":
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("its content is not base64") from None
