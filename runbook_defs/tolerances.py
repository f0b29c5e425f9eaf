"""The tolerances of a runbook at work: of the differences between two values, those that none allows."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from runbook_defs.alignment import Alignment, Name, Pair, alike
from runbook_defs.differences import Difference, Kind, Spot, find_differences
from runbook_defs.likeness import form, near
from runbook_defs.marks import Marks, Outline, States
from runbook_defs.model import Tolerance
from runbook_defs.partners import OutlineOf, Partners


class Tolerances:
    """The tolerances of a runbook; `fired` counts for each, in their order, what it took away.

    That is a difference, or a list that was in another order.
    """

    def __init__(self, rules: Sequence[Tolerance]) -> None:
        self._rules = tuple(rules)
        self.fired = [0 for _ in self._rules]

    def differences(
        self, expected: Any, actual: Any, *, step: str, part: str, path: str = "$"
    ) -> list[Difference]:
        """The differences that no tolerance allows, as `find_differences` tells of them.

        `part` of `step` is compared: request, response, inputs or outputs. `path` is what the whole
        value is called.
        """
        if alike(expected, actual):
            return []
        numbers = [number for number, rule in enumerate(self._rules) if _is_about(rule, step, part)]
        if not numbers:
            return list(find_differences(expected, actual, path=path))
        comparison = _Comparison([self._rules[number] for number in numbers], expected, actual)
        found = comparison.differences(path)
        for number, fired in zip(numbers, comparison.fired, strict=True):
            self.fired[number] += fired
        return found


def _is_about(rule: Tolerance, step: str, part: str) -> bool:
    return rule.step in (None, step) and (rule.parts is None or part in rule.parts)


class _Comparison:
    """Two values, and the tolerances that are about them."""

    def __init__(self, rules: Sequence[Tolerance], expected: Any, actual: Any) -> None:
        self.fired = [0 for _ in rules]
        self._rules = rules
        self._values = expected, actual
        self._marks = Marks(rules, expected), Marks(rules, actual)
        self._alignment = Alignment()

    def differences(self, path: str) -> list[Difference]:
        found = find_differences(*self._values, path=path, pairing=self._pairs)
        return [difference for difference in found if not self._is_allowed(difference)]

    def _is_allowed(self, difference: Difference) -> bool:
        for number, rule in enumerate(self._rules):
            if self._allows(number, rule, difference):
                self.fired[number] += 1
                return True
        return False

    def _allows(self, number: int, rule: Tolerance, difference: Difference) -> bool:
        at = difference.expected_at, difference.actual_at
        if rule.ignore:
            return any(marks.covers(number, place) for marks, place in zip(self._marks, at, strict=True))
        if difference.kind is not Kind.CHANGED or not _fits(rule, difference):
            return False
        return any(
            place is not None and number in marks.named(marks.states(place))
            for marks, place in zip(self._marks, at, strict=True)
        )

    def _pairs(self, expected: list[Any], actual: list[Any], spot: Spot) -> Iterable[Pair]:
        """Which items of two lists belong together, where what is tolerated in them does not count."""
        states = [
            marks.states(place)
            for marks, place in zip(self._marks, (spot.expected, spot.actual), strict=True)
        ]
        inside = {
            number for marks, state in zip(self._marks, states, strict=True) for number in marks.below(state)
        }
        has_numbers = any(self._rules[number].numeric for number in inside)
        outline = self._outlines((expected, actual), states)
        unordered = self._unordered(states)
        if unordered is not None:
            key = self._rules[unordered].unordered
            partners = Partners(
                expected, actual, outline, key=key if isinstance(key, str) else "", has_numbers=has_numbers
            )
            pairs = partners.pairs()
            self.fired[unordered] += _is_moved(pairs)
            return pairs
        names: list[Name] = [lambda side, index: outline(side, index, False).text] if inside else []
        if has_numbers:
            names.append(lambda side, index: outline(side, index, True).text)
        return self._alignment.pairs(expected, actual, names=names)

    def _outlines(self, items: tuple[list[Any], list[Any]], states: Sequence[States]) -> OutlineOf:
        def outline(side: int, index: int, loose: bool) -> Outline:
            marks = self._marks[side]
            inside = marks.enter(states[side], items[side], index)
            return marks.outline(inside, items[side][index], loose=loose)

        return outline

    def _unordered(self, states: Sequence[States]) -> int | None:
        """The number of the tolerance by which the lists of these states may be in any order."""
        named = {
            number for marks, state in zip(self._marks, states, strict=True) for number in marks.named(state)
        }
        return next((number for number in sorted(named) if self._rules[number].unordered), None)


def _fits(rule: Tolerance, difference: Difference) -> bool:
    """Whether the two values are as like each other as the tolerance asks."""
    one, two = difference.expected, difference.actual
    if rule.any:
        return form(one, rule.any) == form(two, rule.any) != ""
    return rule.numeric is not None and near(one, two, rule.numeric)


def _is_moved(pairs: Sequence[Pair]) -> bool:
    """Whether the items that have a partner are in another order than their partners."""
    partners = [two for one, two in pairs if one is not None and two is not None]
    return any(later < earlier for earlier, later in pairwise(partners))
