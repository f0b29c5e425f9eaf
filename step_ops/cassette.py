"""Exchanges told in advance: the JSON of fixtures, and of records, which have the same shape."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageCapture
from step_ops.files import Folder
from step_ops.har import HarError, from_har

MAX_BYTES = 20 * 1024 * 1024
_BODIES = {"json_", "text", "json_file", "body_file", "body_digest"}
_KINDS = ("status", "error", "rows", "page", "picture_digest")


class CassetteError(Exception):
    """A fixture that cannot be used: which file, where in it, why, and what to do."""

    def __init__(self, path: Path, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.path, self.message, self.hint = path, message, hint


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(_Part):
    """What the step must have sent; what is not stated is not checked. `sql` goes with `params`."""

    method: str | None = None
    url: str | None = None
    params: dict[str, Any] | None = None
    headers: dict[str, str] | None = None
    body: Any = None
    sql: str | None = None


class Entry(_Part):
    """One exchange: an HTTP answer, rows, an error of either kind, or a page."""

    takes_seconds: Annotated[float, Field(ge=0, le=10_000_000)] = 0
    status: Annotated[int, Field(ge=100, le=599)] | None = None
    headers: dict[str, str] = {}
    json_: Any = Field(default=None, alias="json")
    text: str | None = None
    json_file: str | None = None
    body_file: str | None = None
    error: Literal["timeout", "refused", "reset", "tls"] | str | None = None
    rows: list[dict[str, Any]] | None = None
    count: Annotated[int, Field(ge=0)] | None = None
    page: str | None = None
    expect: Expectation | None = None
    # What only records hold: the request, and large bodies by digest.
    request: dict[str, Any] | None = None
    body_digest: str | None = None
    picture_digest: str | None = None

    @property
    def kind(self) -> str:
        """http, sql or page; error when it may be http or sql."""
        if self.page is not None or self.picture_digest is not None:
            return "page"
        if self.error is not None:
            return "error"
        return "http" if self.status is not None else "sql"

    @model_validator(mode="after")
    def _one_kind(self) -> "Entry":
        said = [key for key in _KINDS if getattr(self, key) is not None]
        if not said and self.body_digest is not None:
            return self  # rows of a record, too large to stand in it
        if self.count is not None and self.rows is None:
            raise ValueError("`count` is how many rows were written: it stands beside `rows`")
        if len(said) != 1:
            raise ValueError("an exchange has exactly one of status, error, rows, page")
        bodies = self.model_fields_set & _BODIES
        if len(bodies) > 1 or (bodies and self.status is None):
            raise ValueError("one body at most (json, text, json_file, body_file), beside a status")
        return self


class Fixture(_Part):
    """One scenario: the inputs, fake secrets, clock, assumptions and exchanges of a test."""

    format: Literal[1]
    scenario: str = "scenario"
    runbook: str
    inputs: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    clock: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    assumptions: dict[str, bool] = {}
    steps: dict[str, list[Entry]] = {}


class _Scenarios(_Part):
    scenarios: Annotated[list[Fixture], Field(min_length=1)]


@dataclass
class Cassette:
    """The exchanges of one scenario, taken out one by one; steps run in threads."""

    fixture: Fixture
    path: Path
    bodies: Callable[[str], bytes] | None = None  # large bodies of a record, by digest
    _taken: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, step: str, kind: str, request: str) -> Entry:
        """The next exchange of `step`; raises `StepError` of type `cassette` when there is none."""
        with self._lock:
            entries = self.fixture.steps.get(step, [])
            position = self._taken.get(step, 0)
            if position >= len(entries):
                had = f"only {len(entries)}" if entries else "no exchanges"
                raise StepError(
                    ErrorType.CASSETTE,
                    f"step {step!r} sent {request}, but the fixture has {had} for it",
                    hint=f'add an entry to "steps": {{"{step}": [...]}} in {self.path.name}',
                )
            entry = entries[position]
            if entry.kind != kind and not (entry.kind == "error" and kind in {"http", "sql"}):
                raise StepError(
                    ErrorType.CASSETTE,
                    f"step {step!r} sent {request}, but entry {position + 1} of the fixture is {entry.kind}",
                    hint=f"make it an entry of kind {kind}",
                )
            self._taken[step] = position + 1
            return entry

    def unused(self) -> list[tuple[str, int]]:
        """Steps with entries that nobody took, and how many."""
        with self._lock:
            left = {
                step: len(entries) - self._taken.get(step, 0) for step, entries in self.fixture.steps.items()
            }
        return [(step, count) for step, count in left.items() if count]

    def body(self, entry: Entry) -> bytes:
        """The body of an HTTP answer; raises `StepError` of type `file`."""
        files = Folder(self.path.parent)
        if entry.json_file is not None:
            return files.read(entry.json_file)
        if entry.body_file is not None:
            return files.read(entry.body_file)
        if entry.body_digest is not None and self.bodies is not None:
            return self.bodies(entry.body_digest)
        if entry.text is not None:
            return entry.text.encode()
        return json.dumps(entry.json_).encode() if "json_" in entry.model_fields_set else b""

    def rows(self, entry: Entry) -> list[dict[str, Any]]:
        """The rows of an SQL answer; raises `StepError` of type `cassette` when they cannot be had."""
        if entry.rows is not None:
            return entry.rows
        if entry.body_digest is None or self.bodies is None:
            raise StepError(ErrorType.CASSETTE, "the rows are in the body of a record, which is not here")
        try:
            rows: list[dict[str, Any]] = json.loads(self.bodies(entry.body_digest))
        except ValueError:
            raise StepError(ErrorType.CASSETTE, "the rows were cut when they were recorded") from None
        return rows

    def page(self, entry: Entry) -> bytes | PageCapture:
        """The document of a page, or all that a page is made of (`.har`).

        Raises `StepError` of type `file`, or `cassette` when it has none.
        """
        if entry.page is None:
            raise StepError(ErrorType.CASSETTE, "the record has the picture of the page, not the page")
        data = Folder(self.path.parent).read(entry.page)
        if not entry.page.endswith(".har"):
            return data
        try:
            capture = from_har(data)
        except HarError as error:
            message = f"the page {entry.page!r} cannot be read: {error.message}"
            raise StepError(ErrorType.FILE, message, hint=error.hint) from None
        if capture.missing or not capture.resources:
            why = capture.missing or "nothing is recorded in it"
            raise StepError(ErrorType.CASSETTE, f"the page {entry.page!r} cannot be drawn: {why}")
        return capture


def load_fixtures(path: Path) -> list[Fixture]:
    """The scenarios in the JSON file at `path`; raises `CassetteError`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CassetteError(path, f"cannot read the fixture: {reason}") from None
    if len(raw) > MAX_BYTES:
        message = f"the fixture is larger than {MAX_BYTES // 1024**2} MiB"
        raise CassetteError(path, message, hint="move bodies to files beside it (json_file)")
    try:
        data = json.loads(raw)
    except UnicodeDecodeError as error:
        raise CassetteError(path, f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        message = f"not JSON at line {error.lineno}, column {error.colno}: {error.msg.lower()}"
        raise CassetteError(path, message) from None
    except RecursionError:
        raise CassetteError(path, "nested too deeply") from None
    several = isinstance(data, Mapping) and "scenarios" in data
    try:
        if several:
            return _Scenarios.model_validate(data).scenarios
        return [TypeAdapter(Fixture).validate_python(data)]
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or 'the file'}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_url=False)[:5]
        ]
        raise CassetteError(path, "; ".join(lines), hint="the format is in docs/fixtures.md") from None
