"""The world of a test: answers from a cassette, on a virtual clock, with chance and ids from a seed."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from step_ops.cassette import Cassette, Entry, Expectation
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import (
    HttpRequest,
    HttpResponse,
    PageCapture,
    PageRequest,
    PageShot,
    SqlRequest,
    SqlRows,
)
from step_ops.files import Folder
from step_ops.secrets import FixtureSecrets, Secret, reveal

_ERRORS = {
    "timeout": (ErrorType.TIMEOUT, "no answer in time"),
    "refused": (ErrorType.CONNECTION, "connection refused"),
    "reset": (ErrorType.CONNECTION, "connection reset"),
    "tls": (ErrorType.CONNECTION, "TLS handshake failed"),
}


class Playback:
    """The world of one step in a test. `begins` is its first moment, in seconds after the start."""

    def __init__(self, cassette: Cassette, *, step: str, begins: float, files: Folder) -> None:
        self._cassette = cassette
        self._step = step
        self._began = cassette.fixture.clock.astimezone(UTC) + timedelta(seconds=begins)
        self._passed = 0.0
        self._files = files
        self._secrets = FixtureSecrets(cassette.fixture.secrets)
        self._chance = random.Random(f"{cassette.fixture.scenario}/{step}/{begins}")  # noqa: S311

    def http(self, request: HttpRequest) -> HttpResponse:
        """The next HTTP entry of the step."""
        entry = self._take("http", f"{request.method} {request.url}")
        if entry.expect is not None:
            check_expectation(entry.expect, request, step=self._step)
        if entry.error is not None:
            raise _http_error(entry.error, request)
        headers = {name.lower(): value for name, value in entry.headers.items()}
        if "content-type" not in headers and entry.model_fields_set & {"json_", "json_file"}:
            headers["content-type"] = "application/json"
        return HttpResponse(status=entry.status or 200, headers=headers, body=self._cassette.body(entry))

    def page(self, request: PageRequest, accept: Callable[[PageShot], bool]) -> PageShot:
        """The page entry of the step, drawn by the real browser with the network closed."""
        # Imported here: only steps that photograph pay for the browser.
        from step_ops.drivers.browser import photograph
        from step_ops.drivers.page_answers import page_of

        entry = self._take("page", f"a visit of {request.url}")
        page = self._cassette.page(entry)
        if isinstance(page, bytes):
            page = PageCapture(opened_at=self.now(), resources=(page_of(page, reveal(request.url)),))
        capture = replace(page, opened_at=self.now())
        return replace(photograph(request, accept=accept, capture=capture, now=self.now()), capture=capture)

    def sql(self, request: SqlRequest, secret: Callable[[str], Secret]) -> SqlRows:
        """The next SQL entry of the step. Whether the statement writes, no fixture can know."""
        entry = self._take("sql", f"the query {' '.join(request.query.split())[:80]!r}")
        if entry.expect is not None:
            check_expectation(entry.expect, request, step=self._step)
        if entry.error is not None:
            raise _sql_error(entry.error, request)
        rows = self._cassette.rows(entry)
        request.check_rows(len(rows))
        return SqlRows(rows=tuple(rows), count=len(rows) if entry.count is None else entry.count)

    def _take(self, kind: str, request: str) -> Entry:
        entry = self._cassette.take(self._step, kind, request)
        self._passed += entry.takes_seconds
        return entry

    def now(self) -> datetime:
        """The virtual time."""
        return self._began + timedelta(seconds=self._passed)

    def elapsed(self) -> float:
        """Virtual seconds since the step began."""
        return self._passed

    def sleep(self, seconds: float) -> None:
        """Moves the step's clock; no real time passes."""
        self._passed += max(0.0, seconds)

    def random(self) -> float:
        """A number from the scenario's and the step's names: the same at every run."""
        return self._chance.random()

    def new_id(self) -> UUID:
        """An id from the same source."""
        return UUID(int=self._chance.getrandbits(128), version=4)

    def secret(self, name: str) -> str:
        """The fixture's fake value."""
        return self._secrets.get(name)

    def file(self, name: str) -> bytes:
        """The file beside the runbook."""
        return self._files.read(name)


def _http_error(told: str, request: HttpRequest) -> StepError:
    """The error that an entry tells of: one of the words, a record's `type: message`, or any other."""
    place = f"{request.method} {request.url}"
    known = _known_error(told, place)
    return known or StepError(ErrorType.CONNECTION, f"{place}: {told} (told by the fixture)")


def _sql_error(told: str, request: SqlRequest) -> StepError:
    """The error that an entry tells of: one of the words, a record's `type: message`, or a database's."""
    return _known_error(told, request.place) or StepError(ErrorType.SQL, f"{request.place}: {told}")


def _known_error(told: str, place: str) -> StepError | None:
    """The error that one of the words stands for, or that a record tells of as `type: message`."""
    if told in _ERRORS:
        kind, words = _ERRORS[told]
        return StepError(kind, f"{place}: {words} (told by the fixture)")
    name, _, message = told.partition(": ")
    return StepError(ErrorType(name), message) if message and name in set(ErrorType) else None


def check_expectation(expected: Expectation, request: HttpRequest | SqlRequest, *, step: str) -> None:
    """Raises `StepError` of type `cassette` naming the first thing that was not sent as expected."""
    sent, headers = _sent(request)
    for part in ("method", "url", "params", "body", "sql"):
        if part in expected.model_fields_set:
            stated = getattr(expected, part)
            if part == "sql" and isinstance(stated, str):
                stated = " ".join(stated.split())
            difference = f"it sends no {part}"
            if part in sent:
                difference = first_difference(stated, sent[part], part)
            if difference:
                raise StepError(
                    ErrorType.CASSETTE,
                    f"step {step!r} did not send what the fixture expects: {difference}",
                )
    for name, value in (expected.headers or {}).items():
        if headers.get(name.lower()) != value:
            message = f"step {step!r} did not send the header {name!r} as the fixture expects"
            raise StepError(ErrorType.CASSETTE, message)


def _sent(request: HttpRequest | SqlRequest) -> tuple[dict[str, Any], dict[str, str]]:
    """The parts that an expectation can state, and the headers; of SQL, only the words count."""
    params = reveal(dict(request.params))
    if isinstance(request, SqlRequest):
        return {"sql": " ".join(request.query.split()), "params": params}, {}
    headers = {name.lower(): reveal(value) for name, value in request.headers.items()}
    body = reveal(request.json)
    return {"method": request.method, "url": request.url, "params": params, "body": body}, headers


def first_difference(expected: Any, actual: Any, place: str) -> str:
    """Where two JSON values first differ, in words; empty when they are equal."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in [*expected, *(key for key in actual if key not in expected)]:
            if key not in actual:
                return f"{place}.{key} is missing"
            if key not in expected:
                return f"{place}.{key} was not expected"
            difference = first_difference(expected[key], actual[key], f"{place}.{key}")
            if difference:
                return difference
        return ""
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{place} has {len(actual)} items, expected {len(expected)}"
        pairs = enumerate(zip(expected, actual, strict=True))
        differences = (first_difference(one, two, f"{place}[{i}]") for i, (one, two) in pairs)
        return next((difference for difference in differences if difference), "")
    if type(expected) is type(actual) or (
        isinstance(expected, int | float) and isinstance(actual, int | float)
    ):
        return "" if expected == actual else f"{place} is {_short(actual)}, expected {_short(expected)}"
    return f"{place} is {_short(actual)}, expected {_short(expected)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
