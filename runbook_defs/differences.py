"""Where two JSON values differ, told so that a reader finds the place and sees both values."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from runbook_defs.comparisons import same

MOST_SHOWN = 10
MOST_CHARACTERS = 80
_MOST_ALIGNED = 1_000  # aligning costs up to the square of the items
_DEEPEST = 40
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Kind(StrEnum):
    """How two values differ at a place."""

    CHANGED = "changed"
    MISSING = "missing"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place where two values differ, such as `entities[3].name`."""

    path: str
    kind: Kind
    expected: Any = None
    actual: Any = None

    def __str__(self) -> str:
        match self.kind:
            case Kind.CHANGED:
                return f"{self.path}: expected {_short(self.expected)}, is {_short(self.actual)}"
            case Kind.MISSING:
                return f"{self.path}: missing, expected {_short(self.expected)}"
            case Kind.UNEXPECTED:
                return f"{self.path}: not expected, is {_short(self.actual)}"


def find_differences(expected: Any, actual: Any, *, path: str = "$") -> Iterator[Difference]:
    """Every difference, in the order of `expected`.

    Items of lists are aligned first, so that one that was put in or taken out is one difference. A
    missing item is named by its place in `expected`, every other by its place in `actual`.
    """
    return _find(expected, actual, path, 0)


def described(differences: Sequence[Difference], *, most: int = MOST_SHOWN) -> list[str]:
    """A line for each of the first `most` differences, and one for the rest."""
    lines = [str(item) for item in differences[:most]]
    left = len(differences) - most
    return [*lines, f"and {left} more difference{'s' if left > 1 else ''}"] if left > 0 else lines


def _find(expected: Any, actual: Any, path: str, depth: int) -> Iterator[Difference]:
    if same(expected, actual):
        return
    if depth < _DEEPEST and isinstance(expected, dict) and isinstance(actual, dict):
        yield from _in_mapping(expected, actual, path, depth)
    elif depth < _DEEPEST and isinstance(expected, list) and isinstance(actual, list):
        yield from _in_list(expected, actual, path, depth)
    else:
        yield Difference(path=path, kind=Kind.CHANGED, expected=expected, actual=actual)


def _in_mapping(
    expected: dict[str, Any], actual: dict[str, Any], path: str, depth: int
) -> Iterator[Difference]:
    for key, value in expected.items():
        place = f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{json.dumps(key)}]"
        if key in actual:
            yield from _find(value, actual[key], place, depth + 1)
        else:
            yield Difference(path=place, kind=Kind.MISSING, expected=value)
    for key, value in actual.items():
        if key not in expected:
            place = f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{json.dumps(key)}]"
            yield Difference(path=place, kind=Kind.UNEXPECTED, actual=value)


def _in_list(expected: list[Any], actual: list[Any], path: str, depth: int) -> Iterator[Difference]:
    for (start, end), (begin, stop) in _unequal_parts(expected, actual):
        paired = min(end - start, stop - begin)
        for offset in range(paired):
            place = f"{path}[{begin + offset}]"
            yield from _find(expected[start + offset], actual[begin + offset], place, depth + 1)
        for index in range(start + paired, end):
            yield Difference(path=f"{path}[{index}]", kind=Kind.MISSING, expected=expected[index])
        for index in range(begin + paired, stop):
            yield Difference(path=f"{path}[{index}]", kind=Kind.UNEXPECTED, actual=actual[index])


_Range = tuple[int, int]


def _unequal_parts(expected: list[Any], actual: list[Any]) -> list[tuple[_Range, _Range]]:
    """The stretches that differ, between those that are alike in both."""
    start, shorter = 0, min(len(expected), len(actual))
    while start < shorter and same(expected[start], actual[start]):
        start += 1
    tail = 0
    while tail < shorter - start and same(expected[-1 - tail], actual[-1 - tail]):
        tail += 1
    one, two = expected[start : len(expected) - tail], actual[start : len(actual) - tail]
    if max(len(one), len(two)) > _MOST_ALIGNED:
        return [((start, start + len(one)), (start, start + len(two)))]
    names = [[json.dumps(item, sort_keys=True) for item in items] for items in (one, two)]
    matcher = SequenceMatcher(None, names[0], names[1], autojunk=False)
    return [
        ((start + a, start + b), (start + c, start + d))
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."
