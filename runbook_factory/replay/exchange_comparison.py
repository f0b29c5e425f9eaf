"""The exchanges of one attempt beside those of its original: what was sent, and what came back."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_defs.alignment import alike
from runbook_defs.differences import MOST_SHOWN, Difference, Kind
from runbook_defs.replay import Cause, Deviation, Part
from runbook_defs.symbols import Symbols
from runbook_defs.tolerances import Tolerances
from runbook_factory.replay.contents import answer_of, request_of, same_body, words
from step_ops.errors import ErrorType
from step_ops.replayed import Stored, address

# What says that the other side did not answer as a working one does.
_AWAY = {ErrorType.TIMEOUT, ErrorType.CONNECTION, ErrorType.CANCELLED}
_BUSY = frozenset({408, 425, 429})
_PLACE = re.compile(r"\[\d+\]")


@dataclass(frozen=True, kw_only=True)
class ExchangeComparison:
    """Compares exchanges of `step`; ids and times are learned from answers as they are met."""

    step: str
    symbols: Symbols
    tolerances: Tolerances
    original_bodies: Mapping[str, bytes]
    replayed_bodies: Mapping[str, bytes]

    def compare(self, originals: Sequence[Stored], replayed: Sequence[Stored]) -> Iterator[Deviation]:
        """Every deviation, in the order of the replay."""
        left = list(enumerate(originals))
        last = -1
        for said in replayed:
            if str(said.get("error", "")).startswith(f"{ErrorType.CASSETTE}: "):
                what = f"sends {words(said)}, to which no answer is recorded"
                yield Deviation(part=Part.UNRECORDED, what=what)
                continue
            found = self._partner(said, [item for _, item in left])
            if found is None:
                yield Deviation(part=Part.CALL, what=f"sends {words(said)}, which it did not before")
                continue
            position, partner = left.pop(found)
            if position < last:
                yield Deviation(part=Part.CALL, what=f"sends {words(said)} in another order")
            last = max(last, position)
            yield from self._request(partner, said)
            yield from self._answer(partner, said)
        for what, count in Counter(words(missed) for _, missed in left).items():
            times = "" if count == 1 else f" ({count} times)"
            yield Deviation(part=Part.CALL, what=f"does not send {what} any more{times}")

    def _partner(self, said: Stored, left: Sequence[Stored]) -> int | None:
        """The place of the original that asked the same, else of the next that asked at the same address."""
        same_item = [index for index, item in enumerate(left) if item.get("item") == said.get("item")]
        for index in same_item:
            if alike(self.symbols.translate(left[index]["request"]), said["request"]):
                return index
        wanted = address(said["request"])
        for index in same_item:
            if address(self.symbols.translate(left[index]["request"])) == wanted:
                return index
        return None

    def _request(self, original: Stored, said: Stored) -> Iterator[Deviation]:
        if alike(original["request"], said["request"]):
            return
        one = self.symbols.translate(request_of(original, self.original_bodies))
        two = request_of(said, self.replayed_bodies)
        differences = self.tolerances.differences(one, two, step=self.step, part="request", path="request")
        if differences:
            what = f"{words(said)} sends something else: {_count(differences)}"
            yield Deviation(part=Part.REQUEST, what=what, details=tuple(gathered(differences)))

    def _answer(self, original: Stored, said: Stored) -> Iterator[Deviation]:
        """What came back, status first: of an answer of another kind, the body says nothing."""
        told = self._availability(original, said)
        if told is not None:
            yield told
            return
        if "selector" in said["request"] or same_body(original, said):
            return  # the picture of a page is compared as one
        one, two = answer_of(original, self.original_bodies), answer_of(said, self.replayed_bodies)
        self.symbols.learn(one, two)
        one = self.symbols.translate(one)
        differences = self.tolerances.differences(one, two, step=self.step, part="response", path="response")
        if differences:
            yield Deviation(
                part=Part.RESPONSE,
                what=f"the answer to {words(said)} differs: {_count(differences)}",
                details=tuple(gathered(differences)),
                cause=Cause.SCHEMA if any(is_of_shape(each) for each in differences) else Cause.DATA,
            )

    def _availability(self, original: Stored, said: Stored) -> Deviation | None:
        """What differs before the body: an error, a status, the kind of content."""
        errors = [self.symbols.translate(item.get("error")) for item in (original, said)]
        if errors[0] != errors[1]:
            what = f"{words(said)} {_ended(original)} before, and {_ended(said)} now"
            return Deviation(part=Part.RESPONSE, what=what, cause=_of_error(errors[1] or errors[0]))
        before, now = original.get("status"), said.get("status")
        if before != now:
            what = f"{words(said)} answered {before} before, and {now} now"
            return Deviation(part=Part.RESPONSE, what=what, cause=_of_status(before, now))
        kinds = [_content_type(item) for item in (original, said)]
        if kinds[0] != kinds[1]:
            what = f"{words(said)} answered {kinds[0] or 'nothing'} before, and {kinds[1] or 'nothing'} now"
            return Deviation(part=Part.RESPONSE, what=what, cause=Cause.SCHEMA)
        return None


def gathered(differences: Sequence[Difference]) -> list[str]:
    """A line for each difference; those of one kind in many records of a list share a line."""
    groups: dict[tuple[str, Kind], list[Difference]] = {}
    for each in differences:
        groups.setdefault((_without_places(each.path), each.kind), []).append(each)
    lines: list[str] = []
    for (path, _), items in groups.items():
        if len(items) > 3:
            lines.append(f"{str(items[0]).replace(items[0].path, path, 1)} (and {len(items) - 1} more such)")
        else:
            lines += [str(item) for item in items]
    return lines if len(lines) <= MOST_SHOWN else [*lines[:MOST_SHOWN], f"and {len(lines) - MOST_SHOWN} more"]


def is_of_shape(difference: Difference) -> bool:
    """Whether two values differ in how they are built, not only in what they say."""
    if difference.kind is not Kind.CHANGED:
        return not difference.path.endswith("]") or difference.path.endswith('"]')
    return _kind(difference.expected) != _kind(difference.actual)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case _:
            return type(value).__name__


def _without_places(path: str) -> str:
    return _PLACE.sub("[*]", path)


def _count(differences: Sequence[Difference]) -> str:
    return f"{len(differences)} difference{'' if len(differences) == 1 else 's'}"


def _ended(said: Stored) -> str:
    return f"ended in {said['error']}" if "error" in said else "was answered"


def _of_error(error: Any) -> Cause:
    kind = str(error).partition(": ")[0]
    return Cause.AVAILABILITY if kind in _AWAY else Cause.SCHEMA


def _of_status(*statuses: int | None) -> Cause:
    away = any(status is not None and (status >= 500 or status in _BUSY) for status in statuses)
    return Cause.AVAILABILITY if away else Cause.SCHEMA


def _content_type(said: Stored) -> str:
    kind: str = said.get("headers", {}).get("content-type", "")
    return kind.partition(";")[0].strip().lower()
