"""Recorded executions done again, with the other side gone: the same, whatever way they went."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook_defs.execution import ExecutionRecord, Status
from runbook_defs.replay import Cause, ReplayReport, Verdict
from runbook_factory import database
from runbook_factory.execution_log import get_execution, list_executions
from runbook_factory.instance import stored_instance
from runbook_factory.request import ReplayRef
from step_ops.gate import Mode
from tests.scripted import Asked, Says, Server
from tests.workshop import Workshop

TOKEN = "token-that-is-nowhere-7319"


def fetch(server: Server, step_id: str, path: str = "/a", **more: Any) -> dict[str, Any]:
    inputs = {"source_url": f"{server.url}{path}", **more.pop("inputs", {})}
    return {"id": step_id, "type": "data_fetch", "inputs": inputs, **more}


def post(server: Server, step_id: str, path: str = "/post", **more: Any) -> dict[str, Any]:
    inputs = {"endpoint": f"{server.url}{path}", "method": "POST", "body": more.pop("body", {})}
    return {"id": step_id, "type": "api_call", "inputs": inputs, **more}


def told(report: ReplayReport) -> str:
    """All that deviates, for the message of a test that fails."""
    return "\n".join(
        f"{step.step}: {step.cause} {each.what} {each.details}"
        for step in report.steps
        for each in step.deviations
    ) + "\n".join(each.what for each in report.deviations)


def verified(workshop: Workshop, server: Server, record: ExecutionRecord) -> ReplayReport:
    """Replays it, with the server stopped, and finds no difference."""
    server.stop()
    asked = len(server.asked)
    report = workshop.replay(record.id)
    assert report.verdict is Verdict.VERIFIED, told(report)
    assert workshop.replayed.status is record.status
    assert len(server.asked) == asked
    assert report.exchanges == report.recorded
    return report


def test_an_execution_of_every_kind_of_step_way_replays_the_same(workshop: Workshop, server: Server) -> None:
    tries: dict[str, int] = {}

    def flaky(asked: Asked) -> Says:
        tries[asked.path] = tries.get(asked.path, 0) + 1
        return Says({"n": 1}) if asked.path != "/items/2" or tries[asked.path] > 1 else Says(status=503)

    server.answers = {
        "/flaky": [Says(status=503), Says(status=503, headers={"Retry-After": "0"}), Says({"n": 3})],
        **{f"/items/{n}": flaky for n in range(5)},
        "/gone": Says(status=404),
        "/poll": [Says({"state": "busy"}), Says({"state": "done"})],
    }
    quick = {"max_attempts": 4, "delay_seconds": 0.01, "jitter": 0.5}
    workshop.runbook(
        [
            fetch(server, "flaky", "/flaky", retry=quick, outputs={"n": "$.n"}),
            fetch(
                server,
                "items",
                "/items/${item}",
                for_each=[0, 1, 2, 3, 4],
                max_parallel=3,
                retry=quick,
                outputs={"n": "$.n"},
                depends_on=["flaky"],
            ),
            fetch(server, "gone", "/gone", on_failure="log_and_continue", depends_on=["items"]),
            fetch(server, "never", when="${steps.flaky.outputs.n > 5}", depends_on=["flaky"]),
            fetch(server, "after_never", depends_on=["never"]),
            {
                "id": "poll",
                "type": "wait",
                "depends_on": ["gone"],
                "inputs": {
                    "request": {"url": f"{server.url}/poll"},
                    "until": "${response.body.state == 'done'}",
                    "every_seconds": 0.1,
                    "deadline_seconds": 5,
                },
                "outputs": {"waited": "$.waited_seconds"},
            },
        ],
        kpis={"max_duration_seconds": 60, "found": {"value": "${sum(steps.items.outputs.n)}", "min": 5}},
    )
    record = workshop.live()
    assert record.status is Status.SUCCESS, record.reason
    report = verified(workshop, server, record)
    assert [(step.step, step.status, step.attempts) for step in report.steps] == [
        ("flaky", "success", 3),
        ("items", "success", 2),
        ("gone", "failed", 1),
        ("never", "skipped", 1),
        ("after_never", "skipped", 1),
        ("poll", "success", 1),
    ]


def test_an_aborted_execution_ran_the_same_steps_whatever_the_threads_do(
    workshop: Workshop, server: Server
) -> None:
    server.answers = {
        "/slow404": Says(status=404, delay=0.4),
        "/a": Says(1),
        "/late": Says(1, delay=1.0),
    }
    workshop.runbook(
        [
            fetch(server, "fails", "/slow404"),
            fetch(server, "one"),
            fetch(server, "two", depends_on=["one"]),
            fetch(server, "three", depends_on=["two"]),
            fetch(server, "slow", "/late"),
            fetch(server, "never", depends_on=["slow"]),
        ]
    )
    record = workshop.live()
    assert record.status is Status.ABORTED
    ends = {step.step_id: step.status.value for step in record.steps}
    assert (ends["three"], ends["slow"], ends["never"]) == ("success", "success", "not_run")
    verified(workshop, server, record)
    for _ in range(5):
        assert workshop.replay(record.id).verdict is Verdict.VERIFIED


@pytest.mark.parametrize(
    ("answer", "more"),
    [
        (Says(status=500), {}),
        (Says(text="no json"), {}),
        (Says({"other": 1}), {"outputs": {"n": "$.n"}}),
        (Says(1, delay=1.0), {"timeout_seconds": 0.3}),
        (Says(1, delay=0.2), {"timeout_seconds": 0.5, "for_each": [1, 2, 3]}),
    ],
)
def test_a_failure_fails_the_same_way_again(
    workshop: Workshop, server: Server, answer: Says, more: dict[str, Any]
) -> None:
    server.answers = {"/a": answer}
    workshop.runbook([fetch(server, "a", **more), fetch(server, "b", depends_on=["a"])])
    record = workshop.live()
    report = verified(workshop, server, record)
    assert report.status == record.status


def test_a_wait_that_its_timeout_ended_ends_there_again(workshop: Workshop, server: Server) -> None:
    server.answers = {"/a": Says({"done": False})}
    request = {"url": f"{server.url}/a"}
    poll = {"request": request, "until": "${response.body.done}", "every_seconds": 0.1, "deadline_seconds": 9}
    workshop.runbook([{"id": "w", "type": "wait", "inputs": poll, "timeout_seconds": 0.55}])
    record = workshop.live()
    assert "longer than its timeout" in record.reason
    verified(workshop, server, record)


def test_a_denied_assumption_and_a_missed_kpi_replay_as_they_were(workshop: Workshop, server: Server) -> None:
    server.answers = {"/a": Says({"n": 1})}
    kpis = {"enough": {"value": "${steps.a.outputs.n}", "min": 2}}
    workshop.runbook(
        [fetch(server, "a", outputs={"n": "$.n"})], assumptions=[{"checked_by_hand": True}], kpis=kpis
    )
    denied, missed = workshop.live(deny=("checked_by_hand",)), workshop.live()
    assert (denied.status, missed.status) == (Status.ABORTED, Status.FAILURE)
    verified(workshop, server, denied)
    assert "denied by" in workshop.replayed.reason
    verified(workshop, server, missed)


def test_a_test_execution_replays_too(workshop: Workshop, server: Server) -> None:
    workshop.runbook(
        [
            fetch(server, "a", retry={"max_attempts": 2, "delay_seconds": 30, "jitter": 0.2}),
            post(
                server,
                "b",
                body={"at": "${execution.started_at}", "s": "${execution.duration}"},
                depends_on=["a"],
            ),
        ],
        assumptions=[{"ok": True}],
    )
    steps = {"a": [{"status": 503}, {"status": 200, "json": 1, "takes_seconds": 4}], "b": [{"status": 200}]}
    record = workshop.test(steps=steps, assumptions={"ok": True}, clock="2025-11-29T09:00:00Z")
    assert record.status is Status.SUCCESS, record.reason
    sent = record.steps[1].exchanges[0]["request"]["json"]
    assert sent["at"] == "2025-11-29T09:00:00+00:00"
    verified(workshop, server, record)


def test_the_token_is_nowhere_in_the_database_and_the_replay_verifies(
    workshop: Workshop, server: Server, query: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a request header, echoed in a body, carried on into the next request."""
    monkeypatch.setenv("API_TOKEN", TOKEN)
    server.answers = {
        "/a": lambda asked: Says({"you": asked.headers["authorization"], "again": [TOKEN, "x"]}),
        "/post": lambda asked: Says({"got": asked.json()}),
    }
    workshop.runbook(
        [
            fetch(server, "a", inputs={"auth_token": "${API_TOKEN}"}, outputs={"again": "$.again[0]"}),
            post(
                server,
                "b",
                body={"t": "${steps.a.outputs.again}", "u": "id=${steps.a.outputs.again}&x"},
                depends_on=["a"],
                outputs={"got": "$.got"},
            ),
        ]
    )
    record = workshop.live()
    assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert server.asked[1].json()["t"] == TOKEN
    monkeypatch.delenv("API_TOKEN")
    verified(workshop, server, record)
    tables = ("runbook_executions", "runbook_step_logs", "definitions", "bodies")
    dump = "".join(str(row) for name in tables for row in query(f"SELECT t::text FROM runbook.{name} t"))
    dump += "".join(bytes(row[0]).decode("latin-1") for row in query("SELECT bytes FROM runbook.bodies"))
    assert TOKEN not in dump
    assert "secret:API_TOKEN#" in dump
    assert record.secrets.keys() == {"API_TOKEN"}


def test_a_replay_is_an_execution_linked_to_its_original(workshop: Workshop, server: Server) -> None:
    server.answers = {"/a": Says(1)}
    workshop.runbook([fetch(server, "a")])
    record = workshop.live()
    verified(workshop, server, record)
    stored = get_execution(database.engine(workshop.project), workshop.replayed.id)
    assert (stored.mode, stored.parent_id) == ("replay", record.id)
    assert stored.replay is not None
    assert stored.replay["verdict"] == "verified"
    assert workshop.dagster_tags["dagster/parent_run_id"] == record.id
    assert workshop.dagster_tags["runbook/replay"] == "verified"
    with stored_instance(workshop.project) as instance:
        run = instance.get_run_by_id(stored.id)
        assert run is not None
        assert run.parent_run_id == record.id


def test_two_replays_give_the_same_report_to_the_byte(workshop: Workshop, server: Server) -> None:
    server.answers = {"/a": lambda asked: Says({"id": "0d9a2ab4-9f1b-4c8e-9e53-6c6a3f3b7a11", "n": 3})}
    workshop.runbook(
        [
            fetch(server, "a", outputs={"all": "$"}),
            post(
                server, "b", body={"run": "${execution.id}", "s": "${execution.duration}"}, depends_on=["a"]
            ),
        ]
    )
    record = workshop.live()
    reports = [json.dumps(workshop.replay(record.id).as_json()) for _ in range(2)]
    assert reports[0] == reports[1]
    assert record.id not in reports[0]


def test_a_backtest_leaves_nothing_behind(workshop: Workshop, server: Server) -> None:
    server.answers = {"/a": Says(1)}
    workshop.runbook([fetch(server, "a")])
    record = workshop.live()
    before = len(list_executions(database.engine(workshop.project), modes=("live", "replay", "backtest")))
    report = workshop.replay(record.id, against="rb-test")
    assert report.verdict is Verdict.VERIFIED
    after = len(list_executions(database.engine(workshop.project), modes=("live", "replay", "backtest")))
    assert after == before


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.REPLAY])
def test_a_replay_and_nothing_else_names_an_execution(workshop: Workshop, server: Server, mode: Mode) -> None:
    server.answers = {"/a": Says([1])}
    workshop.runbook([fetch(server, "a")])
    record = workshop.live()
    asked = len(server.asked)
    named = ReplayRef(execution=record.id) if mode is Mode.LIVE else None
    refused = workshop.live(mode=mode, replay=named)
    assert refused.status is Status.ABORTED
    assert refused.reason == "a replay, and nothing else, names the execution that it does again"
    assert len(server.asked) == asked


def test_another_definition_deviates_at_the_step_that_changed(workshop: Workshop, server: Server) -> None:
    server.answers = {"/a": Says({"n": 1}), "/post": Says({})}

    def steps(factor: int) -> list[dict[str, Any]]:
        return [
            fetch(server, "a", outputs={"n": "$.n"}),
            post(server, "b", body={"n": f"${{steps.a.outputs.n * {factor}}}"}, depends_on=["a"]),
            post(server, "c", body={"n": "${steps.a.outputs.n}"}, depends_on=["b"]),
        ]

    workshop.runbook(steps(1))
    record = workshop.live()
    workshop.runbook(steps(2))
    report = workshop.replay(record.id, against="rb-test")
    assert (report.verdict, report.at) == (Verdict.DEVIATED, "b")
    step = report.steps[1]
    assert step.cause is Cause.DEFINITION
    assert any("steps.a.outputs.n * 2" in line for line in step.because)
    assert any("body.n: expected 1, is 2" in line for each in step.deviations for line in each.details)
    assert report.steps[2].cause is None


def test_a_call_that_was_never_recorded_is_told_and_one_not_made_any_more(
    workshop: Workshop, server: Server
) -> None:
    server.answers = {"/a": Says(1), "/b": Says(1)}
    workshop.runbook([fetch(server, "a")])
    record = workshop.live()
    workshop.runbook([fetch(server, "a", "/b"), fetch(server, "new", depends_on=["a"])])
    report = workshop.replay(record.id, against="rb-test")
    assert report.at == "a"
    said = [each.what for each in report.steps[0].deviations]
    assert any("to which no answer is recorded" in what for what in said)
    assert any("does not send" in what for what in said)
    assert report.steps[1].cause is Cause.DEFINITION
    workshop.runbook([fetch(server, "other")])
    gone = workshop.replay(record.id, against="rb-test").steps[-1]
    assert (gone.step, gone.status) == ("a", "gone")
    assert gone.deviations[0].what == "is no longer in the definition"


def test_a_sql_query_replays_without_its_database(
    workshop: Workshop, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "crm.db") as database_:
        database_.execute("CREATE TABLE orders (id INTEGER, state TEXT)")
        database_.executemany("INSERT INTO orders VALUES (?, ?)", [(n, "open" * 300) for n in range(30)])
    workshop.file("connections.yaml", "connections:\n  crm: {type: sql, url: '${CRM_URL}'}\n")
    monkeypatch.setenv("CRM_URL", f"sqlite:///{tmp_path}/crm.db")
    query = {"connection": "crm", "query": "SELECT * FROM orders WHERE id > :least", "params": {"least": 3}}
    workshop.runbook([{"id": "q", "type": "sql_query", "inputs": query, "outputs": {"n": "$.count"}}])
    record = workshop.live()
    assert record.steps[0].outputs == {"n": 26}, record.reason
    (tmp_path / "crm.db").unlink()
    monkeypatch.delenv("CRM_URL")
    verified(workshop, server, record)


def test_an_answer_made_into_text_keeps_the_order_of_its_keys(workshop: Workshop, server: Server) -> None:
    server.answers = {"/a": Says({"zeta_long": 1, "a": {"y": 1, "x": 2}}), "/post": Says({})}
    workshop.runbook(
        [
            fetch(server, "a", outputs={"all": "$"}),
            post(server, "b", body={"text": "all: ${steps.a.outputs.all}"}, depends_on=["a"]),
        ]
    )
    verified(workshop, server, workshop.live())
