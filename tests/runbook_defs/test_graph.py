"""The order of steps."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runbook_defs.graph import MAX_CYCLES, find_cycles, leaves, upstream

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
GRAPHS = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefx"), unique=True))


def test_a_graph_without_a_circle_has_no_cycles() -> None:
    assert find_cycles(DIAMOND) == []
    assert find_cycles({}) == []


def test_a_cycle_is_told_in_order_of_dependence_from_the_first_step_of_the_file() -> None:
    assert find_cycles({"a": ["b"], "b": ["a"]}) == [["a", "b"]]
    assert find_cycles({"x": [], "a": ["c"], "b": ["a"], "c": ["b"]}) == [["a", "c", "b"]]


def test_two_circles_are_both_told() -> None:
    edges = {"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}
    assert sorted(find_cycles(edges)) == [["a", "b"], ["c", "d"]]
    assert sorted(find_cycles({"a": ["b", "c"], "b": ["a"], "c": ["a"]})) == [["a", "b"], ["a", "c"]]


def test_a_step_on_itself_and_an_unknown_name_are_no_cycles() -> None:
    assert find_cycles({"a": ["a", "nobody"]}) == []


def test_a_graph_full_of_circles_is_not_searched_for_all_of_them() -> None:
    names = [f"s{number}" for number in range(100)]
    assert len(find_cycles(dict.fromkeys(names, names))) == MAX_CYCLES


@given(GRAPHS)
def test_every_cycle_told_is_one(edges: dict[str, list[str]]) -> None:
    cycles = find_cycles(edges)
    for cycle in cycles:
        assert all(up in edges[step] for step, up in pairwise([*cycle, cycle[0]]))
        assert len(set(cycle)) == len(cycle) > 1
    around = {step for step, ups in upstream(edges).items() if step in ups and step not in edges[step]}
    assert bool(cycles) or not around


def test_upstream_is_all_that_is_done_before() -> None:
    assert upstream(DIAMOND) == {
        "a": frozenset(),
        "b": frozenset("a"),
        "c": frozenset("a"),
        "d": frozenset("abc"),
    }


def test_upstream_survives_circles_and_unknown_names() -> None:
    assert upstream({"a": ["b", "nobody"], "b": ["a"]}) == {"a": frozenset("ab"), "b": frozenset("ab")}


def test_a_chain_longer_than_the_recursion_limit_is_followed() -> None:
    names = [f"s{number}" for number in range(1500)]
    edges = {name: names[max(0, number - 1) : number] for number, name in enumerate(names)}
    assert len(upstream(edges)[names[-1]]) == 1499
    assert len(find_cycles({**edges, names[0]: [names[-1]]})[0]) == 1500


def test_leaves_are_what_nothing_depends_on() -> None:
    assert leaves(DIAMOND) == {"d"}
    assert leaves({"a": [], "b": []}) == {"a", "b"}
