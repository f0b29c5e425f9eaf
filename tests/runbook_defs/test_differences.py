"""Where two JSON values differ, told for a reader."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_defs.comparisons import same
from runbook_defs.differences import described, find_differences

RECORDS = [{"id": f"ent-{number}", "score": number / 10} for number in range(50)]


def told(expected: Any, actual: Any) -> list[str]:
    return [str(item) for item in find_differences(expected, actual, path="out")]


@pytest.mark.parametrize(
    ("expected", "actual", "lines"),
    [
        (1, 1.0, []),
        (1, True, ["out: expected 1, is true"]),
        (None, 0, ["out: expected null, is 0"]),
        ({"a": 1}, [1], ['out: expected {"a": 1}, is [1]']),
        ({"a": {"b": "x"}}, {"a": {"b": "ü"}}, ['out.a.b: expected "x", is "ü"']),
        ({"a": 1, "b": 2}, {"b": 2}, ["out.a: missing, expected 1"]),
        ({"b": 2}, {"a": None, "b": 2}, ["out.a: not expected, is null"]),
        ({"a b": 1}, {"a b": 2}, ['out["a b"]: expected 1, is 2']),
        ([1, 2, 3], [1, 5, 3], ["out[1]: expected 2, is 5"]),
        ([], [7], ["out[0]: not expected, is 7"]),
    ],
)
def test_each_place_is_told_with_both_values(expected: Any, actual: Any, lines: list[str]) -> None:
    assert told(expected, actual) == lines


def test_a_record_taken_out_of_a_list_is_one_difference() -> None:
    actual = [record for record in RECORDS if record["id"] != "ent-20"]
    assert told(RECORDS, actual) == ['out[20]: missing, expected {"id": "ent-20", "score": 2.0}']


def test_a_record_put_into_a_list_and_another_changed_are_two_differences() -> None:
    actual = [*RECORDS[:5], {"id": "new"}, *RECORDS[5:40], {**RECORDS[40], "score": 9}, *RECORDS[41:]]
    assert told(RECORDS, actual) == [
        'out[5]: not expected, is {"id": "new"}',
        "out[41].score: expected 4.0, is 9",
    ]


def test_a_long_list_of_few_values_is_aligned_too() -> None:
    expected = [0, 1] * 200
    actual = [*expected[:10], 5, *expected[10:390], *expected[391:]]
    assert told(expected, actual) == ["out[10]: not expected, is 5", "out[390]: missing, expected 0"]


def test_a_list_too_long_to_align_is_compared_place_by_place() -> None:
    assert len(told(list(range(3000)), list(range(1, 3001)))) == 3000


def test_only_the_first_are_shown_and_the_rest_counted() -> None:
    differences = list(find_differences(dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2)))
    assert described(differences, most=3)[2:] == ["$.c: expected 1, is 2", "and 2 more differences"]
    assert described(differences, most=4)[-1] == "and 1 more difference"
    assert len(described(differences, most=5)) == 5


def test_a_long_value_is_cut() -> None:
    (line,) = told("x" * 500, "y")
    assert len(line) < 120
    assert "..." in line


def test_values_nested_deeper_than_anyone_reads_are_told_as_a_whole() -> None:
    one, two = (json.loads("[" * 400 + leaf + "]" * 400) for leaf in "12")
    (line,) = told(one, two)
    assert line.startswith("out" + "[0]" * 40 + ": expected [[")


def test_values_nested_deeper_than_python_counts_are_told_all_the_same() -> None:
    one, two = (build_deep(leaf) for leaf in "ab")
    (line,) = told(one, two)
    assert line.endswith(": expected a list nested too deeply to show, is a list nested too deeply to show")
    assert told([one, 1], [build_deep("a"), 2]) == ["out[1]: expected 1, is 2"]


def build_deep(leaf: str) -> Any:
    value: Any = leaf
    for _ in range(5_000):
        value = [value]
    return value


def test_what_is_not_a_number_is_not_a_number_both_times() -> None:
    one, two = (json.loads('{"a": [NaN, 1], "b": NaN}') for _ in range(2))
    assert told(one, two) == []
    assert told(one, {**two, "b": 1}) == ["out.b: expected NaN, is 1"]


def test_the_parts_of_a_place_are_those_in_either_value() -> None:
    found = list(find_differences({"a": [1, 2, 3], "b c": 0}, {"a": [9, 1, 2, 4]}))
    places = [(item.path, item.expected_at, item.actual_at) for item in found]
    assert places == [
        ("$.a[0]", None, ("a", 0)),
        ("$.a[3]", ("a", 2), ("a", 3)),
        ('$["b c"]', ("b c",), None),
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=12,
)


@given(VALUES, VALUES)
def test_there_is_a_difference_exactly_when_the_values_are_not_the_same(one: Any, two: Any) -> None:
    assert bool(told(one, two)) is not same(one, two)
