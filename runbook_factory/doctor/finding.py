"""One line of what the doctor found, and how looking is kept from taking for ever."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

MAX_SECONDS = 10.0  # for all looking together


class Mark(StrEnum):
    """How it is with one thing."""

    GOOD = "good"
    MISSING = "missing"  # and something here needs it
    OPTIONAL = "optional"  # not there, or not known, and nothing here needs it


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at: what was found, and the next command where something is missing."""

    about: str
    mark: Mark
    text: str
    next: str = ""


Look = tuple[str, Callable[[], Iterable[Finding]]]


def good(about: str, text: str) -> Finding:
    """A thing that is as it should be."""
    return Finding(about=about, mark=Mark.GOOD, text=text)


def missing(about: str, text: str, *, needed: bool = True, then: str) -> Finding:
    """A thing that is not, and the next command; optional where nothing needs it."""
    mark = Mark.MISSING if needed else Mark.OPTIONAL
    return Finding(about=about, mark=mark, text=text, next=then)


def look_at_all(looks: Iterable[Look], *, seconds: float = MAX_SECONDS) -> Iterator[Finding]:
    """What all of `looks` find, in their order; what does not answer in time is missing.

    Each has a thread of its own, which is left behind when it hangs: a name server that does not
    answer cannot be hurried.
    """
    deadline = time.monotonic() + seconds
    started = [_Looking(about, look) for about, look in looks]
    for looking in started:
        yield from looking.found(deadline)


class _Looking:
    def __init__(self, about: str, look: Callable[[], Iterable[Finding]]) -> None:
        self._about, self._look = about, look
        self._found: list[Finding] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found = list(self._look())
        except Exception as error:
            text = f"could not be looked at: {type(error).__name__}"
            self._found = [missing(self._about, text, then="report it, with the name of the error")]

    def found(self, deadline: float) -> list[Finding]:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._found is None:
            return [missing(self._about, "gave no answer in time", then="run rb doctor again")]
        return self._found
