"""Executions take their secrets from the sources that the deployment names, at each step anew."""

import json
from typing import Any

import pytest

from runbook_defs.execution import ExecutionRecord
from tests.scripted import Asked, Says, Server
from tests.workshop import Workshop

STEP = {"type": "api_call", "inputs": {"endpoint": "/x", "auth_token": "${RB_TOKEN}"}, "effect": "read"}


def deployed(workshop: Workshop, server: Server) -> Any:
    """A runbook of two steps that send the secret, and a deployment with a folder of files."""
    workshop.runbook([{"id": "a", **STEP}, {"id": "b", **STEP, "depends_on": ["a"]}])
    token = workshop.file("mounted/RB_TOKEN", "first-value-7f3a\n")
    connections = f"connections:\n  api: {{type: http, base_url: '{server.url}'}}\n"
    workshop.file("connections.yaml", f"{connections}secrets:\n  - files: {token.parent}\n")
    return token


def test_a_secret_that_is_rotated_between_two_steps_is_seen_by_the_second(
    workshop: Workshop, server: Server
) -> None:
    token = deployed(workshop, server)

    def rotate(asked: Asked) -> Says:
        token.write_text("second-value-1b2c\n", encoding="utf-8")
        return Says({})

    server.answers["/x"] = rotate
    record = workshop.live()
    assert record.status.value == "success", record.reason
    sent = [asked.headers["authorization"] for asked in server.asked]
    assert sent == ["Bearer first-value-7f3a", "Bearer second-value-1b2c"]
    assert "value-" not in told(record)


def test_a_source_without_the_secret_ends_the_execution_before_its_first_step(
    workshop: Workshop, server: Server
) -> None:
    token = deployed(workshop, server)
    token.unlink()
    record = workshop.live()
    assert record.status.value == "aborted"
    assert record.reason == f"secret 'RB_TOKEN' has no file in {token.parent}"
    assert server.asked == []


def test_a_deployment_file_that_is_wrong_ends_the_execution_with_its_place(
    workshop: Workshop, server: Server
) -> None:
    deployed(workshop, server)
    workshop.file("connections.yaml", "secrets: [files: 1]\n")
    reason = workshop.live().reason
    assert reason == "connections.yaml: secrets.0.files: Input should be a valid string"


def test_a_test_on_a_fixture_asks_no_source(workshop: Workshop, server: Server) -> None:
    deployed(workshop, server).unlink()
    answers = {name: [{"status": 200, "json": {}}] for name in ("a", "b")}
    record = workshop.test(steps=answers, secrets={"RB_TOKEN": "fake-value-123"})
    assert record.status.value == "success", record.reason


def test_a_key_figure_never_shows_a_secret_that_a_step_got_back(
    workshop: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(workshop, server).write_text("90351726448113\n", encoding="utf-8")
    step = {"id": "a", **STEP, "outputs": {"pin": "$.pin", "text": "$.text"}}
    sent = {
        "id": "b",
        "type": "metrics_publish",
        "depends_on": ["a"],
        "inputs": {"metrics": {"pin": "${steps.a.outputs.pin}"}, "connection": "push"},
    }
    kpis = {
        "pin": {"value": "${steps.a.outputs.pin}", "min": 1},
        "text": {"value": "${steps.a.outputs.text}", "equals": "x"},
    }
    workshop.runbook([step, sent], kpis=kpis)
    file = workshop.project.connections
    push = f"  push: {{type: pushgateway, url: '{server.url}/metrics'}}\nsecrets:"
    file.write_text(file.read_text().replace("secrets:", push))
    said = Says({"pin": 90351726448113, "text": "." * 50 + "is 90351726448113 so"})
    monkeypatch.setattr(server, "answer", lambda asked: said)  # a Pushgateway's path has the execution's id
    record = workshop.live()
    assert [(kpi.name, kpi.met) for kpi in record.kpis] == [("pin", True), ("text", False)]
    shown = repr(record) + repr(workshop.events)
    assert "secret:RB_TOKEN#" in str(record.kpis[0].value)
    assert "secret:RB_TOKEN#" in str(record.measures["pin"])
    assert "9035172" not in shown, shown


def told(record: ExecutionRecord) -> str:
    return json.dumps([vars(step) for step in record.steps], default=str)
