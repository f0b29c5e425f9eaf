"""What a step hands on."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_defs.outputs import OutputError, check_path, is_path, select

RESULT = {"data": {"items": [{"id": 1, "price": 5}, {"id": 2, "price": 50}], "odd key": None}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", RESULT),
        ("$.data.items[0].id", 1),
        ("$.data.items[-1].id", 2),
        ("$['data']['odd key']", None),
        ("$.data.items[*].id", [1, 2]),
        ("$.data.items[?@.price < 10].id", [1]),
        ("$.data.items[0:1].id", [1]),
        ("$..id", [1, 2]),
        ("$.nothing[*].at.all", []),
    ],
)
def test_a_singular_path_gives_the_value_and_any_other_the_list(path: str, value: Any) -> None:
    assert select(path, RESULT) == value


@pytest.mark.parametrize("literal", ["done", "", "${x}", True, None, 3, 1.5, [1], {"a": "$.b"}])
def test_what_is_not_a_path_is_handed_on_as_it_is(literal: Any) -> None:
    assert not is_path(literal)
    assert select(literal, RESULT) is literal


@pytest.mark.parametrize(
    ("result", "hint"),
    [
        ({"a": 1, "b": 2}, "the result has the keys 'a', 'b'"),
        ({}, "the result is an empty mapping"),
        ([1, 2], "the result is a list of 2"),
        (None, "the result is null"),
        ("text", "the result is str"),
    ],
)
def test_a_singular_path_without_a_match_says_what_there_is(result: Any, hint: str) -> None:
    with pytest.raises(OutputError, match=r"\$\.data\.items matches nothing") as caught:
        select("$.data.items", result)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "path", ["$.", "$[", "$a", "$.a b", "$['a'", "$[01]", "$[?", "$.a[", "$x.y", "$.a..", "$[1.5]"]
)
def test_what_is_no_rfc_9535_is_refused(path: str) -> None:
    assert is_path(path)
    for use in (check_path, lambda text: select(text, RESULT)):
        with pytest.raises(OutputError, match="is not a JSONPath"):
            use(path)


@pytest.mark.parametrize("path", ["$" + "[" * 5000, "$" + "[?(" * 5000, "$[?" + "!" * 5000 + "@.a]"])
def test_a_path_made_to_hurt_is_refused(path: str) -> None:
    with pytest.raises(OutputError):
        check_path(path)


@given(st.text("$.[]*0123ab_-'\"?@:,", max_size=12).map("$".__add__))
def test_a_path_that_is_checked_can_be_used(path: str) -> None:
    try:
        check_path(path)
    except OutputError:
        return
    with suppress(OutputError):  # a path may match nothing
        select(path, {"a": [1]})
