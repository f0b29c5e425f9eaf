"""`rb graph`: the steps as text for a terminal, or as a Mermaid flowchart."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.reporters import graph
from runbook_defs.graph import levels
from tests.workshop import Workshop

Rb = Callable[..., Any]


def fetch(name: str, *ups: str, **more: Any) -> dict[str, Any]:
    step = {"id": name, "type": "data_fetch", "inputs": {"source_url": "http://x.test"}}
    return {**step, **({"depends_on": list(ups)} if ups else {}), **more}


@pytest.fixture
def here(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.delenv("RUNBOOK_PROJECT", raising=False)
    monkeypatch.chdir(workshop.project.root)
    return workshop


def test_levels_hang_below_each_other_and_parallel_steps_on_one_branch(rb: Rb, here: Workshop) -> None:
    steps = [
        fetch("first"),
        fetch("left", "first", on_failure="log_and_continue"),
        fetch("right", "first", when="${1 > 0}"),
        {
            "id": "post",
            "type": "api_call",
            "depends_on": ["left", "right"],
            "inputs": {"endpoint": "http://x.test", "method": "POST"},
        },
    ]
    here.runbook(steps, name="A Diamond")
    answer = rb("graph", "rb-test")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "rb-test 1.0.0  A Diamond",
        "",
        "  ● first  data_fetch",
        "  ↓",
        "  ┌ left   data_fetch  ← first",
        "  │   on failure: goes on",
        "  └ right  data_fetch  ← first",
        "      when ${1 > 0}",
        "  ↓",
        "  ● post   api_call    ← left, right",
        "      writes",
    ]


def test_mermaid_has_a_node_for_each_step_and_an_arrow_for_each_dependency(rb: Rb, here: Workshop) -> None:
    steps = [
        fetch("end"),
        fetch("style", "end", when='${"<b>" != "#`&"}'),
        fetch("last", "end", "style", effect="write"),
    ]
    here.runbook(steps)
    answer = rb("graph", "rb-test", "--format", "mermaid")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "flowchart TD",
        '    step_end["<b>end</b><br/>data_fetch"]',
        '    step_style["<b>style</b><br/>data_fetch"]',
        '    step_last["<b>last</b><br/>data_fetch"]',
        '    step_end -. "${#quot;#lt;b#gt;#quot; != #quot;#35;#96;#amp;#quot;}" .-> step_style',
        "    step_end --> step_last",
        "    step_style --> step_last",
        "    classDef writes stroke-width:3px",
        "    class step_last writes",
    ]


def test_a_long_condition_is_cut_to_one_line(rb: Rb, here: Workshop) -> None:
    condition = "${" + " and\n ".join(["1 > 0"] * 50) + "}"
    here.runbook([fetch("a", when=condition)])
    for form in ("text", "mermaid"):
        lines = rb("graph", "rb-test", "--format", form).out.splitlines()
        (shown,) = [line for line in lines if "1 " in line and "and" in line]
        assert "…" in shown
        assert len(shown) < graph.MAX_CONDITION * 3


def test_warnings_are_no_reason_not_to_draw(rb: Rb, here: Workshop) -> None:
    here.runbook([fetch("a")], inputs={"unused": {}})
    assert "RB308" in rb("validate", "rb-test").out
    answer = rb("graph", "rb-test")
    assert (answer.code, "● a" in answer.out) == (0, True)


def test_a_broken_runbook_has_its_problems_printed(rb: Rb, here: Workshop) -> None:
    here.runbook([fetch("a", "b"), fetch("b", "a")])
    answer = rb("graph", "rb-test")
    assert answer.code == 1
    assert re.search(r"runbook\.yaml:\d+:\d+ RB202 ", answer.out)
    assert "flowchart" not in answer.out


def test_an_unknown_runbook_names_the_nearest(rb: Rb, here: Workshop) -> None:
    here.runbook([fetch("a")])
    answer = rb("graph", "rb-tset")
    assert answer.code == 2
    assert "did you mean 'rb-test'?" in answer.err


def test_the_shipped_runbook_is_drawn(rb: Rb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNBOOK_PROJECT", raising=False)
    monkeypatch.chdir(Path(__file__).parents[2])
    answer = rb("graph", "rb-001-entity-enrichment")
    assert answer.out.count("↓") == 3


def test_a_step_is_one_level_below_the_deepest_it_waits_for() -> None:
    assert levels({"d": ["a", "c"], "a": [], "c": ["b"], "b": ["a"], "e": []}) == [
        ["a", "e"],
        ["b"],
        ["c"],
        ["d"],
    ]
    assert levels({}) == []
