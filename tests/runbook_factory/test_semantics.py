"""What becomes of an execution, in our record and in Dagster's, for each way it can go."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from dagster import DagsterRunStatus

from runbook_defs.execution import ExecutionRecord, Status, StepStatus
from tests.workshop import Workshop


def fetch(step_id: str, **more: Any) -> dict[str, Any]:
    return {
        "id": step_id,
        "type": "data_fetch",
        "inputs": {"source_url": "https://x.test/a"},
        **more,
    }


def statuses(record: ExecutionRecord) -> dict[str, str]:
    return {step.step_id: step.status.value for step in record.steps}


def test_an_execution_in_which_all_goes_well_is_a_success(workshop: Workshop) -> None:
    workshop.runbook([fetch("a", outputs={"n": "$.n"})])
    record = workshop.test(steps={"a": [{"status": 200, "json": {"n": 5}}]})
    assert record.status is Status.SUCCESS
    assert record.steps[0].outputs == {"n": 5}
    assert workshop.dagster_status is DagsterRunStatus.SUCCESS


def test_a_failed_step_aborts_and_what_is_left_is_not_run(workshop: Workshop) -> None:
    workshop.runbook([fetch("a"), fetch("b", depends_on=["a"]), fetch("c", depends_on=["b"])])
    record = workshop.test(steps={"a": [{"status": 500}]})
    assert record.status is Status.ABORTED
    assert statuses(record) == {"a": "failed", "b": "not_run", "c": "not_run"}
    assert record.reason == "step 'a' failed: GET https://x.test/a answered 500"
    assert workshop.dagster_status is DagsterRunStatus.FAILURE
    assert workshop.dagster_tags["runbook/reason"] == record.reason
    assert workshop.dagster_tags["runbook/status"] == "aborted"


def test_the_last_step_aborts_too(workshop: Workshop) -> None:
    workshop.runbook([fetch("a"), fetch("b", depends_on=["a"])])
    record = workshop.test(steps={"a": [{"status": 200, "json": 1}], "b": [{"status": 500}]})
    assert record.status is Status.ABORTED
    assert workshop.dagster_status is DagsterRunStatus.FAILURE


def test_log_and_continue_gives_null_outputs_and_a_green_step(workshop: Workshop) -> None:
    after = fetch("b", depends_on=["a"])
    after["inputs"] = {"source_url": "https://x.test/?n=${default(steps.a.outputs.n, 'none')}"}
    workshop.runbook([fetch("a", outputs={"n": "$.n"}, on_failure="log_and_continue"), after])
    record = workshop.test(steps={"a": [{"status": 500}], "b": [{"status": 200, "json": 1}]})
    assert record.status is Status.SUCCESS
    assert statuses(record) == {"a": "failed", "b": "success"}
    assert record.steps[0].outputs == {"n": None}
    assert record.steps[1].inputs["source_url"] == "https://x.test/?n=none"
    assert workshop.dagster_status is DagsterRunStatus.SUCCESS


def test_a_step_whose_when_is_false_is_skipped_with_those_behind_it(workshop: Workshop) -> None:
    workshop.runbook(
        [
            fetch("a", outputs={"n": "$.n"}),
            fetch("b", depends_on=["a"], when="${steps.a.outputs.n > 10}"),
            fetch("c", depends_on=["b"]),
            fetch("d", depends_on=["c"], when="${steps.b.status == 'skipped'}"),
        ]
    )
    answer = {"status": 200, "json": {"n": 1}}
    record = workshop.test(steps={"a": [answer], "d": [answer]})
    assert record.status is Status.SUCCESS
    assert statuses(record) == {"a": "success", "b": "skipped", "c": "skipped", "d": "success"}
    assert workshop.dagster_status is DagsterRunStatus.SUCCESS


def test_a_missed_kpi_is_a_failure_after_every_step_ran(workshop: Workshop) -> None:
    workshop.runbook([fetch("a"), fetch("b", depends_on=["a"])], kpis={"max_duration_seconds": 10})
    slow = {"status": 200, "json": 1, "takes_seconds": 6}
    record = workshop.test(steps={"a": [slow], "b": [slow]})
    assert record.status is Status.FAILURE
    assert record.duration_seconds == 12
    assert record.reason == "missed KPI max_duration_seconds"
    assert statuses(record) == {"a": "success", "b": "success"}
    assert workshop.dagster_status is DagsterRunStatus.FAILURE


def test_an_own_kpi_explains_itself_when_it_is_missed(workshop: Workshop) -> None:
    workshop.runbook(
        [fetch("a", outputs={"n": "$.n"})],
        kpis={"enough": {"value": "${steps.a.outputs.n * 2}", "min": 20}},
    )
    record = workshop.test(steps={"a": [{"status": 200, "json": {"n": 4}}]})
    assert record.status is Status.FAILURE
    (kpi,) = record.kpis
    assert (kpi.value, kpi.limit, kpi.met) == (8, 20, False)
    assert any("steps.a.outputs.n" in line and "4" in line for line in kpi.explanation)


def test_an_unmet_assumption_aborts_before_any_step(workshop: Workshop) -> None:
    workshop.runbook([fetch("a")], assumptions=[{"approved": True}])
    record = workshop.test(steps={"a": [{"status": 200}]}, assumptions={"approved": False})
    assert record.status is Status.ABORTED
    assert statuses(record) == {"a": "not_run"}
    assert "'approved'" in record.reason
    assert workshop.dagster_status is DagsterRunStatus.FAILURE


def test_a_fixture_that_does_not_state_an_assumption_is_told_so(workshop: Workshop) -> None:
    workshop.runbook([fetch("a")], assumptions=[{"approved": True}])
    record = workshop.test(steps={"a": [{"status": 200}]})
    assert record.reason == "assumption 'approved' is not met: the fixture does not state it"


def test_a_checked_assumption_shows_each_part_when_it_is_false(workshop: Workshop) -> None:
    check = {"id": "small", "check": "${limit < 10}"}
    workshop.runbook([fetch("a")], inputs={"limit": {"type": "integer"}}, assumptions=[check], kpis={})
    record = workshop.test(steps={"a": [{"status": 200}]}, inputs={"limit": 12})
    assert record.status is Status.ABORTED
    assert "limit  = 12" in record.reason


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({}, "the fixture has no exchanges for it"),
        ({"a": [{"rows": []}]}, "is sql"),
    ],
)
def test_a_call_that_the_fixture_does_not_tell_of_is_an_error(
    workshop: Workshop, steps: dict[str, Any], message: str
) -> None:
    workshop.runbook([fetch("a")])
    record = workshop.test(steps=steps)
    failure = record.steps[0].failure
    assert failure is not None
    assert failure["type"] == "cassette"
    assert message in failure["message"]


def test_an_exchange_that_nobody_used_fails_the_execution(workshop: Workshop) -> None:
    workshop.runbook([fetch("a")])
    answer = {"status": 200, "json": 1}
    record = workshop.test(steps={"a": [answer, answer], "b": [answer]})
    assert record.status is Status.FAILURE
    assert "1 exchange for step 'a'" in record.reason
    assert "1 exchange for step 'b'" in record.reason


def test_virtual_time_is_the_critical_path(workshop: Workshop) -> None:
    workshop.runbook(
        [fetch("a"), fetch("b"), fetch("c", depends_on=["a", "b"]), fetch("d", depends_on=["a"])]
    )

    def takes(seconds: float) -> list[dict[str, Any]]:
        return [{"status": 200, "json": 1, "takes_seconds": seconds}]

    record = workshop.test(steps={"a": takes(10), "b": takes(30), "c": takes(5), "d": takes(7)})
    begins = {step.step_id: step.started_virtual for step in record.steps}
    assert begins == {"a": 0, "b": 0, "c": 30, "d": 10}
    assert record.duration_seconds == 35


def test_a_jsonpath_that_matches_nothing_fails_the_step_with_what_there_is(
    workshop: Workshop,
) -> None:
    workshop.runbook([fetch("a", outputs={"n": "$.data.n"})])
    record = workshop.test(steps={"a": [{"status": 200, "json": {"m": 1}}]})
    failure = record.steps[0].failure
    assert failure is not None
    assert failure["message"] == "$.data.n matches nothing in the result"
    assert failure["hint"] == "the result has the keys 'm'"


def test_a_division_by_zero_fails_the_step_that_divides(workshop: Workshop) -> None:
    step = fetch("a")
    step["inputs"] = {"source_url": "https://x.test/${1 / (2 - 2)}"}
    workshop.runbook([step])
    record = workshop.test(steps={})
    failure = record.steps[0].failure
    assert failure is not None
    assert failure["type"] == "expression"
    assert "zero" in failure["message"]


class _Together(BaseHTTPRequestHandler):
    barrier = threading.Barrier(2, timeout=20)

    def do_GET(self) -> None:
        self.barrier.wait()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


def test_independent_steps_of_a_live_run_overlap(workshop: Workshop) -> None:
    """Each of two answers is only given when both were asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Together) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        steps = [fetch("a"), fetch("b"), fetch("c", depends_on=["a", "b"])]
        for step in steps:
            step["inputs"] = {"source_url": url}
        _Together.barrier = threading.Barrier(2, timeout=20)
        steps[2] = {
            "id": "c",
            "type": "schema_check",
            "depends_on": ["a", "b"],
            "inputs": {"entities": [], "schema": "any.json"},
        }
        workshop.runbook(steps)
        workshop.file("runbooks/rb-test/any.json", "{}")
        record = workshop.live()
        server.shutdown()
    assert record.status is Status.SUCCESS, record.reason
    a, b, c = record.steps
    assert a.started_at is not None and b.completed_at is not None and c.started_at is not None
    assert a.started_at < b.completed_at
    assert c.started_at >= b.completed_at
    assert workshop.dagster_status is DagsterRunStatus.SUCCESS


def test_denying_an_assumption_of_a_live_run_aborts_it_under_the_actor(workshop: Workshop) -> None:
    workshop.runbook([fetch("a")], assumptions=[{"approved": True}])
    record = workshop.live(deny=("approved",))
    assert record.status is Status.ABORTED
    assert record.actor is not None
    assert f"denied by {record.actor.name}" in record.reason
    assert record.steps[0].status is StepStatus.NOT_RUN


def test_a_missing_input_of_a_live_run_is_recorded_as_its_reason(workshop: Workshop) -> None:
    step = fetch("a")
    step["inputs"] = {"source_url": "${NEVER_SET_ANYWHERE}"}
    workshop.runbook([step])
    record = workshop.live()
    assert record.status is Status.ABORTED
    assert record.reason == "input 'NEVER_SET_ANYWHERE' of rb-test is missing"
    assert workshop.dagster_status is DagsterRunStatus.FAILURE
