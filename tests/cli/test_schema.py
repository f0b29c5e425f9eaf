"""`rb schema`: stock validators accept what is good and refuse mistakes of shape."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runbook_defs.model import (
    Assumption,
    Defaults,
    Input,
    Kpis,
    Numeric,
    OwnKpi,
    Probe,
    Retry,
    Runbook,
    Schedule,
    Step,
    Tolerance,
)
from runbook_defs.problems import Code
from runbook_defs.source import load_document
from runbook_factory.editor_schema import Subject, build_schema
from runbook_factory.key_sentences import KEYS
from step_ops.registry import step_types

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"
GOOD = [*sorted((ROOT / "runbooks").glob("*/runbook.yaml")), *sorted((CORPUS / "valid").glob("*.yaml"))]

# The codes whose mistakes are of shape: a schema sees every one of them.
SEEN = {
    Code.UNKNOWN_KEY,
    Code.MISSING_KEY,
    Code.WRONG_VALUE,
    Code.UNKNOWN_STEP_TYPE,
    Code.DUPLICATE_DEPENDENCY,
    Code.UNKNOWN_STEP_INPUT,
    Code.MISSING_STEP_INPUT,
}
# Codes that are also about rules between two values and about meaning: it sees some, at least these.
PARTLY = {
    Code.WRONG_STEP_INPUT,
    Code.EXPRESSION,
    Code.JSONPATH,
    Code.CRON,
    Code.KPI,
    Code.ASSUMPTION,
    Code.INPUT,
    Code.TOLERANCE,
}
ALSO_SEEN = {
    "RB209-negative-seconds",
    "RB209-until-a-flag",
    "RB209-wrong-value",
    "RB401-when-is-text",
    "RB401-until-is-text",
    "RB402-expression",
    "RB402-tolerance-at-a-name",
    "RB403-four-fields",
    "RB403-nickname",
    "RB501-fixed-text",
    "RB501-negative-duration",
    "RB501-negative-rate",
    "RB501-no-limit",
    "RB501-rate-in-percent",
    "RB502-expect-is-text",
    "RB502-false",
    "RB502-fixed-check",
    "RB502-not-stated",
    "RB502-two-kinds",
    "RB503-reserved-name",
    "RB503-wrong-default",
    "RB504-ignore-false",
    "RB504-no-rule",
    "RB504-numeric-of-nothing",
    "RB504-two-rules",
}
Rb = Callable[..., Any]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The schema of runbooks."""
    return build_schema(Subject.RUNBOOK, step_types=step_types())


@pytest.fixture(scope="module")
def runbook(schema: dict[str, Any]) -> Draft202012Validator:
    """A stock validator with it."""
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def data_of(path: Path) -> Any:
    """The data as an editor reads it: YAML 1.2, where `yes` is a text."""
    document = load_document(path)
    assert document.readable
    return json.loads(json.dumps(document.data))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_good_runbook_is_accepted(path: Path, runbook: Draft202012Validator) -> None:
    assert [error.message for error in runbook.iter_errors(data_of(path))] == []


def bad(*, seen: bool) -> list[Path]:
    found = []
    for path in sorted((CORPUS / "invalid").glob("RB[1-8]*.yaml")):
        if (path.name.split("-")[0] in SEEN or path.stem in ALSO_SEEN) == seen:
            found.append(path)
    return found


@pytest.mark.parametrize("path", bad(seen=True), ids=lambda path: path.stem)
def test_a_mistake_of_shape_is_refused(path: Path, runbook: Draft202012Validator) -> None:
    assert not runbook.is_valid(data_of(path))


def test_a_mistake_of_meaning_is_left_to_rb_validate(runbook: Draft202012Validator) -> None:
    refused = {path.stem for path in bad(seen=False) if not runbook.is_valid(data_of(path))}
    assert {stem.split("-")[0] for stem in refused} <= PARTLY, refused


def test_the_lists_name_files_there_are() -> None:
    there = {path.stem for path in (CORPUS / "invalid").glob("*.yaml")}
    assert there >= ALSO_SEEN


SMALL = {
    "id": "x",
    "name": "x",
    "version": "1.0.0",
    "owner": "x",
    "legal_basis": "x",
    "steps": [{"id": "a", "type": "schema_check", "inputs": {"entities": [], "schema": "x.json"}}],
}


@pytest.mark.parametrize(
    ("step_type", "inputs", "good"),
    [
        ("schema_check", {"entities": "${orders}", "schema": "x.json"}, True),
        ("schema_check", {"entities": "orders", "schema": "x.json"}, False),
        ("schema_check", {"entities": [], "schema": "x.json", "max_invalid_ratio": "${ratio}"}, True),
        ("schema_check", {"entities": [], "schema": "x.json", "max_invalid_ratio": 2}, False),
        ("metrics_publish", {"metrics": {"a": "${1}"}}, True),
        ("metrics_publish", {"metrics": "${all}"}, True),
        ("metrics_publish", {"metrics": {"a": "1"}}, False),
        ("data_fetch", {"source_url": "/x", "paging": {"next": "$.next"}}, True),
        ("data_fetch", {"source_url": "/x", "paging": {"next": "next"}}, False),
        ("data_fetch", {"source_url": "/x", "auth_token": "${TOKEN}", "method": "${how}"}, True),
        ("data_fetch", {"source_url": "/x", "auth_token": 7}, False),
        ("api_call", {"endpoint": "/graphql", "query": "x.graphql", "entities": ["a variable"]}, True),
        ("ui_screenshot", {"url": "/x", "selector": "#a", "viewport": {"width": "${w}"}}, True),
        ("ui_screenshot", {"url": "/x", "selector": "#a", "viewport": {"width": 1}}, False),
        ("ui_screenshot", {"url": "/x", "selector": "#a", "viewport": {"depth": 1}}, False),
    ],
)
def test_an_input_may_be_an_expression_and_is_else_of_its_type(
    runbook: Draft202012Validator, step_type: str, inputs: Any, good: bool
) -> None:
    steps = [{"id": "a", "type": step_type, "inputs": inputs}]
    assert runbook.is_valid({**SMALL, "steps": steps}) is good


@pytest.mark.parametrize(
    ("item", "good"),
    [
        ({"checked": True}, True),
        ("checked", True),
        ({"id": "checked", "check": "${1 > 0}"}, True),
        ({"id": "checked", "attested": True}, True),
        ({"checked": "yes"}, False),
        ({"two-words": True}, False),
        ("two words", False),
        ({"id": "checked"}, False),
        ({}, False),
        (7, False),
    ],
)
def test_an_assumption_has_a_short_form(runbook: Draft202012Validator, item: Any, good: bool) -> None:
    assert runbook.is_valid({**SMALL, "assumptions": [item]}) is good


def test_a_step_type_of_another_package_is_known_with_its_inputs() -> None:
    from step_ops.step_type import Effect, Result, StepConfig, StepType

    class Greeting(StepConfig):
        """Whom to greet."""

        name: str
        times: int = 1

    greet = StepType(
        name="greet", config=Greeting, run=lambda config, gate: Result(value=None), effect=Effect.READ
    )
    schema = build_schema(Subject.RUNBOOK, step_types={**step_types(), "greet": greet})
    validator = Draft202012Validator(schema)
    for inputs, good in (({"name": "Ann", "times": "${n}"}, True), ({"nam": "Ann"}, False), ({}, False)):
        steps = [{"id": "a", "type": "greet", "inputs": inputs}]
        assert validator.is_valid({**SMALL, "steps": steps}) is good


def test_every_key_is_described(schema: dict[str, Any]) -> None:
    parts = schema["$defs"]
    goals = (Assumption, Kpis, OwnKpi, Probe, Schedule, Tolerance, Numeric)
    models = (Runbook, Input, *goals, Step, Retry, Defaults)
    for model in models:
        keys = (schema if model is Runbook else parts[model.__name__])["properties"]
        assert keys.keys() == KEYS[model.__name__].keys()
        assert all(keys[name]["description"] for name in keys), model


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    text = json.dumps(schema)
    named = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert named
    assert named <= schema["$defs"].keys()


def test_packs_and_fixtures_have_schemas_too(rb: Rb) -> None:
    pack = Draft202012Validator(json.loads(rb("schema", "--pack").out))
    fixture = Draft202012Validator(json.loads(rb("schema", "--fixture").out))
    packs = sorted((ROOT / "acceptance").glob("*/acceptance.yml"))
    assert packs
    for path in packs:
        assert [error.message for error in pack.iter_errors(data_of(path))] == []
    golden = json.loads(
        (ROOT / "acceptance/rb-001-entity-enrichment/fixtures/golden-scenarios.json").read_text()
    )
    assert [error.message for error in fixture.iter_errors(golden)] == []
    assert fixture.is_valid({"scenarios": [golden, golden]})
    assert not fixture.is_valid({"scenarios": []})
    assert not fixture.is_valid({**golden, "cloc": "2025-01-01T00:00:00Z"})
    assert not pack.is_valid({"scenarios": [{"name": "x"}]})


def test_it_is_written_to_a_file_or_printed(rb: Rb, tmp_path: Path) -> None:
    path = tmp_path / "runbook.schema.json"
    answer = rb("schema", "--output", str(path))
    assert (answer.out, answer.code) == (f"wrote {path}\n", 0)
    assert path.read_text() == rb("schema").out
    assert json.loads(path.read_text())["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_what_cannot_be_written_or_meant_is_said(rb: Rb, tmp_path: Path) -> None:
    answer = rb("schema", "--output", str(tmp_path / "nowhere" / "x.json"))
    assert (answer.code, answer.out) == (2, "")
    assert "x.json: no such file or directory" in answer.err
    assert rb("schema", "--pack", "--fixture").code == 2
