"""Asking whether a path names a place gives what searching the whole value would find."""

from collections.abc import Iterator
from typing import Any

import jsonpath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_defs.places import Place, Places

SELECTORS = [
    "*",
    "0",
    "-1",
    "-9",
    "'a'",
    "'b'",
    "1:3",
    "::2",
    "::-1",
    "-2:",
    "::0",
    "?@.a",
    "?@ == $.a",
    "?@.b > 0 || @[0]",
    "?count(@.*) > 1",
    "?length(@) == 2",
    "?!@.a",
    "?search(@, 'a')",
    "?$..b",
    "?@[?@.a]",
    "'a',1",
    "0,0,*",
]
SEGMENTS = st.tuples(st.sampled_from(["", ".."]), st.sampled_from(SELECTORS)).map("{0[0]}[{0[1]}]".format)
PATHS = st.lists(SEGMENTS, max_size=3).map(lambda segments: "$" + "".join(segments))
LEAVES = st.none() | st.booleans() | st.integers(-1, 2) | st.floats() | st.sampled_from(["", "a", "[1"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=15,
)


def every_place(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in items:
        yield from every_place(inner, (*place, part))


@given(PATHS, VALUES.filter(lambda value: not isinstance(value, str)))
def test_a_place_is_named_exactly_when_the_library_finds_it(path: str, value: Any) -> None:
    there = set(every_place(value))
    # The library looks for items of a text, too, which are no places of their own.
    found = {match.parts for match in jsonpath.compile(path, strict=True).finditer(value)} & there
    places = Places(path, value)
    assert {place for place in there if places.is_named(places.state(place))} == found
    inside = {place for place in there if any(place[:end] in found for end in range(len(place) + 1))}
    assert {place for place in there if places.covers(place)} == inside


@given(PATHS, VALUES)
def test_where_a_path_does_not_lead_on_it_names_nothing_below(path: str, value: Any) -> None:
    places = Places(path, value)
    for place in every_place(value):
        above = place[:-1]
        if place and not places.leads_on(places.state(above)):
            assert not places.is_named(places.state(place))


def test_what_a_filter_asks_of_the_whole_value_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    search = jsonpath.JSONPath.finditer

    def finditer(self: Any, data: Any, **options: Any) -> Any:
        asked.append(data)
        return search(self, data, **options)

    value = {"best": 1, "items": [{"n": number} for number in range(50)]}
    places = Places("$.items[?@.n == $.best]", value)
    monkeypatch.setattr(jsonpath.JSONPath, "finditer", finditer)
    named = [index for index in range(50) if places.is_named(places.state(("items", index)))]
    assert named == [1]
    assert sum(data is value for data in asked) == 1


def test_a_filter_that_gets_lost_in_the_depth_finds_nothing() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    places = Places("$[?count(@..*) > 3]", [deep, [1, 2, 3, 4]])
    assert [places.is_named(places.state((index,))) for index in (0, 1)] == [False, True]
