"""Refused requests: each is counted, few have an audit entry of their own, and too many have to wait.

Of one sender, a token or an address, so many entries are written in a minute; those beyond are written
as one, with their number, when the minute is over. So nobody fills the log, and no number is lost.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil
from threading import Event, Lock, Thread

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection

from runbook_factory.audit.log import Action, Entry, Outcome
from runbook_service.identities.identity import Identity

MINUTE = 60.0
_OTHERS = ""  # stands for all senders beyond those that are told apart
_log = logging.getLogger("runbook.service")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one kind of sender may do in a minute: audit `entries` of their own, and refused `requests` before
    they have to wait. So many `senders` are told apart.
    """

    entries: int
    requests: int
    senders: int


# Who has a token is known, and may be a page that asks for more than it may see.
TOKENS = Limits(entries=20, requests=600, senders=1_000)
ADDRESSES = Limits(entries=20, requests=20, senders=200)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request that was refused, to somebody with a token or to an address."""

    path: str
    reason: str
    identity: Identity | None = None
    address: str = ""

    def entry(self, *, further: int = 0, seconds: float = 0.0) -> Entry:
        """As the audit log has it; with `further`, it stands for so many like it."""
        details: dict[str, object] = {"reason": self.reason}
        if self.identity is None and self.address:
            details["address"] = self.address
        if further:
            details |= {"further": further, "within_seconds": round(seconds)}
        return Entry(
            action=Action.REQUEST_REFUSED,
            subject=self.path,
            outcome=Outcome.REFUSED,
            actor=self.identity.actor if self.identity else None,
            details=details,
        )


@dataclass
class _Minute:
    """What one sender did since `began`; `owed` refusals, the last of them as `last`, are not written yet."""

    began: float
    requests: int = 0
    entries: int = 0
    owed: int = 0
    last: Refusal | None = None


@dataclass
class _Tally:
    """The minutes of one kind of sender, the oldest first, and what is owed of those that are over."""

    limits: Limits
    minutes: OrderedDict[str, _Minute] = field(default_factory=OrderedDict)
    due: dict[str, tuple[Refusal, int]] = field(default_factory=dict)

    def find(self, sender: str) -> _Minute | None:
        """The minute that a refusal of this sender counts for, if it has begun."""
        known = self.minutes.get(sender)
        full = len(self.minutes) >= self.limits.senders
        return self.minutes.get(_OTHERS) if known is None and full else known

    def begin(self, sender: str, now: float) -> _Minute:
        """The same, begun when it has not."""
        known = self.find(sender)
        if known is None:
            sender = sender if len(self.minutes) < self.limits.senders else _OTHERS
            known = self.minutes[sender] = _Minute(began=now)
        return known

    def end(self, before: float) -> None:
        """Puts what is owed of the minutes that began before into `due`."""
        while self.minutes and next(iter(self.minutes.values())).began <= before:
            sender, over = self.minutes.popitem(last=False)
            if over.owed and over.last is not None:
                self.owe(sender, over.last, over.owed)

    def owe(self, sender: str, last: Refusal, count: int) -> None:
        """Adds to what is due."""
        if sender not in self.due and len(self.due) >= self.limits.senders:
            sender = _OTHERS
        if sender == _OTHERS:
            last = replace(last, identity=None, address="several")
        self.due[sender] = (last, count + self.due.get(sender, (last, 0))[1])

    @property
    def owes(self) -> bool:
        """Whether anything is not written yet, or may not be."""
        return bool(self.due) or any(minute.owed for minute in self.minutes.values())


class Refusals:
    """Counts refused requests and has their audit entries written; for threads.

    `write` raises `SQLAlchemyError` when the log cannot be reached: then it is tried again a minute later.
    """

    def __init__(
        self,
        write: Callable[[Entry], object],
        *,
        tokens: Limits = TOKENS,
        addresses: Limits = ADDRESSES,
        seconds: float = MINUTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._seconds, self._now = seconds, clock
        self._tokens, self._addresses = _Tally(tokens), _Tally(addresses)
        self._lock = Lock()
        self._thread: Thread | None = None
        self._stopped = Event()

    def note(self, refusal: Refusal) -> None:
        """Takes one refusal in, and has it written unless its sender has had enough entries."""
        with self._lock:
            minute = self._begin(refusal)
            minute.requests += 1
            minute.last = refusal
            write = minute.entries < self._tally(refusal.identity).limits.entries
            if write:
                minute.entries += 1
            else:
                self._owe(minute)
        if not write:
            return
        try:
            self._write(refusal.entry())
        except SQLAlchemyError:
            with self._lock:
                minute = self._begin(refusal)
                minute.last = refusal
                self._owe(minute)

    def wait(self, identity: Identity | None, address: str) -> int:
        """The seconds that this sender has to wait, 0 for none; to wait is counted as one more refusal."""
        with self._lock:
            tally = self._ended(identity)
            minute = tally.find(_sender(identity, address))
            if minute is None or minute.requests < tally.limits.requests:
                return 0
            minute.requests += 1
            self._owe(minute)
            return max(1, ceil(minute.began + self._seconds - self._now()))

    def close(self) -> None:
        """Writes what is owed, as far as the log can be reached."""
        self._stopped.set()
        self._settle(everything=True)

    def _tally(self, identity: Identity | None) -> _Tally:
        return self._addresses if identity is None else self._tokens

    def _ended(self, identity: Identity | None) -> _Tally:
        """The tally of this kind of sender, with no minute in it that is over."""
        tally = self._tally(identity)
        tally.end(self._now() - self._seconds)
        return tally

    def _begin(self, refusal: Refusal) -> _Minute:
        sender = _sender(refusal.identity, refusal.address)
        return self._ended(refusal.identity).begin(sender, self._now())

    def _owe(self, minute: _Minute) -> None:
        minute.owed += 1
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._run, name="refusals", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Settles once a minute, as long as anything is owed."""
        while not self._stopped.wait(self._seconds):
            self._settle()
            with self._lock:
                if not (self._tokens.owes or self._addresses.owes):
                    self._thread = None
                    return

    def _settle(self, *, everything: bool = False) -> None:
        """Writes an entry for what is owed of each sender whose minute is over, or of every sender."""
        for tally in (self._tokens, self._addresses):
            with self._lock:
                tally.end(self._now() - (0 if everything else self._seconds))
                due, tally.due = tally.due, {}
            for sender, (last, count) in due.items():
                try:
                    self._write(last.entry(further=count, seconds=self._seconds))
                except SQLAlchemyError:
                    _log.warning("%d refused requests are not in the audit log yet: no database", count)
                    with self._lock:
                        tally.owe(sender, last, count)


def _sender(identity: Identity | None, address: str) -> str:
    return address if identity is None else identity.token_id


@dataclass(frozen=True, kw_only=True)
class Watched:
    """One request, and where it is counted when it is refused. The door leaves it in the scope."""

    refusals: Refusals
    path: str
    address: str
    identity: Identity | None = None

    def refused(self, reason: str) -> None:
        """Counts it; waits for the database."""
        self.refusals.note(
            Refusal(path=self.path, reason=reason, identity=self.identity, address=self.address)
        )

    def wait(self) -> int:
        """The seconds that its sender has to wait; 0 when it may go on."""
        return self.refusals.wait(self.identity, self.address)


def watched(connection: HTTPConnection) -> Watched:
    """The request as the door sees it."""
    found: Watched = connection.scope["watched"]
    return found
