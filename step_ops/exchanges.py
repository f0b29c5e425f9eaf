"""What a step and the outside say to each other: plain values, the same live, told and recorded."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from step_ops.errors import ErrorType, StepError
from step_ops.secrets import Secret


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """One HTTP request. Headers, params and JSON may hold `Secret` values.

    A relative `url` belongs to the named `connection`, whose base the live transport joins to it.
    `json` and `data` exclude each other; `timeout` is the whole exchange, in seconds.
    """

    method: str
    url: str
    connection: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    data: bytes | None = None
    timeout: float = 30.0


MAX_LEVELS = 200  # of nesting in a JSON answer
_QUOTABLE = 100_000  # characters that are looked through for secrets before some of them are quoted


def _not_json(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def check_levels(data: Any) -> None:
    """Raises `RecursionError` for what is nested deeper than it can be recorded."""
    waiting = [(data, 1)]
    while waiting:
        value, level = waiting.pop()
        if level > MAX_LEVELS:
            raise RecursionError
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(item, level + 1) for item in inner if isinstance(item, dict | list)]


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large a number")
    return number


@dataclass(frozen=True, kw_only=True)
class HttpResponse:
    """One HTTP answer, of any status; header names are lower case.

    `mask` takes the secrets out of what a message quotes of it.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    mask: Callable[[str], str] = field(default=str, repr=False, compare=False)

    def text(self) -> str:
        """The body as text; undecodable bytes become replacement characters."""
        return self.body.decode("utf-8", errors="replace")

    def start(self, length: int) -> str:
        """The first characters of the text on one line, without secrets: first masked, and then cut."""
        return " ".join(self.mask(self.text()[:_QUOTABLE])[:length].split())

    def json(self) -> Any:
        """The body as JSON; raises `StepError` of type `data` that shows what came instead."""
        try:
            data = json.loads(self.body, parse_constant=_not_json, parse_float=_finite)
            if self.body.count(b"[") + self.body.count(b"{") > MAX_LEVELS:
                check_levels(data)
            return data
        except (ValueError, RecursionError) as error:
            start = self.start(80)
            kind = self.headers.get("content-type", "no content type")
            raise StepError(
                ErrorType.DATA,
                f"the answer is not JSON ({kind}): it starts with {start!r}",
                hint="check the address; a login or error page often answers in place of an API",
            ) from error


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in CSS pixels, from the top left corner of the picture."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """One element of one page, to be photographed.

    `actions` are single-key mappings in order: `{"click": selector}`, `{"fill": {"selector", "value"}}`,
    `{"wait_for": selector}`. `mask` lists selectors whose boxes are left out of the comparison.
    """

    url: str
    selector: str
    actions: tuple[Mapping[str, Any], ...] = ()
    viewport: tuple[int, int] = (1280, 720)
    mask: tuple[str, ...] = ()
    timeout: float = 30.0


@dataclass(frozen=True, kw_only=True)
class PageResource:
    """One answer that a page got; header names are lower case. `sent` is what it asked with, if anything."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent: str | None = None


@dataclass(frozen=True, kw_only=True)
class PageCapture:
    """All that a page got while it was photographed, and when it was opened, in UTC.

    `missing` says why the page cannot be drawn again from this; empty when it can.
    """

    opened_at: datetime
    resources: tuple[PageResource, ...] = ()
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class PageShot:
    """The picture of an element: PNG bytes, the boxes of the masked parts inside it, and what drew it.

    `capture` is what the page was made of, when it was kept.
    """

    png: bytes
    masked: tuple[Box, ...] = ()
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    capture: PageCapture | None = None


@dataclass(frozen=True, kw_only=True)
class SqlRequest:
    """One SQL statement for the named `connection`. `params` are bound to its `:names`; they may hold
    `Secret` values.

    `read_only` is the database's to keep, and the gate's to decide. `timeout` is the whole exchange, in
    seconds; more than `max_rows` rows are an error.
    """

    connection: str
    query: str
    params: Mapping[str, Any] = field(default_factory=dict)
    read_only: bool = True
    max_rows: int = 10_000
    timeout: float = 30.0

    @property
    def place(self) -> str:
        """How a sentence names the database."""
        return f"database {self.connection!r}"

    def check_rows(self, count: int) -> None:
        """Raises `StepError` of type `sql` when so many rows are too many."""
        if count > self.max_rows:
            raise StepError(
                ErrorType.SQL,
                f"{self.place}: the query gives more than {self.max_rows:,} rows",
                hint="let the query count, filter or LIMIT, or raise `max_rows`",
            )


@dataclass(frozen=True, kw_only=True)
class SqlRows:
    """Rows as JSON, column by column; `count` is their number or, without rows, how many were written."""

    rows: tuple[Mapping[str, Any], ...] = ()
    count: int = 0


class Transport(Protocol):
    """The far side of the gate: the network, the browser and databases, a fixture, or a record."""

    def http(self, request: HttpRequest) -> HttpResponse:
        """The answer, of any status; raises `StepError` (timeout, connection, policy, cassette)."""
        ...

    def page(self, request: PageRequest, accept: Callable[[PageShot], bool]) -> PageShot:
        """A stable picture of the element. A first picture that `accept`s is taken as it is."""
        ...

    def sql(self, request: SqlRequest, secret: Callable[[str], Secret]) -> SqlRows:
        """The rows. An address that needs a `secret` gets it there; raises `StepError`."""
        ...
