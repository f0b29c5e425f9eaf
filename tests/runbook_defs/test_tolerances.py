"""What a replay lets pass, and what it still tells."""

import itertools
import json
import random
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_defs.differences import Difference, find_differences
from runbook_defs.model import Tolerance
from runbook_defs.tolerances import Tolerances

ONE, TWO = "550e8400-e29b-41d4-a716-446655440000", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
THEN, NOW = "2025-11-29T06:00:00Z", "Sat, 29 Nov 2025 07:00:00 GMT"


def compared(
    rules: list[dict[str, Any]], expected: Any, actual: Any, *, step: str = "fetch", part: str = "response"
) -> tuple[list[Difference], list[int]]:
    """The differences left, and how often each rule fired."""
    tolerances = Tolerances([Tolerance.model_validate(rule) for rule in rules])
    return tolerances.differences(expected, actual, step=step, part=part), tolerances.fired


def told(rules: list[dict[str, Any]], expected: Any, actual: Any) -> list[str]:
    return [str(difference) for difference in compared(rules, expected, actual)[0]]


@pytest.mark.parametrize(
    ("rule", "expected", "actual"),
    [
        ({"any": "uuid"}, ONE, TWO.upper()),
        ({"any": "timestamp"}, THEN, NOW),
        ({"any": "digits"}, "007", "12"),
        ({"any": "digits"}, 7, -12),
        ({"numeric": {"abs": 0.01}}, 0.97, 0.98),
        pytest.param({"numeric": {"abs": 1}}, 10**400, 10**400 + 1, id="huge"),
        ({"numeric": {"rel": 0.1}}, -100, -90),
        ({"numeric": {"abs": 0.5, "rel": 0.1}}, 100, 91),
        ({"numeric": {"abs": 9.5, "rel": 0.01}}, 100, 91),
        ({"ignore": True}, {"a": [1]}, None),
        ({"unordered": True}, [1, 2, 2.0, "a"], ["a", 2, 1.0, 2]),
    ],
)
def test_a_rule_lets_pass_what_it_says(rule: dict[str, Any], expected: Any, actual: Any) -> None:
    assert compared([{"path": "$", **rule}], expected, actual) == ([], [1])
    assert compared([{"path": "$", **rule}], actual, expected) == ([], [1])


@pytest.mark.parametrize(
    ("rule", "expected", "actual"),
    [
        ({"any": "uuid"}, ONE, f"{TWO} "),
        ({"any": "uuid"}, ONE, None),
        ({"any": "timestamp"}, THEN, "2025-11-29"),
        ({"any": "digits"}, "7", 8),
        ({"any": "digits"}, 1, True),
        ({"any": "digits"}, 1, 1.5),
        ({"numeric": {"abs": 0.01}}, 0.97, 0.981),
        ({"numeric": {"abs": 1}}, 0, True),
        ({"numeric": {"abs": 1}}, 1, "1"),
        pytest.param({"numeric": {"abs": 1, "rel": 1}}, 10**400, 0.5, id="huge"),
        ({"numeric": {"abs": 1, "rel": 1}}, 1, float("nan")),
        ({"numeric": {"abs": 1, "rel": 1}}, 1, float("inf")),
        ({"numeric": {"rel": 0}}, 1, 2),
        ({"unordered": True}, [1, 2, 2], [1, 1, 2]),
        ({"unordered": True}, [1], {"a": 1}),
    ],
)
def test_and_nothing_else(rule: dict[str, Any], expected: Any, actual: Any) -> None:
    for one, two in ((expected, actual), (actual, expected)):
        left, _ = compared([{"path": "$", **rule}], one, two)
        assert left


def test_a_rule_is_about_its_step_and_its_parts() -> None:
    rules = [{"path": "$.at", "ignore": True, "step": "fetch", "in": ["inputs", "outputs"]}]
    for step, part, passes in (
        ("fetch", "outputs", True),
        ("fetch", "request", False),
        ("load", "outputs", False),
    ):
        left, fired = compared(rules, {"at": 1}, {"at": 2}, step=step, part=part)
        assert (not left, fired) == (passes, [int(passes)])


def test_what_is_left_is_told_as_always() -> None:
    expected = {"at": THEN, "rows": [{"id": 1, "at": THEN}, {"id": 2, "at": THEN}], "gone": {"at": 1}}
    actual = {"at": NOW, "rows": [{"id": 1, "at": NOW}, {"id": 3, "at": "later"}], "new": 0}
    assert told([{"path": "$..at", "any": "timestamp"}], expected, actual) == [
        "$.rows[1].id: expected 2, is 3",
        f'$.rows[1].at: expected "{THEN}", is "later"',
        '$.gone: missing, expected {"at": 1}',
        "$.new: not expected, is 0",
    ]


def test_what_is_ignored_may_be_new_or_missing_with_all_that_is_inside() -> None:
    rules = [{"path": "$.a", "ignore": True}, {"path": "$.b[*].c", "ignore": True}]
    expected: Any = {"a": {"x": [1]}, "b": [{"c": {"d": 1}}, {"c": 1}]}
    actual: Any = {"b": [{"c": {"d": 2}}, {}], "c": 1}
    assert told(rules, expected, actual) == ["$.c: not expected, is 1"]
    assert compared(rules, actual, expected)[1] == [1, 2]


def test_the_first_rule_that_fits_is_the_one_that_fires() -> None:
    rules: list[dict[str, Any]] = [
        {"path": "$.n", "numeric": {"abs": 1}},
        {"path": "$.*", "any": "digits"},
        {"path": "$..*", "ignore": True},
    ]
    before, now = {"n": 1, "m": 1, "o": "x", "p": 5}, {"n": 2, "m": 5, "o": "y", "p": 5}
    assert compared(rules, before, now) == ([], [1, 1, 1])


def test_what_fired_is_counted_over_all_that_is_compared() -> None:
    tolerances = Tolerances([Tolerance.model_validate({"path": "$[*]", "ignore": True})])
    for _ in range(3):
        assert not tolerances.differences([1, 2], [3, 4], step="a", part="inputs")
    assert tolerances.fired == [6]


@pytest.mark.parametrize("path", ["$.items[*].at", "$..at", "$.items[?@.id > 0].at", "$['items'][:]['at']"])
def test_items_that_belong_together_are_found_though_one_was_put_in(path: str) -> None:
    before = [{"id": number, "at": f"then {number}"} for number in range(1, 60)]
    now = [{"id": number, "at": f"now {number}"} for number in range(60)]
    rules = [{"path": path, "ignore": True}]
    assert told(rules, {"items": before}, {"items": now}) == [
        '$.items[0]: not expected, is {"id": 0, "at": "now 0"}'
    ]
    assert compared(rules, {"items": before}, {"items": now})[1] == [59]


def test_numbers_that_are_off_do_not_hide_which_record_is_gone() -> None:
    before = [{"id": number, "score": number / 3} for number in range(40)]
    now = [{"id": each["id"], "score": each["score"] + 0.001} for each in before if each["id"] != 7]
    assert told([{"path": "$[*].score", "numeric": {"abs": 0.01}}], before, now) == [
        '$[7]: missing, expected {"id": 7, "score": 2.3333333333333335}'
    ]
    assert told([{"path": "$[*]", "numeric": {"abs": 0.01}}], [1, 2, 3, 4], [1, 3, 4]) == [
        "$[1]: missing, expected 2"
    ]


def test_a_place_counts_when_the_path_names_it_in_one_of_the_two() -> None:
    before, now = [{"v": 1}, {"v": 2}, {"v": 3}], [{"w": 0}, {"v": 1}, {"v": 2}, {"v": 4}]
    assert told([{"path": "$[-1].v", "ignore": True}], before, now) == ['$[0]: not expected, is {"w": 0}']
    draft = [{"path": "$[?@.draft].text", "ignore": True}]
    assert told(draft, [{"draft": True, "text": "a"}], [{"draft": False, "text": "b"}]) == [
        "$[0].draft: expected true, is false"
    ]


def test_an_index_is_the_place_in_the_value_and_not_in_what_differs() -> None:
    before, now = [0, 1, 2, 3], [9, 8, 2, 7]
    assert told([{"path": "$[1]", "ignore": True}], before, now) == [
        "$[0]: expected 0, is 9",
        "$[3]: expected 3, is 7",
    ]


# Lists in any order


def test_records_are_paired_by_their_key_and_told_by_their_place() -> None:
    before = [{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "c", "n": 3}, {"n": 0}]
    now = [{"id": "d", "n": 4}, {"n": 0}, {"id": "c", "n": 5}, {"id": "a", "n": 1}]
    assert told([{"path": "$", "unordered": "id"}], before, now) == [
        '$[1]: missing, expected {"id": "b", "n": 2}',
        "$[2].n: expected 3, is 5",
        '$[0]: not expected, is {"id": "d", "n": 4}',
    ]


def test_a_key_is_the_same_only_with_its_type_and_may_stand_twice() -> None:
    rules = [{"path": "$", "unordered": "id"}]
    assert told(rules, [{"id": 1}], [{"id": 1.0}]) == []
    assert len(told(rules, [{"id": 1}], [{"id": "1"}])) == 2
    assert len(told(rules, [{"id": 1}], [{"id": True}])) == 2
    twice = [{"id": 1, "n": 1}, {"id": 1, "n": 2}, {"id": {"a": [None]}, "n": 3}]
    assert told(rules, twice, twice[::-1]) == []
    assert told(rules, twice, [{"id": 1, "n": 5}, *twice[1:][::-1]]) == ["$[0].n: expected 1, is 5"]


def test_lists_inside_of_lists_may_be_in_any_order_too() -> None:
    rules = [{"path": "$", "unordered": True}, {"path": "$[*].tags", "unordered": True}]
    before = [{"tags": ["a", "b"]}, {"tags": ["c", "d"]}]
    now = [{"tags": ["d", "c"]}, {"tags": ["b", "a"]}]
    assert compared(rules, before, now) == ([], [1, 2])
    assert told(rules[:1], before, now) != []


def test_what_else_is_tolerated_does_not_hide_which_items_belong_together() -> None:
    rules: list[dict[str, Any]] = [
        {"path": "$", "unordered": True},
        {"path": "$[*].at", "any": "timestamp"},
        {"path": "$[*].a_note", "ignore": True},
        {"path": "$[*].score", "numeric": {"abs": 0.1}},
    ]
    before = [{"at": THEN, "id": n, "a_note": 9 - n, "score": n} for n in range(9)]
    now = [{"at": NOW, "id": n, "a_note": n, "score": n + 0.05} for n in reversed(range(9))]
    left, fired = compared(rules, before, now)
    assert (left, fired) == ([], [1, 9, 9, 9])


def test_only_a_list_in_another_order_fires() -> None:
    rules = [{"path": "$.*", "unordered": True}]
    before = {"a": [1, 2, 3], "b": [1, 2, 3], "c": [1, 1, 2]}
    now = {"a": [1, 3], "b": [3, 2, 1], "c": [1, 1, 2]}
    left, fired = compared(rules, before, now)
    assert [str(each) for each in left] == ["$.a[1]: missing, expected 2"]
    assert fired == [1]


def test_numbers_in_any_order_are_paired_so_that_all_are_near_if_they_can_be() -> None:
    rules = [{"path": "$", "unordered": True}, {"path": "$[*]", "numeric": {"abs": 0.1}}]
    assert told(rules, [1.0, 1.1], [1.2, 1.1]) == []
    assert told(rules, [3.0, 1.0, 2.0], [1.01, 3.01]) == ["$[2]: missing, expected 2.0"]


# Whatever the values are


LEAVES = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "a", "b", ONE, TWO, THEN, "12"])
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        ),
        max_leaves=20,
    )


VALUES = nested(LEAVES)
HOSTILE = nested(LEAVES | st.floats() | st.sampled_from([10**400, -(10**400), 1e308, 1.0, -0.0]))
RULES = st.lists(
    st.tuples(
        st.sampled_from(["$", "$.a", "$[*]", "$..a", "$.*.b", "$..*", "$[-1]", "$[?@.a]", "$..[?@ == $.a]"]),
        st.sampled_from(
            [
                {"ignore": True},
                {"any": "uuid"},
                {"any": "digits"},
                {"numeric": {"abs": 1}},
                {"numeric": {"rel": 0.5}},
                {"unordered": True},
                {"unordered": "a"},
            ]
        ),
    ).map(lambda pair: {"path": pair[0], **pair[1]}),
    max_size=4,
)


@given(VALUES, VALUES)
def test_without_rules_all_differences_are_left(one: Any, two: Any) -> None:
    left, _ = compared([], one, two)
    assert left == list(find_differences(one, two))
    elsewhere = [{"path": "$", "ignore": True, "step": "load"}]
    assert compared(elsewhere, one, two) == (left, [0])


@given(st.dictionaries(st.sampled_from("abc"), VALUES), st.dictionaries(st.sampled_from("abc"), VALUES))
def test_ignoring_a_place_takes_away_exactly_the_differences_there(one: Any, two: Any) -> None:
    every = list(find_differences(one, two))
    there = [each for each in every if (each.expected_at or each.actual_at or ())[:1] == ("a",)]
    left, fired = compared([{"path": "$.a", "ignore": True}], one, two)
    assert left == [each for each in every if each not in there]
    assert fired == [len(there)]


def without(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: without(item, key) for name, item in value.items() if name != key}
    return [without(item, key) for item in value] if isinstance(value, list) else value


@given(VALUES, VALUES)
def test_what_is_ignored_everywhere_is_as_if_it_were_not_there(one: Any, two: Any) -> None:
    left, _ = compared([{"path": "$..a", "ignore": True}], one, two)
    wanted = find_differences(without(one, "a"), without(two, "a"))
    assert [(each.path, each.kind) for each in left] == [(each.path, each.kind) for each in wanted]


def values_of(differences: list[Difference]) -> Counter[str]:
    return Counter(
        json.dumps([each.kind, each.expected, each.actual], sort_keys=True) for each in differences
    )


@given(st.lists(HOSTILE, max_size=6), st.lists(HOSTILE, max_size=6), RULES, st.randoms(use_true_random=False))
def test_the_order_of_a_list_in_any_order_changes_nothing(
    one: list[Any], two: list[Any], rules: list[dict[str, Any]], chance: random.Random
) -> None:
    for rule in ({"path": "$", "unordered": True}, {"path": "$", "unordered": "a"}):
        every = [rule, *(each for each in rules if "[-1]" not in each["path"])]
        mixed = [chance.sample(items, len(items)) for items in (one, two)]
        assert values_of(compared(every, one, two)[0]) == values_of(compared(every, *mixed)[0])
        assert compared(every, one, mixed[0])[0] == []


@given(st.lists(st.integers(0, 9), max_size=5), st.lists(st.integers(0, 9), max_size=5))
def test_numbers_pass_exactly_when_they_can_be_paired(one: list[int], two: list[int]) -> None:
    rules = [{"path": "$", "unordered": True}, {"path": "$[*]", "numeric": {"abs": 1}}]
    can_be = len(one) == len(two) and any(
        all(abs(a - b) <= 1 for a, b in zip(one, order, strict=True)) for order in itertools.permutations(two)
    )
    assert (compared(rules, one, two)[0] == []) is can_be


@given(HOSTILE, HOSTILE, RULES)
def test_any_values_are_compared_and_rules_only_take_away(
    one: Any, two: Any, rules: list[dict[str, Any]]
) -> None:
    left, fired = compared(rules, one, two)
    assert all(str(each).startswith("$") for each in left)
    assert not (left or any(fired)) or list(find_differences(one, two))
    assert compared(rules, one, one)[0] == []


@pytest.mark.parametrize("rule", [{"ignore": True}, {"unordered": True}, {"unordered": "a"}, {"any": "uuid"}])
@pytest.mark.parametrize("path", ["$..b", "$..*", "$[*]", "$[?@..b]", "$"])
def test_values_nested_deeper_than_python_counts_are_compared(path: str, rule: dict[str, Any]) -> None:
    def deep(leaf: Any) -> Any:
        value = leaf
        for _ in range(5_000):
            value = [value]
        return value

    one, two = [{"a": deep(1)}, deep({"b": 1})], [deep({"b": 2}), {"a": deep(1)}]
    left, _ = compared([{"path": path, **rule}], one, two)
    assert len([str(each) for each in left]) <= 4
    assert compared([{"path": path, **rule}], one, [{"a": deep(1)}, deep({"b": 1})])[0] == []


# Large values


def records(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"ent-{number}",
            "name": f"Entity {number}",
            "score": number / 7,
            "at": THEN,
            "owner": {"n": number},
        }
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "rule",
    [
        {"path": "$..nothing", "ignore": True},
        {"path": "$.items[*].at", "any": "timestamp"},
        {"path": "$.items[?@.owner.n > $.least].id", "ignore": True},
        {"path": "$.items", "unordered": "id"},
        {"path": "$.items", "unordered": True},
        {"path": "$..*", "any": "uuid"},
    ],
)
def test_a_change_in_a_long_list_is_one_difference_at_its_place_and_found_fast(rule: dict[str, Any]) -> None:
    before = {"least": 0, "items": records(10_000)}
    now = json.loads(json.dumps(before))
    for place in range(0, 10_000, 500):
        now["items"][place]["score"] = -1
    begun = time.perf_counter()
    left = told([rule], before, now)
    assert time.perf_counter() - begun < 3  # a tenth of it on a machine of its own
    assert len(left) == 20
    assert left[1] == f"$.items[500].score: expected {500 / 7}, is -1"


def test_no_path_is_looked_at_where_nothing_differs() -> None:
    broken = Tolerance.model_construct(path="$[", step=None, parts=None, ignore=True)
    before = {"items": records(10)}
    assert Tolerances([broken]).differences(before, {"items": records(10)}, step="a", part="inputs") == []
    with pytest.raises(Exception, match="unexpected end"):
        Tolerances([broken]).differences(before, {"items": []}, step="a", part="inputs")


def test_lists_made_to_be_hard_to_align_end_soon() -> None:
    before, now = ([[*pattern] * (600 // len(pattern)) for _ in range(20)] for pattern in ([0, 1], [1, 1, 0]))
    begun = time.perf_counter()
    assert told([{"path": "$[*].a", "ignore": True}], before, now)
    assert (
        time.perf_counter() - begun < 10
    )  # one of them is aligned, and takes a second; all would take twenty


# As a line


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"path": "$.a", "ignore": True}, "$.a: ignored"),
        (
            {"path": "$..at", "any": "timestamp", "in": ["response", "outputs"], "step": "ingest"},
            "$..at: any timestamp, in response and outputs of ingest",
        ),
        ({"path": "$.n", "numeric": {"abs": 0.01, "rel": 1}}, "$.n: numeric, abs 0.01 or rel 1"),
        ({"path": "$.l", "unordered": "id", "in": ["inputs"]}, "$.l: unordered, by id, in inputs"),
        ({"path": "$.l", "unordered": True, "step": "load"}, "$.l: unordered, of load"),
    ],
)
def test_a_tolerance_tells_what_it_allows(rule: dict[str, Any], line: str) -> None:
    assert str(Tolerance.model_validate(rule)) == line
