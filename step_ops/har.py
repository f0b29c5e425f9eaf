"""What a page was made of as HAR 1.2, the JSON that browsers' developer tools write and open."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from step_ops.exchanges import PageCapture, PageResource

_AGAIN = "save the page as HAR with content"
_EMPTY = frozenset({204, 205, 304})
_BROKEN_OFF = "net::ERR_ABORTED"
_COOKIE = "set-cookie"  # the one header whose values do not fit one line


class HarError(Exception):
    """A HAR file that cannot be read; the message says where and why."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Header(_Part):
    name: str
    value: str


class _Sent(_Part):
    text: str = ""


class _Request(_Part):
    method: str
    url: str
    sent: _Sent | None = Field(None, alias="postData")


class _Content(_Part):
    text: str | None = None
    encoding: str | None = None
    size: int = -1


class _Response(_Part):
    status: int
    headers: list[_Header] = []
    content: _Content = _Content()
    failed: str | None = Field(None, alias="_failureText")  # in HARs of Playwright
    error: str | None = Field(None, alias="_error")  # in those of developer tools


class _Timings(_Part):
    receive: float | None = None


class HarEntry(_Part):
    """One exchange; `kind` is what the browser needed it for."""

    request: _Request
    response: _Response
    timings: _Timings = _Timings()
    kind: str = Field("", alias="_resourceType")
    started: str = Field("", alias="startedDateTime")

    @property
    def failure(self) -> str:
        """Why it came to nothing, in the browser's words; empty when it did not."""
        why = self.response.failed or self.response.error or ""
        return "" if self._broken_off else why

    @property
    def _broken_off(self) -> bool:
        """Whether a script that had got the answer did not read it to its end."""
        why = self.response.failed or self.response.error
        return why == _BROKEN_OFF and self.response.status > 0 and self.kind in {"fetch", "xhr"}

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, by lower-case name."""
        found: dict[str, str] = {}
        for name, value in ((each.name.lower(), each.value) for each in self.response.headers):
            between = "\n" if name == _COOKIE else ", "
            found[name] = found[name] + between + value if name in found else value
        return found

    @property
    def length(self) -> int:
        """How many bytes the server said that it sends; 0 when it did not say."""
        said = self.headers.get("content-length", "")
        return int(said) if said.isdecimal() else 0

    def resource(self) -> PageResource | None:
        """The answer; None when there was none, or its content is not there. Raises `ValueError`."""
        body = self._body()
        if self.response.status <= 0 or self.kind == "websocket" or self.failure or body is None:
            return None
        return PageResource(
            method=self.request.method,
            url=self.request.url,
            status=self.response.status,
            headers=self.headers,
            body=body,
            sent=self.request.sent.text if self.request.sent is not None else None,
        )

    def _body(self) -> bytes | None:
        content, status = self.response.content, self.response.status
        if content.text is None:
            none = status in _EMPTY or 300 <= status < 400 or self.request.method == "HEAD"
            return b"" if none or content.size == 0 or (self._broken_off and not self.length) else None
        if content.encoding == "base64":
            return base64.b64decode(content.text, validate=True)
        return content.text.encode("utf-8", "replace")


class _Page(_Part):
    started: str = Field("", alias="startedDateTime")


class HarLog(_Part):
    """All exchanges of the pages of one visit; `missing` says why, when they are not all there."""

    entries: list[HarEntry]
    pages: list[_Page] = []
    missing: str = Field("", alias="_missing")

    @property
    def opened_at(self) -> datetime:
        """When the first page was opened, in UTC; what is not told is the beginning of 2025."""
        for told in (*(page.started for page in self.pages), *(entry.started for entry in self.entries)):
            try:
                moment = datetime.fromisoformat(told)
            except ValueError:
                continue
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return datetime(2025, 1, 1, tzinfo=UTC)


class _Har(_Part):
    log: HarLog


def read_log(text: str | bytes) -> HarLog:
    """The log of a HAR; raises `HarError`."""
    try:
        return _Har.model_validate_json(text).log
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise HarError(f"it is not JSON: {first['ctx']['error']}", hint=_AGAIN) from None
        place = ".".join(map(str, first["loc"])) or "the file"
        raise HarError(f"{place}: {first['msg'].lower()}", hint=_AGAIN) from None


def from_har(text: str | bytes) -> PageCapture:
    """The capture in a HAR of ours or of a browser, without what has no content; raises `HarError`."""
    log = read_log(text)
    resources = []
    for number, entry in enumerate(log.entries):
        try:
            resources.append(entry.resource())
        except ValueError:
            raise HarError(f"log.entries.{number}.response.content.text: it is not base64") from None
    found = tuple(each for each in resources if each is not None)
    if log.entries and not found:
        raise HarError("none of its log.entries has content", hint=_AGAIN)
    return PageCapture(opened_at=log.opened_at, resources=found, missing=log.missing)


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
        log["_missing"] = capture.missing
    return json.dumps({"log": log}, indent=1, ensure_ascii=False)


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
        "pageref": "page",
        "startedDateTime": opened,
        "time": 0,
        "request": request,
        "response": {
            "status": resource.status,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [
                {"name": name, "value": line}
                for name, value in resource.headers.items()
                for line in (value.split("\n") if name == _COOKIE else [value])
            ],
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
