"""The places in a value that a JSONPath (RFC 9535) names, looked up one at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Part = str | int
Place = tuple[Part, ...]

_Selects = Callable[["Places", Any, Part], bool]


@dataclass(frozen=True, kw_only=True)
class _Segment:
    """One step of a path: what it selects of a container, or of all that is inside with `descends`."""

    selects: tuple[_Selects, ...]
    descends: bool
    filters: bool


class Places:
    """The places in `root` that the JSONPath `path` names.

    To find all of them costs as much as the value is large, to ask for one only as much as it is deep.
    A place on the way is told by its state, the set of segments of the path that lead so far, as bits.
    """

    START = 1

    def __init__(self, path: str, root: Any) -> None:
        self.root = root
        self._segments = _compile(path)
        self._end = 1 << len(self._segments)
        self._filters: dict[int, Any] = {}
        self.has_filter = any(segment.filters for segment in self._segments)

    def enter(self, state: int, container: Any, part: Part) -> int:
        """The state at `container[part]`, given that of the container."""
        found = 0
        for number, segment in enumerate(self._segments):
            if state >> number & 1:
                if segment.descends:
                    found |= 1 << number
                if any(selects(self, container, part) for selects in segment.selects):
                    found |= 2 << number
        return found

    def is_named(self, state: int) -> bool:
        """Whether the path names the place of this state."""
        return bool(state & self._end)

    def leads_on(self, state: int) -> bool:
        """Whether the path may name places below the one of this state."""
        return bool(state & (self._end - 1))

    def state(self, place: Place) -> int:
        """The state of a place that is in the value."""
        return self._walk(place)[0]

    def covers(self, place: Place) -> bool:
        """Whether the path names `place`, or one that it is inside of."""
        return self._walk(place)[1]

    def _walk(self, place: Place) -> tuple[int, bool]:
        state, value = self.START, self.root
        covered = self.is_named(state)
        for part in place:
            if not state:
                break
            state, value = self.enter(state, value, part), value[part]
            covered = covered or self.is_named(state)
        return state, covered

    def _passes(self, selector: Any, value: Any) -> bool:
        """Whether `value` passes a filter; what the filter asks of the whole value is asked once."""
        from jsonpath import JSONPathError
        from jsonpath.selectors import FilterContext

        expression = self._filters.get(id(selector))
        if expression is None:
            expression = self._filters[id(selector)] = selector.expression.cache_tree()
        context = FilterContext(env=selector.env, current=value, root=self.root)
        try:
            return bool(expression.evaluate(context))
        except (JSONPathError, RecursionError, OverflowError):
            return False  # nested too deeply to look into


@lru_cache(maxsize=256)
def _compile(path: str) -> tuple[_Segment, ...]:
    # Imported here: it costs as much as all else that a caller without paths needs.
    import jsonpath
    from jsonpath.segments import JSONPathRecursiveDescentSegment as Descendants
    from jsonpath.selectors import Filter

    compiled = jsonpath.compile(path, strict=True)
    return tuple(
        _Segment(
            selects=tuple(_selects(selector) for selector in segment.selectors),
            descends=isinstance(segment, Descendants),
            filters=any(isinstance(selector, Filter) for selector in segment.selectors),
        )
        for segment in getattr(compiled, "segments", ())
    )


def _selects(selector: Any) -> _Selects:
    from jsonpath import selectors

    match selector:
        case selectors.NameSelector(name=name):
            return lambda places, container, part: part == name
        case selectors.IndexSelector(index=index) if index < 0:
            return lambda places, container, part: isinstance(part, int) and part == len(container) + index
        case selectors.IndexSelector(index=index):
            return lambda places, container, part: part == index
        case selectors.SliceSelector(slice=part_of):
            return lambda places, container, part: _in_slice(part, part_of, len(container))
        case selectors.Filter():
            return lambda places, container, part: places._passes(selector, container[part])
        case _:  # the wildcard
            return lambda places, container, part: True


def _in_slice(part: Part, part_of: slice, length: int) -> bool:
    return isinstance(part, int) and part_of.step != 0 and part in range(*part_of.indices(length))
