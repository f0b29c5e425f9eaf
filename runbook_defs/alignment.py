"""Which items of two lists belong together when both lists are in order."""

import json
import marshal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from runbook_defs.comparisons import same

# The places of two items that belong together; None for an item without a partner.
Pair = tuple[int | None, int | None]
# The name of an item, by its list (0 or 1) and its place; items of one name are taken for the same.
Name = Callable[[int, int], str]

_MOST_ALIGNED = 1_000  # aligning costs up to the square of the items
_MOST_WORK = 2_000_000  # for all lists together: a second or two at the very worst
_ALIKE, _UNLIKE = 8.0, 0.25  # what a pair of items may cost

_canonical = json.JSONEncoder(sort_keys=True).encode


class Alignment:
    """Pairs the items of lists; once it has done more work than anyone waits for, only place by place."""

    def __init__(self) -> None:
        self._work = 0.0

    def pairs(self, expected: list[Any], actual: list[Any], *, names: Sequence[Name] = ()) -> Iterator[Pair]:
        """The pairs that are not alike, in the order of the lists.

        Items are the same by the first of `names`, those that are left by the next, and so on; without
        any, by all that they hold.
        """
        lists = _Lists(expected, actual)
        levels = [cache(name) for name in names or (lists.text,)]
        return self._aligned(lists, range(len(expected)), range(len(actual)), levels)

    def _aligned(self, lists: "_Lists", one: range, two: range, levels: Sequence[Name]) -> Iterator[Pair]:
        if not levels:
            yield from in_turn(one, two)
            return
        name, further = levels[0], levels[1:]
        start, end = lists.same_ends(one, two, name)
        yield from lists.unlike(one[:start], two[:start])
        inner = one[start : len(one) - end], two[start : len(two) - end]
        for equal, first, second in self._stretches(*inner, name):
            if equal:
                yield from lists.unlike(first, second)
            else:
                yield from self._aligned(lists, first, second, further)
        yield from lists.unlike(one[len(one) - end :], two[len(two) - end :])

    def _stretches(self, one: range, two: range, name: Name) -> Iterator[tuple[bool, range, range]]:
        """The stretches that are the same in both by name, and those between them."""
        less, more = sorted((len(one), len(two)))
        if less == 0 or more == 1 or more > _MOST_ALIGNED:
            yield False, one, two
            return
        names = [name(0, index) for index in one], [name(1, index) for index in two]
        if not self._can_afford(*names):
            yield False, one, two
            return
        for tag, a, b, c, d in SequenceMatcher(None, *names, autojunk=False).get_opcodes():
            yield tag == "equal", one[a:b], two[c:d]

    def _can_afford(self, one: Sequence[str], two: Sequence[str]) -> bool:
        counts = Counter(two)
        work = _UNLIKE * len(one) * len(two) + _ALIKE * sum(counts[name] for name in one)
        if self._work + work > _MOST_WORK:
            return False
        self._work += work
        return True


class _Lists:
    """Two lists whose items are compared, each pair once."""

    def __init__(self, expected: list[Any], actual: list[Any]) -> None:
        self._items = expected, actual
        self._alike = cache(lambda i, j: alike(expected[i], actual[j]))

    def text(self, side: int, index: int) -> str:
        return text(self._items[side][index])

    def same_ends(self, one: range, two: range, name: Name) -> tuple[int, int]:
        """How many items are the same at the start, and of the others at the end."""
        start, shorter = 0, min(len(one), len(two))
        while start < shorter and self._same(one[start], two[start], name):
            start += 1
        end = 0
        while end < shorter - start and self._same(one[-1 - end], two[-1 - end], name):
            end += 1
        return start, end

    def _same(self, i: int, j: int, name: Name) -> bool:
        return self._alike(i, j) or name(0, i) == name(1, j)

    def unlike(self, one: range, two: range) -> Iterator[Pair]:
        """Those of the pairs that are not alike."""
        return ((i, j) for i, j in zip(one, two, strict=True) if not self._alike(i, j))


def in_turn(one: Sequence[int], two: Sequence[int]) -> Iterator[Pair]:
    """The first with the first, and so on; then what is left of the one or the other."""
    paired = min(len(one), len(two))
    yield from zip(one, two, strict=False)
    yield from ((index, None) for index in one[paired:])
    yield from ((None, index) for index in two[paired:])


def alike(one: Any, two: Any) -> bool:
    """Whether two JSON values are the same as `same` has it, but fast, and NaN is NaN."""
    try:
        if one != two:
            return bool(one != one and two != two)
        # Equal for Python, which takes true for 1; the bytes are of the one or the other.
        if marshal.dumps(one, 2) == marshal.dumps(two, 2):
            return True
    except (RecursionError, ValueError):
        pass  # nested too deeply
    return same(one, two)


def text(value: Any) -> str:
    """`value` as JSON with its keys in order; empty when it is nested too deeply to be written."""
    try:
        return _canonical(value)
    except (RecursionError, ValueError):
        return ""
