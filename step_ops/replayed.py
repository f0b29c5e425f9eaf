"""The world of a replay: what one attempt of a step was told and read, told again from its record."""

import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import (
    Box,
    HttpRequest,
    HttpResponse,
    PageCapture,
    PageRequest,
    PageResource,
    PageShot,
    SqlRequest,
    SqlRows,
)
from step_ops.files import Folder
from step_ops.recording import digest, record_request
from step_ops.redaction import Redactor
from step_ops.secrets import Secret

Stored = Mapping[str, Any]
Bodies = Callable[[str], bytes]  # the content that has this digest


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of a step, or of one item of it, as it is recorded.

    `secrets` are the pseudonyms that the whole execution knew. `overran` is how many seconds it took
    when that was more than its timeout allowed,
    `refused` why it got no secret. With `redraws`, pages are drawn again.
    """

    step: str
    started_at: datetime
    exchanges: Sequence[Stored] = ()
    reads: Sequence[Stored] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    overran: float | None = None
    refused: str = ""
    redraws: bool = True


class ReplayedWorld:
    """Answers as the record says; what it does not know is refused, never asked of the real world."""

    def __init__(
        self,
        attempt: Attempt,
        *,
        bodies: Bodies,
        files: Folder,
        redactor: Redactor,
        cancelled: threading.Event,
    ) -> None:
        self._attempt = attempt
        self._bodies = bodies
        self._files = files
        self._redactor = redactor
        self._cancelled = cancelled
        self._left = list(attempt.exchanges)
        self._reads = {kind: _values(attempt.reads, kind) for kind in ("clock", "random", "id")}
        self._passed = 0.0
        self._chance = random.Random(f"{attempt.step}/{attempt.started_at}")  # noqa: S311

    def http(self, request: HttpRequest) -> HttpResponse:
        """The recorded answer, or the recorded error."""
        entry = self._take(request, f"{request.method} {request.url}")
        return HttpResponse(
            status=entry["status"], headers=entry.get("headers", {}), body=read_body(entry, self._bodies)
        )

    def page(self, request: PageRequest, accept: Callable[[PageShot], bool]) -> PageShot:
        """The page drawn again from what it was made of; where that is not recorded, the picture of it."""
        entry = self._take(request, f"a visit of {request.url}")
        capture = read_capture(entry, self._bodies)
        same = self._stored(request) == entry["request"]
        if capture is None or capture.missing or (same and not self._attempt.redraws):
            return PageShot(
                png=self._bodies(entry["picture_digest"]),
                masked=tuple(_box(sides) for sides in entry.get("masked", ())),
                fingerprint=entry.get("fingerprint", {}),
                capture=capture,
            )
        # Imported here: only what photographs pays for the browser.
        from step_ops.drivers.browser import photograph

        shot = photograph(request, accept=accept, capture=capture, cancelled=self._cancelled)
        return PageShot(png=shot.png, masked=shot.masked, fingerprint=shot.fingerprint, capture=capture)

    def sql(self, request: SqlRequest, secret: Callable[[str], Secret]) -> SqlRows:
        """The recorded rows, or the recorded error."""
        entry = self._take(request, f"the query {' '.join(request.query.split())[:80]!r}")
        rows = read_rows(entry, self._bodies)
        request.check_rows(len(rows))
        return SqlRows(rows=tuple(rows), count=entry.get("count", len(rows)))

    def _take(self, request: HttpRequest | PageRequest | SqlRequest, words: str) -> Stored:
        """The answer to an equal request, else the next to one of the same address; raises `StepError`."""
        wanted = self._stored(request)
        entry = next((item for item in self._left if item["request"] == wanted), None) or next(
            (item for item in self._left if address(item["request"]) == address(wanted)), None
        )
        if entry is None:
            raise self._never_recorded(words)
        self._left.remove(entry)
        self._passed += entry.get("takes_seconds", 0.0)
        error = entry.get("error")
        if error is not None:
            kind, _, message = error.partition(": ")
            raise StepError(ErrorType(kind), message)
        if not entry.keys() & {"status", "rows", "count", "body_digest", "picture_digest"}:
            raise StepError(ErrorType.INTERNAL, f"{words} ended in a fault of the program")
        return entry

    def _never_recorded(self, words: str) -> StepError:
        left = f"{len(self._left)} recorded exchanges were left" if self._left else "none was left"
        return StepError(
            ErrorType.CASSETTE,
            f"step {self._attempt.step!r} sent {words}, to which no answer is recorded",
            hint=f"of {len(self._attempt.exchanges)} recorded for it, {left}",
        )

    def _stored(self, request: HttpRequest | PageRequest | SqlRequest) -> dict[str, Any]:
        return record_request(request, redactor=self._redactor, keep=lambda data: (digest(data), False))

    def now(self) -> datetime:
        """The recorded time; after the last of them, as much later as has passed."""
        if self._reads["clock"]:
            return datetime.fromisoformat(self._reads["clock"].pop(0)).astimezone(UTC)
        return self._attempt.started_at.astimezone(UTC) + timedelta(seconds=self._passed)

    def elapsed(self) -> float:
        """Seconds since the step began, as its exchanges and pauses took them."""
        if self._attempt.overran is not None and not self._left:
            return max(self._attempt.overran, self._passed)
        return self._passed

    def sleep(self, seconds: float) -> None:
        """Moves the step's clock; no real time passes."""
        if self._cancelled.is_set():
            raise StepError(ErrorType.CANCELLED, "cancelled while waiting")
        self._passed += max(0.0, seconds)

    def random(self) -> float:
        """The recorded number; after the last, one that is the same in every replay."""
        return float(self._reads["random"].pop(0)) if self._reads["random"] else self._chance.random()

    def new_id(self) -> UUID:
        """The recorded id; after the last, one that is the same in every replay."""
        if self._reads["id"]:
            return UUID(self._reads["id"].pop(0))
        return UUID(int=self._chance.getrandbits(128), version=4)

    def secret(self, name: str) -> str:
        """The pseudonym: nobody needs the secret itself to say the same again."""
        if self._attempt.refused:
            raise StepError(ErrorType.SECRET, self._attempt.refused)
        if name not in self._attempt.secrets:
            raise StepError(ErrorType.SECRET, f"secret {name!r} was never read in the recorded execution")
        return self._attempt.secrets[name]

    def file(self, name: str) -> bytes:
        """The file of the definition."""
        return self._files.read(name)


def address(request: Stored) -> tuple[str, ...]:
    """What a recorded request is asked of: two of the same address may differ in what they say."""
    if "sql" in request:
        return ("sql", request["connection"])
    if "selector" in request:
        return ("page", _path(request["url"]))
    return (request["method"], request.get("connection", ""), _path(request["url"]))


def read_body(entry: Stored, bodies: Bodies) -> bytes:
    """The body of a recorded request or answer."""
    if "body_digest" in entry:
        return bodies(entry["body_digest"])
    if "json" in entry:
        return json.dumps(entry["json"]).encode()
    text: str = entry.get("text", "")
    return text.encode()


def read_rows(entry: Stored, bodies: Bodies) -> list[dict[str, Any]]:
    """The rows of a recorded answer."""
    if "rows" in entry:
        return list(entry["rows"])
    rows: list[dict[str, Any]] = json.loads(bodies(entry["body_digest"])) if "body_digest" in entry else []
    return rows


def read_capture(entry: Stored, bodies: Bodies) -> PageCapture | None:
    """What a photographed page was made of, if that is recorded."""
    stored = entry.get("capture")
    if stored is None:
        return None
    return PageCapture(
        opened_at=datetime.fromisoformat(stored["opened_at"]),
        missing=stored.get("missing", ""),
        resources=tuple(
            PageResource(
                method=item["method"],
                url=item["url"],
                status=item["status"],
                headers=item["headers"],
                body=read_body(item, bodies),
                sent=item.get("sent"),
            )
            for item in stored["resources"]
        ),
    )


def _values(reads: Sequence[Stored], kind: str) -> list[Any]:
    """The recorded values of one kind, in order; how long the execution had run is the engine's to read."""
    return [read["value"] for read in reads if read["kind"] == kind and read["name"] != "execution.duration"]


def _box(sides: Sequence[int]) -> Box:
    x, y, width, height = sides
    return Box(x=x, y=y, width=width, height=height)


def _path(url: str) -> str:
    return url.split("?", 1)[0].split("#", 1)[0]
