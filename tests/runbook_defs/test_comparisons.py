"""What an acceptance pack expects of a value."""

from typing import Any

import pytest

from runbook_defs.comparisons import ComparisonError, compile_comparison, same

YES: list[tuple[Any, Any]] = [
    ("<= 300", 300),
    ("<=300", -1),
    ("< 300", 299.9),
    (">= 0.5", 0.5),
    ("> 0", 1),
    ("== 5", 5.0),
    ("!= 5", 4),
    ("<= 1e3", 1000),
    ("> -1", 0),
    ("~= 0.97 +- 0.01", 0.98),
    ("~= 0.97 +- 0.01", 0.96),
    ("~= 1 ± .5", 0.5),
    ("matches ^a.c$", "abc"),
    ("matches b", "abc"),
    (195, 195),
    (195, 195.0),
    (True, True),
    (None, None),
    ("done", "done"),
    ([1, {"a": 2}], [1, {"a": 2}]),
    ("a < b", "a < b"),
    ("", ""),
    ([{"a": [1, True]}], [{"a": [1.0, True]}]),
]
NO: list[tuple[Any, Any]] = [
    ("<= 300", 300.1),
    ("< 300", 300),
    (">= 0.5", 0.49),
    ("> 0", 0),
    ("== 5", 6),
    ("!= 5", 5.0),
    ("~= 0.97 +- 0.01", 0.981),
    ("~= 0.97 +- 0.01", 0.959),
    ("matches ^b", "abc"),
    (195, 196),
    (195, "195"),
    (1, True),
    (True, 1),
    (False, 0),
    (False, None),
    ("done", "Done"),
    ("5", 5),
    ("<= 300", None),
    ("<= 300", "5"),
    ("<= 300", True),
    ("~= 1 +- 1", True),
    ("matches 5", 5),
    ("<= 1", float("nan")),
    ([{"a": [1]}], [{"a": [True]}]),
    ({"a": 1}, {"a": 1, "b": None}),
    ([1, 2], [1]),
    ([], {}),
]


@pytest.mark.parametrize(("spec", "value"), YES)
def test_holds(spec: Any, value: Any) -> None:
    assert compile_comparison(spec).holds(value) is True


@pytest.mark.parametrize(("spec", "value"), NO)
def test_does_not_hold(spec: Any, value: Any) -> None:
    assert compile_comparison(spec).holds(value) is False


@pytest.mark.parametrize(
    "spec",
    [
        "<= many",
        "<",
        "~= 5",
        "~0.5",
        "< 5 6",
        "== five",
        "!= x",
        "matches [",
        "matches (?P<",
        "matches",
        "= 5",
        "=> 5",
        "≤ 5",
        "~= 5 +- -1",
        "> 1e999",
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused(spec: str) -> None:
    with pytest.raises(ComparisonError):
        compile_comparison(spec)


def test_a_comparison_tells_what_it_expects() -> None:
    assert compile_comparison(" <= 300 ").text == "<= 300"
    assert compile_comparison(195).text == "= 195"
    assert compile_comparison("done").text == "= 'done'"


def test_equality_of_deep_values_needs_no_stack() -> None:
    one: Any = 1
    two: Any = 2
    for _ in range(5000):
        one, two = [one], [two]
    assert same(one, one)
    assert not same(one, two)
