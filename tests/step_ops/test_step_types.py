"""The built-in step types, each against the gate with a told or a real other side."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.world import MissingPart, pushgateway
from step_ops.cassette import Cassette, Fixture
from step_ops.connections import Connections, PushgatewayConnection
from step_ops.errors import ErrorType, StepError
from step_ops.files import Folder
from step_ops.gate import Gate
from step_ops.live import LiveWorld
from step_ops.playback import Playback
from step_ops.redaction import Redactor
from step_ops.registry import step_types
from step_ops.secrets import FixtureSecrets
from step_ops.step_type import Effect, Result


class Shelf:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.baselines: dict[str, bytes] = {}

    def keep(self, name: str, data: bytes) -> str:
        self.kept[name] = data
        return f"shelf/{name}"

    def baseline(self, name: str) -> bytes | None:
        return self.baselines.get(name)


def told(tmp_path: Path, *exchanges: dict[str, Any], **more: Any) -> Gate:
    """A gate whose world is a fixture with these exchanges."""
    fixture = Fixture.model_validate({"format": 1, "runbook": "r", "steps": {"s": list(exchanges)}, **more})
    world = Playback(Cassette(fixture, tmp_path / "fixture.json"), step="s", begins=0, files=Folder(tmp_path))
    return Gate(world, runbook="r", execution="e-1", redactor=Redactor(b"k" * 32), shelf=Shelf())


def run(step_type: str, gate: Gate, **inputs: Any) -> Result:
    kind = step_types()[step_type]
    return kind.run(kind.parse(inputs), gate)


def failure(step_type: str, gate: Gate, **inputs: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        run(step_type, gate, **inputs)
    return caught.value


URL = "https://x.test/a"
TOKEN = "t0ken-that-nobody-may-see"


@pytest.mark.parametrize("before", [40, 60, 75, 290, 490])
def test_a_message_that_quotes_the_start_of_an_answer_masks_before_it_cuts(
    tmp_path: Path, before: int
) -> None:
    text = "." * before + TOKEN + " and more" * 100
    (tmp_path / "number.json").write_text('{"type": "integer"}')
    graphql = {"status": 200, "json": {"errors": [{"message": text}]}}
    tries: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
        ("data_fetch", [{"status": 500, "text": text}], {"source_url": URL}),
        ("data_fetch", [{"status": 200, "text": text}], {"source_url": URL}),
        ("data_fetch", [{"status": 200, "text": f"{{}}\n{text}"}], {"source_url": URL, "format": "ndjson"}),
        ("api_call", [graphql], {"endpoint": URL, "query": "{ a }"}),
        ("schema_check", [], {"entities": [text], "schema": "number.json", "max_invalid_ratio": 0}),
    ]
    for step_type, exchanges, inputs in tries:
        gate = told(tmp_path, *exchanges, secrets={"T": TOKEN})
        gate.secret("T")
        error = failure(step_type, gate, **inputs)
        shown = f"{error.message} {error.details}"
        assert "t0ken" not in shown, (step_type, shown)


# data_fetch


def test_data_fetch_parses_json_csv_and_ndjson(tmp_path: Path) -> None:
    assert run("data_fetch", told(tmp_path, {"status": 200, "json": [1]}), source_url=URL).value == [1]
    csv = {"status": 200, "text": "a,b\n1,x\n2,y\n"}
    assert run("data_fetch", told(tmp_path, csv), source_url=URL, format="csv").value == [
        {"a": "1", "b": "x"},
        {"a": "2", "b": "y"},
    ]
    lines = {"status": 200, "text": '{"a": 1}\n\n{"a": 2}\n'}
    assert run("data_fetch", told(tmp_path, lines), source_url=URL, format="ndjson").value == [
        {"a": 1},
        {"a": 2},
    ]


def test_data_fetch_names_the_line_that_is_not_json(tmp_path: Path) -> None:
    error = failure(
        "data_fetch", told(tmp_path, {"status": 200, "text": "{}\n<p>"}), source_url=URL, format="ndjson"
    )
    assert error.type is ErrorType.DATA
    assert error.message.startswith("line 2: ")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"Retry-After": "²"}, None),
        ({"Retry-After": "soon"}, None),
    ],
)
def test_a_date_to_come_back_at_is_read_by_the_answers_own_clock(
    tmp_path: Path, headers: dict[str, str], seconds: float | None
) -> None:
    error = failure("data_fetch", told(tmp_path, {"status": 503, "headers": headers}), source_url=URL)
    assert error.retry_after == seconds


@pytest.mark.parametrize("body", ["<html>login</html>", "NaN", "", "[" * 100_000])
def test_data_fetch_says_what_came_in_place_of_json(tmp_path: Path, body: str) -> None:
    page = {"status": 200, "text": body, "headers": {"Content-Type": "text/html"}}
    error = failure("data_fetch", told(tmp_path, page), source_url=URL)
    assert error.type is ErrorType.DATA
    assert "is not JSON (text/html)" in error.message


def test_data_fetch_joins_the_lists_of_its_pages(tmp_path: Path) -> None:
    pages = [
        {"status": 200, "json": {"data": {"items": [1, 2]}, "next": "https://x.test/a?page=2"}},
        {
            "status": 200,
            "json": {"data": {"items": [3]}, "next": None},
            "expect": {"url": "https://x.test/a?page=2"},
        },
    ]
    gate = told(tmp_path, *pages)
    result = run("data_fetch", gate, source_url=URL, paging={"next": "$.next"})
    assert result.value == {"data": {"items": [1, 2, 3]}, "next": None}
    assert len(gate.exchanges) == 2


def test_data_fetch_pages_by_cursor(tmp_path: Path) -> None:
    pages = [
        {"status": 200, "json": {"items": [1], "cursor": "c2"}},
        {"status": 200, "json": {"items": [2]}, "expect": {"params": {"after": "c2", "size": 1}}},
    ]
    result = run(
        "data_fetch",
        told(tmp_path, *pages),
        source_url=URL,
        params={"size": 1},
        paging={"next": "$.cursor", "param": "after"},
    )
    assert result.value["items"] == [1, 2]


def test_data_fetch_does_not_follow_a_page_to_another_host(tmp_path: Path) -> None:
    page = {"status": 200, "json": {"next": "https://evil.test/a"}}
    error = failure("data_fetch", told(tmp_path, page), source_url=URL, paging={"next": "$.next"})
    assert error.type is ErrorType.POLICY


def test_data_fetch_ends_pages_that_lead_back_to_themselves(tmp_path: Path) -> None:
    page = {"status": 200, "json": {"next": URL}}
    error = failure("data_fetch", told(tmp_path, page), source_url=URL, paging={"next": "$.next"})
    assert "paging does not end" in error.message


def test_an_error_answer_has_its_status_its_words_and_when_to_come_back(tmp_path: Path) -> None:
    answer = {"status": 503, "text": "busy", "headers": {"Retry-After": "7"}}
    error = failure("data_fetch", told(tmp_path, answer), source_url=URL)
    assert error.type is ErrorType.HTTP
    assert error.details == {"status": 503, "answer": "busy"}
    assert error.retry_after == 7


@pytest.mark.parametrize(
    ("told_error", "kind"),
    [("timeout", "timeout"), ("refused", "connection"), ("reset", "connection"), ("tls", "connection")],
)
def test_a_fixture_can_tell_of_each_way_a_connection_fails(
    tmp_path: Path, told_error: str, kind: str
) -> None:
    assert failure("data_fetch", told(tmp_path, {"error": told_error}), source_url=URL).type == kind


# schema_check


def schema(tmp_path: Path, content: Any) -> str:
    (tmp_path / "s.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return "s.json"


def test_schema_check_parts_valid_from_invalid_and_counts(tmp_path: Path) -> None:
    name = schema(tmp_path, {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}})
    records = [{"id": "a"}, {"id": 1}, {}]
    result = run("schema_check", told(tmp_path), entities=records, schema=name)
    assert result.value["valid"] == [{"id": "a"}]
    assert [(item["record"], item["path"]) for item in result.value["errors"]] == [(1, "$.id"), (2, "$")]
    assert result.records is not None
    assert (result.records.checked, result.records.passed, result.records.failed) == (3, 1, 2)


def test_schema_check_fails_over_the_share_that_is_allowed(tmp_path: Path) -> None:
    name = schema(tmp_path, {"type": "string"})
    records = ["a", 1]
    run("schema_check", told(tmp_path), entities=records, schema=name, max_invalid_ratio=0.5)
    error = failure("schema_check", told(tmp_path), entities=records, schema=name, max_invalid_ratio=0.4)
    assert error.type is ErrorType.SCHEMA_VALIDATION


def test_schema_check_fetches_no_schema_from_elsewhere(tmp_path: Path) -> None:
    name = schema(tmp_path, {"$ref": "http://127.0.0.1:9/other.json"})
    error = failure("schema_check", told(tmp_path), entities=[1], schema=name)
    assert error.type is ErrorType.FILE
    assert "127.0.0.1:9" in error.message


@pytest.mark.parametrize("content", ["{", '{"type": "no-such-type"}', "[]", '"text"'])
def test_schema_check_says_when_the_file_is_no_schema(tmp_path: Path, content: str) -> None:
    error = failure("schema_check", told(tmp_path), entities=[1], schema=schema(tmp_path, content))
    assert error.type is ErrorType.FILE
    assert "s.json is not" in error.message


# api_call


def test_api_call_sends_the_query_file_with_the_other_inputs_as_variables(tmp_path: Path) -> None:
    (tmp_path / "q.graphql").write_text("query Q($n: Int!) { double(n: $n) }")
    body = {"query": "query Q($n: Int!) { double(n: $n) }", "variables": {"n": 4}}
    exchange = {"status": 200, "json": {"data": {"double": 8}}, "expect": {"method": "POST", "body": body}}
    result = run("api_call", told(tmp_path, exchange), endpoint="/graphql", query="q.graphql", n=4)
    assert result.value == {"data": {"double": 8}}


@pytest.mark.parametrize("status", [200, 400])
def test_api_call_takes_graphql_errors_for_a_failure(tmp_path: Path, status: int) -> None:
    (tmp_path / "q.graphql").write_text("{ a }")
    exchange = {"status": status, "json": {"errors": [{"message": "no such field"}, {}]}}
    error = failure("api_call", told(tmp_path, exchange), endpoint="/graphql", query="q.graphql")
    assert error.type is ErrorType.GRAPHQL
    assert "no such field (and 1 more)" in error.message


def test_api_call_speaks_rest(tmp_path: Path) -> None:
    exchange = {"status": 204, "expect": {"method": "PUT", "url": "/things/1", "body": {"on": True}}}
    result = run("api_call", told(tmp_path, exchange), endpoint="/things/1", method="PUT", body={"on": True})
    assert result.value is None


def test_api_call_is_a_write_unless_it_only_asks() -> None:
    effect = step_types()["api_call"].effect
    assert callable(effect)
    assert effect({}, "query Q { a }") is Effect.READ
    assert effect({}, "{ a }") is Effect.READ
    assert effect({}, "mutation M { a }") is Effect.WRITE
    assert effect({}, "query Q { a } mutation M { a }") is Effect.WRITE
    assert effect({}, "not graphql") is Effect.WRITE
    assert effect({"method": "GET"}, "") is Effect.READ
    assert effect({"method": "POST"}, "") is Effect.WRITE


# metrics_publish


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    try:
        with pushgateway() as url:
            yield url
    except MissingPart as missing:
        pytest.skip(str(missing))


def test_metrics_arrive_at_a_real_pushgateway_under_runbook_and_execution(
    tmp_path: Path, gateway: str
) -> None:
    import threading

    world = LiveWorld(
        connections=Connections({"pushgateway": PushgatewayConnection(type="pushgateway", url=gateway)}),
        secrets=FixtureSecrets({}),
        files=Folder(tmp_path),
        cancelled=threading.Event(),
    )
    gate = Gate(world, runbook="rb-x/1", execution="e 1", redactor=Redactor(b"k" * 32), shelf=Shelf())
    run("metrics_publish", gate, metrics={"entities_processed": 195, "share": 0.5})
    pushed = requests.get(f"{gateway}/metrics", timeout=5).text
    assert 'entities_processed{execution="e 1",instance="",job="rb-x/1"} 195' in pushed
    assert 'share{execution="e 1",instance="",job="rb-x/1"} 0.5' in pushed
    assert gate.measures == {"entities_processed": 195, "share": 0.5}


def test_a_pushgateway_that_refuses_fails_the_step(tmp_path: Path) -> None:
    error = failure("metrics_publish", told(tmp_path, {"status": 400}), metrics={"a": 1})
    assert error.type is ErrorType.HTTP


@pytest.mark.parametrize(
    "metrics", [{}, {"a b": 1}, {"a": "1"}, {"a": None}, {"a": True}, {"a": float("nan")}]
)
def test_metrics_that_are_none_are_refused(tmp_path: Path, metrics: dict[str, Any]) -> None:
    assert failure("metrics_publish", told(tmp_path), metrics=metrics).type is ErrorType.CONFIG
