"""What tolerances mark in a value, and what of the value is left to compare."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from runbook_defs.alignment import text
from runbook_defs.comparisons import is_number
from runbook_defs.likeness import form, near
from runbook_defs.model import Numeric, Tolerance
from runbook_defs.places import Part, Place, Places

# Where each tolerance's path is at a place of the value.
States = tuple[int, ...]

_DEEPEST = 40
_GONE = object()


class Outline(NamedTuple):
    """What of a value counts, as text; the numbers left out of it, each with how far it may be off."""

    text: str
    numbers: tuple[tuple[float, Numeric], ...] = ()

    @property
    def order(self) -> tuple[Any, ...]:
        """By which outlines that may belong together lie side by side when sorted."""
        return self.text, [number for number, _ in self.numbers]

    def is_near(self, other: "Outline") -> bool:
        """Whether both are the same but for numbers that are near enough."""
        if self.text != other.text or len(self.numbers) != len(other.numbers):
            return False
        pairs = zip(self.numbers, other.numbers, strict=True)
        return all(near(one, two, limits) for (one, limits), (two, _) in pairs)


class Marks:
    """The tolerances laid on one value."""

    def __init__(self, tolerances: Sequence[Tolerance], root: Any) -> None:
        self._tolerances = tolerances
        self._places = [Places(tolerance.path, root) for tolerance in tolerances]
        self.named = cache(self._named)
        self.below = cache(self._below)
        # What a key leads to is asked for each item of a list, and the same unless a filter looks at values.
        self._by_key = cache(lambda states, key: self._enter(states, None, key))
        self._has_filter = any(places.has_filter for places in self._places)

    def covers(self, number: int, place: Place | None) -> bool:
        """Whether the tolerance of this number marks `place`, or one that it is inside of."""
        return place is not None and self._places[number].covers(place)

    def states(self, place: Place) -> States:
        """Where each path is at `place`."""
        return tuple(places.state(place) for places in self._places)

    def enter(self, states: States, container: Any, part: Part) -> States:
        """Where each path is at `container[part]`, given where it is at the container."""
        if not any(states):
            return states
        if isinstance(part, str) and not self._has_filter:
            return self._by_key(states, part)
        return self._enter(states, container, part)

    def _enter(self, states: States, container: Any, part: Part) -> States:
        pairs = zip(self._places, states, strict=True)
        return tuple(places.enter(state, container, part) if state else 0 for places, state in pairs)

    def _named(self, states: States) -> Sequence[int]:
        """The numbers of the tolerances that mark the place of these states."""
        pairs = zip(self._places, states, strict=True)
        return [number for number, (places, state) in enumerate(pairs) if places.is_named(state)]

    def _below(self, states: States) -> Sequence[int]:
        """The numbers of the tolerances that may mark a place inside of it."""
        pairs = zip(self._places, states, strict=True)
        return [number for number, (places, state) in enumerate(pairs) if places.leads_on(state)]

    def outline(self, states: States, value: Any, *, loose: bool) -> Outline:
        """What of `value` counts: what may differ is left out or put as what it must look like, what may
        be in any order is put in one; numbers that may be off a little are left out only if `loose`.
        """
        numbers: list[tuple[float, Numeric]] = []
        shape = self._shape(value, states, numbers if loose else None, _DEEPEST)
        return Outline("" if shape is _GONE else text(shape), tuple(numbers))

    def _shape(
        self, value: Any, states: States, numbers: list[tuple[float, Numeric]] | None, depth: int
    ) -> Any:
        unordered = False
        for number in self.named(states):
            tolerance = self._tolerances[number]
            if tolerance.ignore:
                return _GONE
            if tolerance.any and (looks := form(value, tolerance.any)):
                return [looks]
            if tolerance.numeric and numbers is not None and is_number(value):
                numbers.append((value, tolerance.numeric))
                return ["number"]
            unordered = unordered or bool(tolerance.unordered)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if depth and isinstance(value, dict):
            inner = (
                (key, self._shape(value[key], self.enter(states, value, key), numbers, depth - 1))
                for key in sorted(value)
            )
            return {key: shape for key, shape in inner if shape is not _GONE}
        if depth and isinstance(value, list):
            return self._items(value, states, numbers, depth - 1, unordered=unordered)
        return value

    def _items(
        self,
        items: list[Any],
        states: States,
        numbers: list[tuple[float, Numeric]] | None,
        depth: int,
        *,
        unordered: bool,
    ) -> list[Any]:
        each: list[tuple[Any, list[tuple[float, Numeric]]]] = []
        for index, item in enumerate(items):
            own: list[tuple[float, Numeric]] = []
            shape = self._shape(
                item, self.enter(states, items, index), own if numbers is not None else None, depth
            )
            if shape is not _GONE:
                each.append((shape, own))
        if unordered:
            each.sort(key=lambda one: Outline(text(one[0]), tuple(one[1])).order)
        if numbers is not None:
            numbers.extend(pair for _, own in each for pair in own)
        return [shape for shape, _ in each]
