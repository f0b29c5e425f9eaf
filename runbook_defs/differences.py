"""Where two JSON values differ, told so that a reader finds the place and sees both values."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from runbook_defs.alignment import Alignment, Pair, alike
from runbook_defs.places import Place

MOST_SHOWN = 10
MOST_CHARACTERS = 80
_DEEPEST = 40
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Kind(StrEnum):
    """How two values differ at a place."""

    CHANGED = "changed"
    MISSING = "missing"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place where two values differ, such as `entities[3].name`.

    `expected_at` and `actual_at` are its parts in each of the two, None where there is nothing.
    """

    path: str
    kind: Kind
    expected: Any = None
    actual: Any = None
    expected_at: Place | None = field(default=None, compare=False, repr=False)
    actual_at: Place | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        match self.kind:
            case Kind.CHANGED:
                return f"{self.path}: expected {_short(self.expected)}, is {_short(self.actual)}"
            case Kind.MISSING:
                return f"{self.path}: missing, expected {_short(self.expected)}"
            case Kind.UNEXPECTED:
                return f"{self.path}: not expected, is {_short(self.actual)}"


class Spot(NamedTuple):
    """Where a comparison is: as text, and as parts in each of the two values."""

    path: str
    expected: Place
    actual: Place

    def key(self, key: str) -> "Spot":
        """The place of a key in the mapping here."""
        path = f"{self.path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{self.path}[{json.dumps(key)}]"
        return Spot(path, (*self.expected, key), (*self.actual, key))

    def item(self, one: int, two: int) -> "Spot":
        """The place of two items in the lists here, called by that of the second."""
        return Spot(f"{self.path}[{two}]", (*self.expected, one), (*self.actual, two))

    def changed(self, expected: Any, actual: Any) -> Difference:
        """Another value is here."""
        path, at, now = self
        return Difference(
            path=path, kind=Kind.CHANGED, expected=expected, actual=actual, expected_at=at, actual_at=now
        )

    def missing(self, expected: Any) -> Difference:
        """Nothing is here any more."""
        return Difference(path=self.path, kind=Kind.MISSING, expected=expected, expected_at=self.expected)

    def unexpected(self, actual: Any) -> Difference:
        """Something is here that was not."""
        return Difference(path=self.path, kind=Kind.UNEXPECTED, actual=actual, actual_at=self.actual)


# Which items of two lists at a spot belong together, in the order in which they are told of.
Pairing = Callable[[list[Any], list[Any], Spot], Iterable[Pair]]


def find_differences(
    expected: Any, actual: Any, *, path: str = "$", pairing: Pairing | None = None
) -> Iterator[Difference]:
    """Every difference, in the order of `expected`.

    Items of lists are aligned first, so that one that was put in or taken out is one difference;
    `pairing` can say otherwise which belong together. A missing item is named by its place in
    `expected`, every other by its place in `actual`.
    """
    if alike(expected, actual):
        return iter(())
    return _find(expected, actual, Spot(path, (), ()), pairing or _aligned(Alignment()))


def described(differences: Sequence[Difference], *, most: int = MOST_SHOWN) -> list[str]:
    """A line for each of the first `most` differences, and one for the rest."""
    lines = [str(item) for item in differences[:most]]
    left = len(differences) - most
    return [*lines, f"and {left} more difference{'s' if left > 1 else ''}"] if left > 0 else lines


def _aligned(alignment: Alignment) -> Pairing:
    return lambda expected, actual, spot: alignment.pairs(expected, actual)


def _find(expected: Any, actual: Any, spot: Spot, pairing: Pairing) -> Iterator[Difference]:
    """The differences of two values that are not alike."""
    shallow = len(spot.actual) < _DEEPEST
    if shallow and isinstance(expected, dict) and isinstance(actual, dict):
        yield from _in_mapping(expected, actual, spot, pairing)
    elif shallow and isinstance(expected, list) and isinstance(actual, list):
        yield from _in_list(expected, actual, spot, pairing)
    else:
        yield spot.changed(expected, actual)


def _in_mapping(
    expected: dict[str, Any], actual: dict[str, Any], spot: Spot, pairing: Pairing
) -> Iterator[Difference]:
    for key, value in expected.items():
        if key not in actual:
            yield spot.key(key).missing(value)
        elif not alike(value, actual[key]):
            yield from _find(value, actual[key], spot.key(key), pairing)
    for key, value in actual.items():
        if key not in expected:
            yield spot.key(key).unexpected(value)


def _in_list(expected: list[Any], actual: list[Any], spot: Spot, pairing: Pairing) -> Iterator[Difference]:
    for one, two in pairing(expected, actual, spot):
        if one is not None and two is not None:
            if not alike(expected[one], actual[two]):
                yield from _find(expected[one], actual[two], spot.item(one, two), pairing)
        elif one is not None:
            yield spot.item(one, one).missing(expected[one])
        elif two is not None:
            yield spot.item(two, two).unexpected(actual[two])


def _short(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} nested too deeply to show"
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."
