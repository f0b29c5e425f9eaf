"""Which items of two lists belong together when their order says nothing."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from runbook_defs.alignment import Pair, text
from runbook_defs.marks import Outline

# What of an item counts, by its list (0 or 1) and its place; without the numbers that may be off when
# the third is true.
OutlineOf = Callable[[int, int, bool], Outline]


class Partners:
    """Pairs the items of two lists, by `key` when there is one, and else by what counts of them.

    Which values are paired does not depend on the order of either list. `has_numbers` says that there
    may be numbers in them that may be off a little.
    """

    def __init__(
        self, expected: list[Any], actual: list[Any], outline: OutlineOf, *, key: str = "", has_numbers: bool
    ) -> None:
        self._items = expected, actual
        self._key = key
        self._has_numbers = has_numbers
        self._outline = cache(outline)
        self._exact = cache(lambda side, index: text(self._items[side][index]))

    def pairs(self) -> list[Pair]:
        """Every item of the first list with its partner, then the items of the second without one."""
        partners = dict(pair for one, two in self._groups() for pair in self._paired(one, two))
        taken = set(partners.values())
        first, second = (range(len(items)) for items in self._items)
        alone: list[Pair] = [(None, index) for index in second if index not in taken]
        return [*((index, partners.get(index)) for index in first), *alone]

    def _groups(self) -> Iterator[tuple[list[int], list[int]]]:
        """The items of each value of the key; those without one are a group of their own."""
        groups: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for side, items in enumerate(self._items):
            for index, item in enumerate(items):
                keyed = bool(self._key) and isinstance(item, dict) and self._key in item
                groups[_written(item[self._key]) if keyed else ""][side].append(index)
        yield from groups.values()

    def _paired(self, one: list[int], two: list[int]) -> list[tuple[int, int]]:
        """The pairs of two groups, the nearer first; as many as the smaller of them has items."""
        if len(one) == len(two) == 1 or not (one and two):
            return list(zip(one, two, strict=False))
        left = list(one), list(two)
        found = _take(*left, self._exact) + self._take_near(*left)
        if self._has_numbers and all(left):
            # 1.0 and 1.1 are near 1.1 and 1.2, but not when the one 1.1 is paired with the other.
            left = list(one), list(two)
            found = self._take_near(*left)
        found += _take(*left, lambda side, index: self._outline(side, index, False).text)
        return [*found, *zip(*left, strict=False)]

    def _order(self, side: int, index: int) -> tuple[Any, ...]:
        return (*self._outline(side, index, True).order, self._exact(side, index))

    def _take_near(self, one: list[int], two: list[int]) -> list[tuple[int, int]]:
        """Takes out the pairs that are the same but for what is tolerated, and puts the rest in order.

        Of two in order that are no pair, the lesser one has no partner further on.
        """
        one.sort(key=partial(self._order, 0))
        two.sort(key=partial(self._order, 1))
        found: list[tuple[int, int]] = []
        left: tuple[list[int], list[int]] = ([], [])
        i = j = 0
        while i < len(one) and j < len(two):
            first, second = self._outline(0, one[i], True), self._outline(1, two[j], True)
            if first.is_near(second):
                found.append((one[i], two[j]))
                i, j = i + 1, j + 1
            elif first.order < second.order:
                left[0].append(one[i])
                i += 1
            else:
                left[1].append(two[j])
                j += 1
        one[:], two[:] = [*left[0], *one[i:]], [*left[1], *two[j:]]
        return found


def _take(one: list[int], two: list[int], name: Callable[[int, int], str]) -> list[tuple[int, int]]:
    """Takes out the pairs of one name."""
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for index in two:
        waiting[name(1, index)].append(index)
    found, alone = [], []
    for index in one:
        partners = waiting[name(0, index)]
        if partners:
            found.append((index, partners.popleft()))
        else:
            alone.append(index)
    taken = {partner for _, partner in found}
    one[:], two[:] = alone, [index for index in two if index not in taken]
    return found


def _written(key: Any) -> str:
    """A key as text, the same for 1 and 1.0."""
    return text(int(key) if isinstance(key, float) and key.is_integer() else key)
