"""Steps that wait, and assumptions that ask the world: in runbooks, and in the record."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from dagster import DagsterRunStatus

from runbook_defs.execution import AssumptionChecked, ExecutionRecord, Status
from runbook_factory import database
from runbook_factory.catalog import InvalidRunbook, load_runbook
from runbook_factory.execution_log import get_execution, list_executions
from tests.runbook_factory.test_processes import RUN
from tests.workshop import Workshop

UNTIL = "${response.body.state == wanted}"
UP = {"id": "up", "probe": {"type": "data_fetch", "inputs": {"source_url": "https://x.test/up"}}}


def probe(expect: str = "${response.ready}", **more: Any) -> dict[str, Any]:
    return {"id": "up", "probe": {**UP["probe"], "expect": expect, **more}}  # type: ignore[dict-item]


def fetch(step_id: str, **more: Any) -> dict[str, Any]:
    return {"id": step_id, "type": "data_fetch", "inputs": {"source_url": "https://x.test/a"}, **more}


def polling(**more: Any) -> dict[str, Any]:
    inputs = {"request": {"endpoint": "/jobs/1"}, "until": UNTIL, "deadline_seconds": 60, **more}
    outputs = {"state": "$.response.body.state", "attempts": "$.attempts"}
    return {"id": "ready", "type": "wait", "inputs": inputs, "outputs": outputs}


def state(name: str, **more: Any) -> dict[str, Any]:
    return {"status": 200, "json": {"state": name}, **more}


WANTED = {"inputs": {"wanted": {"type": "string", "default": "done"}}}


# Steps that wait


def test_a_step_polls_in_a_runbook_and_the_record_has_the_expression_as_text(workshop: Workshop) -> None:
    workshop.runbook([polling(), fetch("after", depends_on=["ready"])], **WANTED)
    record = workshop.test(
        steps={"ready": [state("new"), state("done")], "after": [{"status": 200, "json": 1}]}
    )
    assert record.status is Status.SUCCESS, record.reason
    step = record.steps[0]
    assert step.inputs["until"] == UNTIL
    assert step.outputs == {"state": "done", "attempts": 2}
    assert step.summary == "done after 2 attempts (5s)"
    assert (step.seconds, record.steps[1].started_virtual, record.duration_seconds) == (5, 5, 5)
    stored = get_execution(database.engine(workshop.project), record.id).steps[0]
    assert stored.inputs == step.inputs
    assert len(stored.exchanges) == 2


def test_a_deadline_that_passes_fails_the_step_with_what_was_missing(workshop: Workshop) -> None:
    workshop.runbook([polling()], **WANTED)
    record = workshop.test(steps={"ready": [state("stuck", takes_seconds=60)]})
    failure = record.steps[0].failure
    assert failure is not None
    assert failure["type"] == "timeout"
    assert 'response.body.state  = "stuck" | wanted  = "done"' in failure["message"]
    assert record.status is Status.ABORTED


def test_each_item_of_a_repeated_wait_has_its_own_expression(workshop: Workshop) -> None:
    step = polling(until="${response.body.state == item}")
    workshop.runbook([{**step, "for_each": ["a", "b"]}])
    record = workshop.test(steps={"ready[0]": [state("b"), state("a")], "ready[1]": [state("b")]})
    assert record.status is Status.SUCCESS, record.reason
    assert record.steps[0].outputs["attempts"] == [2, 1]
    assert [item["until"] for item in record.steps[0].inputs["for_each"]] == [step["inputs"]["until"]] * 2


def test_a_timeout_of_the_step_ends_a_polling(workshop: Workshop) -> None:
    workshop.runbook([{**polling(), "timeout_seconds": 7}], **WANTED)
    record = workshop.test(steps={"ready": [state("new"), state("new")]})
    failure = record.steps[0].failure
    assert failure is not None
    assert "its timeout of 7 s" in failure["message"]


def test_a_secret_that_an_answer_echoes_is_not_in_the_reason(workshop: Workshop) -> None:
    step = polling(request={"endpoint": "/jobs/1", "auth_token": "${API_TOKEN}"})
    workshop.runbook([step], **WANTED)
    record = workshop.test(
        steps={"ready": [state("token-123456 is wrong", takes_seconds=60)]},
        secrets={"API_TOKEN": "token-123456"},
    )
    assert "secret:API_TOKEN#" in record.reason
    assert "token-123456" not in str(record)


# Assumptions that ask


def test_a_probe_that_is_met_lets_the_steps_begin_after_it(
    workshop: Workshop, query: Callable[..., list[Any]]
) -> None:
    workshop.runbook([fetch("a")], assumptions=[probe()])
    record = workshop.test(
        steps={
            "assumptions.up": [{"status": 200, "json": {"ready": True}, "takes_seconds": 3}],
            "a": [{"status": 200, "json": 1, "takes_seconds": 4}],
        }
    )
    assert record.status is Status.SUCCESS, record.reason
    (result,) = record.assumptions
    assert (result.id, result.met, result.how) == ("up", True, "probed")
    assert (record.steps[0].started_virtual, record.duration_seconds) == (3, 7)
    stored = get_execution(database.engine(workshop.project), record.id)
    assert [step.step_id for step in stored.steps] == ["a"]
    (asked,) = stored.probes
    assert asked.step_id == "assumptions.up"
    assert asked.exchanges[0]["request"]["url"] == "https://x.test/up"
    assert asked.exchanges[0]["json"] == {"ready": True}
    rows = query(
        "SELECT position, status FROM runbook.runbook_step_logs WHERE execution_id = :id ORDER BY position",
        id=record.id,
    )
    assert [tuple(row) for row in rows] == [(-1, "success"), (0, "success")]


def aborted(workshop: Workshop, answers: list[dict[str, Any]], **more: Any) -> ExecutionRecord:
    record = workshop.test(steps={"assumptions.up": answers}, **more)
    assert record.status is Status.ABORTED
    assert [step.status.value for step in record.steps] == ["not_run"]
    assert workshop.dagster_status is DagsterRunStatus.FAILURE
    return record


def test_a_probe_that_is_not_met_aborts_before_any_step_and_says_why(workshop: Workshop) -> None:
    workshop.runbook([fetch("a")], assumptions=[probe("${response.workers >= 3}")])
    record = aborted(workshop, [{"status": 200, "json": {"workers": 1}}])
    assert record.reason == (
        "assumption 'up' is not met: it is false: response.workers >= 3  = false | response.workers  = 1"
    )


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([{"status": 503}], "its probe failed: http: GET https://x.test/up answered 503"),
        ([{"error": "refused"}], "its probe failed: connection: GET https://x.test/up: connection refused"),
        ([], "its probe failed: cassette: step 'assumptions.up' sent GET https://x.test/up"),
        ([{"status": 200, "json": {}}], "there is no key 'ready'"),
    ],
)
def test_a_probe_that_fails_aborts_too(
    workshop: Workshop, answers: list[dict[str, Any]], reason: str
) -> None:
    workshop.runbook([fetch("a")], assumptions=[probe()])
    record = aborted(workshop, answers)
    assert record.reason.startswith(f"assumption 'up' is not met: {reason}")


def test_all_probes_are_asked_in_turn_and_all_that_is_unmet_is_told(workshop: Workshop) -> None:
    second = {**probe(), "id": "also_up"}
    workshop.runbook([fetch("a")], assumptions=[probe(), second])
    no = [{"status": 200, "json": {"ready": False}, "takes_seconds": 2}]
    record = workshop.test(steps={"assumptions.up": no, "assumptions.also_up": no})
    assert [result.met for result in record.assumptions] == [False, False]
    assert "'up'" in record.reason and "'also_up'" in record.reason
    assert [item.started_virtual for item in record.probes] == [0, 2]
    assert record.duration_seconds == 4


def test_the_world_is_not_asked_when_something_else_is_not_met(workshop: Workshop) -> None:
    workshop.runbook([fetch("a")], assumptions=[probe(), {"approved": True}])
    record = aborted(workshop, [], assumptions={"approved": False})
    assert [result.id for result in record.assumptions] == ["approved"]
    assert record.probes == ()


@pytest.mark.parametrize("kind", [probe(), {"id": "up", "check": "${true}"}])
def test_an_assumption_of_any_kind_can_be_denied(workshop: Workshop, kind: dict[str, Any]) -> None:
    workshop.runbook([fetch("a")], assumptions=[kind])
    record = workshop.live(deny=("up",))
    assert record.status is Status.ABORTED
    assert "denied by" in record.reason


def test_a_probe_may_wait_until_the_world_is_ready(workshop: Workshop) -> None:
    inputs = {
        "request": {"url": "https://x.test/up"},
        "until": "${response.status == 200}",
        "deadline_seconds": 60,
    }
    workshop.runbook(
        [fetch("a")], assumptions=[probe("${response.attempts < 5}", type="wait", inputs=inputs)]
    )
    record = workshop.test(
        steps={
            "assumptions.up": [{"status": 503}, {"error": "refused"}, {"status": 200}],
            "a": [{"status": 200, "json": 1}],
        }
    )
    assert record.status is Status.SUCCESS, record.reason
    assert record.steps[0].started_virtual == 10
    assert record.probes[0].inputs["until"] == "${response.status == 200}"


def test_the_secret_of_a_probe_is_masked_wherever_its_answer_is_quoted(workshop: Workshop) -> None:
    inputs = {"source_url": "https://x.test/up", "auth_token": "${API_TOKEN}"}
    workshop.runbook([fetch("a")], assumptions=[probe("${response.said == 'yes'}", inputs=inputs)])
    record = aborted(
        workshop,
        [{"status": 200, "json": {"said": "who is token-123456?"}}],
        secrets={"API_TOKEN": "token-123456"},
    )
    assert "secret:API_TOKEN#" in record.reason
    told = [event.result for event in workshop.events if isinstance(event, AssumptionChecked)]
    assert "secret:API_TOKEN#" in told[0].reason
    for text in (str(record), str(workshop.events), str(workshop.dagster_events), str(workshop.dagster_tags)):
        assert "token-123456" not in text


def test_a_file_that_only_a_probe_names_belongs_to_the_definition(workshop: Workshop) -> None:
    asked = probe("${response.data.up}", type="api_call", inputs={"endpoint": "/q", "query": "up.graphql"})
    workshop.file("runbooks/rb-test/up.graphql", "{ up }")
    workshop.runbook([fetch("a")], assumptions=[asked])
    before = load_runbook(workshop.project, "rb-test")
    assert before.files == {"up.graphql": b"{ up }"}
    workshop.file("runbooks/rb-test/up.graphql", "{ up down }")
    assert load_runbook(workshop.project, "rb-test").digest != before.digest
    workshop.file("runbooks/rb-test/up.graphql", "mutation { up }")
    with pytest.raises(InvalidRunbook) as caught:
        load_runbook(workshop.project, "rb-test")
    assert "has the effect write" in caught.value.problems[0].message


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"ready": true}')

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_live_probe_asks_the_real_world(workshop: Workshop, server: str) -> None:
    inputs = {"source_url": f"{server}/up"}
    workshop.runbook([fetch("a", inputs=inputs)], assumptions=[probe(inputs=inputs)])
    record = workshop.live()
    assert record.status is Status.SUCCESS, record.reason
    assert record.probes[0].exchanges[0]["status"] == 200


def test_what_a_probe_lacks_of_the_deployment_is_said_before_anything_is_asked(workshop: Workshop) -> None:
    inputs = {"endpoint": "/up", "auth_token": "${NEVER_SET_ANYWHERE}"}
    workshop.runbook([fetch("a")], assumptions=[probe(type="api_call", inputs=inputs)])
    record = workshop.live()
    assert "secret 'NEVER_SET_ANYWHERE' is not set" in record.reason
    assert "there is no connection 'api'" in record.reason
    assert record.probes == ()


def test_an_interrupt_ends_a_probe_that_waits(workshop: Workshop) -> None:
    """The probe would wait an hour for an answer of a server that has none."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        inputs = {
            "request": {"url": f"http://127.0.0.1:{silent.getsockname()[1]}/"},
            "until": "${response.body}",
            "deadline_seconds": 3600,
        }
        asked = probe("${response}", type="wait", inputs=inputs)
        workshop.runbook([fetch("a")], id="rb-hangs", assumptions=[asked])
        command = [sys.executable, "-c", RUN, str(workshop.project.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            held, _ = silent.accept()
            with held:
                process.send_signal(signal.SIGINT)
                assert process.stdout is not None
                assert "ExecutionFinished" in process.stdout.read()
    newest = list_executions(database.engine(workshop.project), runbook_id="rb-hangs")[0]
    record = get_execution(database.engine(workshop.project), newest.id)
    assert (record.status, record.reason) == (Status.ABORTED, "cancelled")
    assert [step.status.value for step in record.steps] == ["not_run"]
    assert record.probes[0].failure is not None
    assert record.probes[0].failure["type"] == "cancelled"
