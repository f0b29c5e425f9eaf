"""Whatever a runbook holds, checking it ends with problems and never with an error."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_defs.check import Checked, check_document
from runbook_defs.model import normalized
from runbook_defs.problems import Code, Severity, did_you_mean
from runbook_defs.source import Document, load_document, parse_document
from step_ops.registry import step_types

CORPUS = Path(__file__).parents[1] / "corpus"
VALID = sorted((CORPUS / "valid").glob("*.yaml"))
DATA = [load_document(path).data for path in VALID]

ODD = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        " ",
        "x",
        "steps",
        "${x}",
        "${",
        "${steps}",
        "${steps.fetch}",
        "$.a",
        "$[",
        "a.json",
        "../a.json",
        "id",
        [],
        [[]],
        [None],
        [1, "a"],
        ["fetch", "fetch"],
        {},
        {"": {}},
        {"id": 1},
        {"id": "fetch"},
        {"x": {"y": "${z}"}},
        "a-b",
        "import",
        "${execution}",
        "${inputs}",
        "${steps.fetch.outputs}",
        "${secret('A')}",
    ],
)


def check(data: Any) -> Checked:
    # JSON is YAML, so a changed runbook is written back in the one way that needs no care.
    document = parse_document(json.dumps(data).encode(), path=CORPUS / "valid" / "changed.yaml")
    return check_document(document, step_types=step_types())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


@st.composite
def changed_runbooks(draw: st.DrawFn) -> Any:
    data = copy.deepcopy(draw(st.sampled_from(DATA)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(data)))
        parent = data
        for part in path[:-1]:
            parent = parent[part]
        match draw(st.sampled_from(["replace", "remove", "rename"])):
            case "replace":
                parent[path[-1]] = copy.deepcopy(draw(ODD))
            case "remove":
                del parent[path[-1]]
            case _ if isinstance(parent, dict):
                parent[str(path[-1])[:-1] + "x"] = parent.pop(path[-1])
        if not places(data):
            return data
    return data


@given(changed_runbooks())
def test_a_changed_runbook_is_good_or_has_errors_at_places_in_the_file(data: Any) -> None:
    checked = check(data)
    assert (checked.runbook is None) is bool(checked.errors)
    lines = checked.document.text.splitlines() or [""]
    for problem in checked.problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.message


@given(
    st.dictionaries(st.sampled_from(["id", "steps", "inputs", "kpis", "assumptions", "tags", "retry"]), ODD)
)
def test_any_mapping_at_all_is_checked(data: dict[str, Any]) -> None:
    assert check(data).errors


def codes(text: str) -> list[Code]:
    document = parse_document(text.encode(), path=Path("runbook.yaml"))
    return [item.code for item in check_document(document, step_types=step_types()).problems]


HEAD = "id: a\nname: A\nversion: 1.0.0\nowner: o\nlegal_basis: l\n"
FETCH = "  - {{id: {id}, type: data_fetch, inputs: {{source_url: u}}, depends_on: [{ups}]}}\n"


def test_a_graph_full_of_circles_is_checked() -> None:
    names = [f"step_{number}" for number in range(100)]
    steps = "".join(FETCH.format(id=name, ups=",".join(names)) for name in names)
    found = codes(HEAD + "steps:\n" + steps)
    assert found.count(Code.SELF_DEPENDENCY) == 100
    assert found.count(Code.CYCLE) == 10


def test_thousands_of_unknown_names_are_checked() -> None:
    names = ",".join(f"unknown_{number}" for number in range(8_000))
    steps = FETCH.format(id="fetch", ups=names) + "".join(
        FETCH.format(id=f"step_{number}", ups="") for number in range(500)
    )
    assert codes(HEAD + "steps:\n" + steps).count(Code.UNKNOWN_DEPENDENCY) == 8_000


def test_problems_come_in_the_order_of_the_file_errors_and_warnings_alike() -> None:
    document = load_document(CORPUS / "ten-mistakes.yaml")
    problems = check_document(document, step_types=step_types()).problems
    assert [(item.line, item.column) for item in problems] == sorted(
        (item.line, item.column) for item in problems
    )


def test_a_warning_does_not_keep_a_runbook_from_running() -> None:
    document = load_document(CORPUS / "invalid" / "RB308-unused-input.yaml")
    checked = check_document(document, step_types=step_types())
    assert [item.severity for item in checked.problems] == [Severity.WARNING]
    assert checked.runbook is not None
    assert checked.errors == ()


def test_an_unreadable_document_has_only_the_problems_of_reading() -> None:
    checked = check_document(Document(path=Path("x")), step_types=step_types())
    assert (checked.runbook, checked.problems) == (None, ())


def test_a_number_for_a_text_is_what_was_written() -> None:
    path = CORPUS / "valid" / "inputs-of-every-type.yaml"
    runbook = check_document(load_document(path), step_types=step_types()).runbook
    assert runbook is not None
    assert runbook.inputs["release"].default == "1.10"
    assert runbook.inputs["limit"].default == 10


@pytest.mark.parametrize(
    ("item", "written_out"),
    [
        ({"looked": True}, {"id": "looked", "attested": True}),
        ("looked", {"id": "looked", "attested": True}),
        ({"id": "looked"}, {"id": "looked"}),
        (5, 5),
    ],
)
def test_short_assumptions_are_written_out(item: Any, written_out: Any) -> None:
    assert normalized({"assumptions": [item]}) == {"assumptions": [written_out]}


def test_a_near_name_is_offered_whatever_its_case_and_length() -> None:
    known = ["depends_on", "type"]
    assert did_you_mean("dependsOn", known) == "did you mean 'depends_on'?"
    assert did_you_mean("TYPE", known) == "did you mean 'type'?"
    assert did_you_mean("x" * 100_000, known) == ""
