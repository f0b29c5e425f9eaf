"""The chain: what the hash of an entry covers, and whether a log is still what was written."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

DOMAIN = b"runbook audit 1"  # no hash of anything else begins with this
START = bytes(32)  # what the first entry has in place of the hash of the one before it
MOST_FINDINGS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEntry:
    """An entry as it is in the log. `micros` counts microseconds since 1970; `details` are JSON bytes."""

    seq: int
    micros: int
    actor_id: str | None
    actor_name: str
    actor_kind: str
    action: str
    subject: str
    outcome: str
    details: bytes
    previous: bytes
    hash: bytes

    @property
    def at(self) -> datetime:
        """When it was written, by the database's clock; the last moment there is for one beyond it."""
        try:
            return _EPOCH + timedelta(microseconds=self.micros)
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)

    def as_json(self) -> dict[str, Any]:
        """The entry as exports and the audit service have it."""
        return {
            "seq": self.seq,
            "at": self.at.isoformat(timespec="microseconds"),
            "actor": {"id": self.actor_id, "name": self.actor_name, "kind": self.actor_kind},
            "action": self.action,
            "subject": self.subject,
            "outcome": self.outcome,
            "details": _details(self.details),
            "previous": self.previous.hex(),
            "hash": self.hash.hex(),
        }


def canonical(details: Any) -> bytes:
    """The one way to write JSON-like data: ASCII, keys sorted, no spaces."""
    return json.dumps(details, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _details(data: bytes) -> Any:
    """The details as data; as text, when somebody changed them into what we do not write."""
    try:
        details = json.loads(data)
        if canonical(details) == data:
            return details
    except (ValueError, RecursionError):
        pass
    return data.decode("utf-8", "backslashreplace")


def digest(entry: StoredEntry) -> bytes:
    """SHA-256 over all fields but the hash itself, each with its length in front."""
    fields = (
        DOMAIN,
        entry.seq.to_bytes(8, "big", signed=True),
        entry.previous,
        entry.micros.to_bytes(8, "big", signed=True),
        (entry.actor_id or "").encode(),
        entry.actor_name.encode(),
        entry.actor_kind.encode(),
        entry.action.encode(),
        entry.subject.encode(),
        entry.outcome.encode(),
        entry.details,
    )
    return hashlib.sha256(b"".join(len(each).to_bytes(4, "big") + each for each in fields)).digest()


class HeadError(Exception):
    """A file that is not a head."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, kw_only=True)
class Head:
    """The end of a log: its last entry's number, hash and time, and how many entries there are."""

    seq: int = 0
    hash: bytes = START
    count: int = 0
    at: datetime | None = None

    def as_json(self) -> str:
        """One line, for a place outside."""
        at = self.at.isoformat(timespec="microseconds") if self.at else None
        return json.dumps({"seq": self.seq, "hash": self.hash.hex(), "count": self.count, "at": at})

    @staticmethod
    def from_json(text: str) -> "Head":
        """The head that `as_json` wrote; raises `HeadError`."""
        try:
            data = json.loads(text)
            at = datetime.fromisoformat(data["at"]) if data["at"] else None
            head = Head(
                seq=int(data["seq"]), hash=bytes.fromhex(data["hash"]), count=int(data["count"]), at=at
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            hint = "`rb audit export --head FILE` writes one"
            raise HeadError("it does not hold the head of an audit log", hint=hint) from None
        return head


class Fault(StrEnum):
    """What may be wrong with a log."""

    ALTERED = "altered"  # an entry that does not have its own hash
    BROKEN = "broken"  # an entry that does not follow the one before it
    CUT = "cut"  # a log that ends before the head
    FORKED = "forked"  # another entry where the head was
    MISSING = "missing"  # numbers that are not there
    STRANGE = "strange"  # a number that the log never gives


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong, and the number of the entry where it shows."""

    seq: int
    fault: Fault
    message: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a verification came to; `more` counts findings beyond the first `MOST_FINDINGS`."""

    head: Head
    findings: tuple[Finding, ...] = ()
    more: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(entries: Iterable[StoredEntry], *, head: Head | None = None) -> Verdict:
    """Goes along `entries`, in the order of their numbers, and says what is wrong.

    Without a `head` of before, a log that was cut short, or written anew as a whole, looks well.
    """
    walk = _Walk(head)
    for entry in entries:
        walk.see(entry)
    return walk.verdict()


@dataclass
class _Walk:
    """How far a verification has come."""

    known: Head | None
    count: int = 0
    last: StoredEntry | None = None
    due: bytes = START  # what the last entry's hash should be, by its content
    findings: list[Finding] = field(default_factory=list)
    more: int = 0

    def see(self, entry: StoredEntry) -> None:
        self.count += 1
        expected = self.last.seq + 1 if self.last else 1
        if entry.seq < expected:
            self._find(entry.seq, Fault.STRANGE, f"entry {entry.seq} has a number that the log never gives")
            return
        if entry.seq > expected:
            self._find(expected, Fault.MISSING, _missing(expected, entry.seq - 1))
        elif entry.previous not in (self.last.hash if self.last else START, self.due):
            what = f"follow entry {entry.seq - 1}" if self.last else "begin the chain"
            self._find(entry.seq, Fault.BROKEN, f"entry {entry.seq} does not {what}: one was exchanged")
        due = digest(entry)
        if entry.hash != due:
            self._find(entry.seq, Fault.ALTERED, f"entry {entry.seq} was altered: it does not have its hash")
        if self.known and entry.seq == self.known.seq and entry.hash != self.known.hash:
            what = f"entry {entry.seq} is another than the head's: the log was written anew"
            self._find(entry.seq, Fault.FORKED, what)
        self.last, self.due = entry, due

    def verdict(self) -> Verdict:
        last = self.last
        head = Head(seq=last.seq, hash=last.hash, count=self.count, at=last.at) if last else Head()
        if self.known and self.known.seq > head.seq:
            what = f"the tail was cut: the log ends with entry {head.seq}, the head is entry {self.known.seq}"
            self._find(head.seq + 1, Fault.CUT, what)
        return Verdict(head=head, findings=tuple(self.findings), more=self.more)

    def _find(self, seq: int, fault: Fault, message: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(seq=seq, fault=fault, message=message))
        else:
            self.more += 1


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"
