"""The runbook API over REST and GraphQL: good requests, bad ones, and the same one twice."""

import hashlib
import json
import time
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from dagster_graphql import DagsterGraphQLClient
from sqlalchemy import text

from runbook_factory import database
from tests.served import Running


def test_an_execution_is_answered_at_its_end_with_all_of_it(running: Running) -> None:
    answer = running.execute(inputs={"word": "hello"})
    found = answer.json()
    assert answer.status_code == 200, answer.text
    assert found["status"] == "success"
    assert found["actor"] == "admin"
    assert [step["step"] for step in found["steps"]] == ["fetch", "rest"]
    assert "hello" in [request.headers["x-word"] for request in running.world.asked]
    again = running.ask("GET", f"/api/executions/{found['id']}").json()
    assert again == found


def test_without_waiting_there_is_an_id_at_once(running: Running) -> None:
    answer = running.ask("POST", "/api/runbooks/execute?wait=false", json={"runbook_id": "quick"})
    assert answer.status_code == 202
    place = answer.headers["location"]
    deadline = time.monotonic() + 30
    while running.ask("GET", place).json()["status"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert running.ask("GET", place).json()["status"] == "success"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"runbook_id": "none"}, 404, "there is no runbook 'none'"),
        ({"runbook_id": "../quick"}, 404, "no runbook"),
        ({"runbook_id": "quick", "inputs": {"number": "x"}}, 422, "is not an integer"),
        ({"runbook_id": "quick", "inputs": {"wodr": "x"}}, 422, "has no input 'wodr'"),
        ({"runbook_id": "quick", "inputs": []}, 422, "inputs"),
        ({"runbook_id": "quick", "deny": ["none"]}, 422, "no assumption 'none'"),
        ({"runbook": "quick"}, 422, "runbook_id"),
        ({"runbook_id": "quick", "wait_seconds": 1e9}, 422, "wait_seconds"),
        ([], 422, "the body"),
    ],
)
def test_a_bad_request_is_refused_with_a_sentence(
    running: Running, body: Any, status: int, said: str
) -> None:
    answer = running.ask("POST", "/api/runbooks/execute", json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]["message"] + answer.json()["error"].get("hint", "")


def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(running: Running) -> None:
    path = "/api/runbooks/execute"
    json_ = {"Content-Type": "application/json"}
    large = b'{"runbook_id": "' + b"x" * 50_000_000 + b'"}'
    parts = (large[at : at + 65536] for at in range(0, 9_000_000, 65536))
    for body in (large, parts):
        with suppress(OSError):  # or the server hangs up while it is sent
            assert running.ask("POST", path, data=body, headers=json_).status_code in {400, 413, 422}
    assert running.ask("GET", "/health/ready", None).status_code == 200


def test_one_key_is_one_execution(running: Running) -> None:
    key = {"Idempotency-Key": "order-17"}
    body = {"runbook_id": "quick", "inputs": {"word": "once"}}
    first = running.ask("POST", "/api/runbooks/execute", json=body, headers=key)
    second = running.ask("POST", "/api/runbooks/execute", json=body, headers=key)
    assert first.json()["id"] == second.json()["id"]
    assert sum(asked.headers.get("x-word") == "once" for asked in running.world.asked) == 1
    other = running.ask(
        "POST", "/api/runbooks/execute", json={**body, "inputs": {"word": "twice"}}, headers=key
    )
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "key_used"
    theirs = running.ask("POST", "/api/runbooks/execute", "operator", json=body, headers=key)
    assert theirs.json()["id"] != first.json()["id"]


def test_a_sensitive_input_reaches_the_world_and_no_reader(running: Running) -> None:
    value = f"canary-{uuid4()}"
    answer = running.execute("guarded", inputs={"customer": value}, wait=True)
    found = answer.json()
    assert found["status"] == "success", found
    assert any(asked.headers.get("x-customer") == value for asked in running.world.asked)
    assert found["inputs"]["customer"].startswith("secret:customer#")
    query = '{{ runOrError(runId: "{}") {{ ... on Run {{ runConfigYaml }} }} }}'.format(found["id"])
    shown = [answer.text, json.dumps(running.graphql(query))]
    for path in ("", "/events", "/artifacts"):
        shown.append(running.ask("GET", f"/api/executions/{found['id']}{path}").text)
    replay = running.ask("POST", f"/api/executions/{found['id']}/replay")
    assert replay.json()["replay"]["verdict"] == "verified"
    assert all(value not in text for text in [*shown, replay.text])
    for wrong in ("short", 4711):
        refused = running.execute("guarded", inputs={"customer": wrong})
        assert refused.status_code in {400, 422}, refused.text
        assert refused.json()["error"]["code"] == "bad_inputs"


def test_a_key_stands_for_a_sensitive_input_without_telling_it(running: Running) -> None:
    body = {"runbook_id": "guarded", "inputs": {"customer": "canary-of-the-key"}}
    ask = partial(running.ask, "POST", "/api/runbooks/execute", headers={"Idempotency-Key": "guarded-1"})
    first = ask(json=body)
    assert ask(json=body).json()["id"] == first.json()["id"]
    assert ask(json={**body, "inputs": {"customer": "canary-of-another"}}).status_code == 409
    plain = {"runbook": "guarded", "inputs": body["inputs"], "deny": []}
    guess = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).digest()
    with database.engine(running.project).connect() as connection:
        stored = {bytes(row[0]) for row in connection.execute(text("SELECT digest FROM runbook.requests"))}
    assert stored and guess not in stored


def test_a_long_execution_is_cancelled(running: Running) -> None:
    execution = running.execute("slow", wait=False).json()["id"]
    path = f"/api/executions/{execution}"
    deadline = time.monotonic() + 30
    while not any(step["step"] == "rest" for step in running.ask("GET", path).json()["steps"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert running.ask("POST", f"{path}/cancel").status_code == 202
    while running.ask("GET", path).json()["status"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ended = running.ask("GET", path).json()
    assert (ended["status"], ended["reason"]) == ("aborted", "cancelled")
    assert running.ask("POST", f"{path}/cancel").json()["error"]["code"] == "not_running"


def test_a_replay_gives_its_verdict_and_says_when_there_is_none(running: Running) -> None:
    execution = running.execute().json()["id"]
    found = running.ask("POST", f"/api/executions/{execution}/replay").json()
    assert (found["mode"], found["parent_id"]) == ("replay", execution)
    assert found["replay"]["verdict"] == "verified"
    again = running.ask("POST", f"/api/executions/{found['id']}/replay")
    assert again.status_code == 409
    assert "itself a replay" in again.json()["error"]["message"]


def test_a_denied_assumption_aborts_the_execution(running: Running) -> None:
    found = running.execute(deny=["looked_at"]).json()
    assert found["status"] == "aborted"
    assert "denied by admin" in found["reason"]


def test_a_client_that_leaves_while_it_waits_does_not_stop_what_it_started(running: Running) -> None:
    import requests

    body = {"runbook_id": "slow", "inputs": {"word": "left-alone"}}
    headers = {"Authorization": f"Bearer {running.tokens['admin']}"}
    with pytest.raises(requests.Timeout):
        requests.post(f"{running.url}/api/runbooks/execute", json=body, headers=headers, timeout=(5, 3))
    assert any(asked.headers.get("x-word") == "left-alone" for asked in running.world.asked)
    (left, *_) = running.ask("GET", "/api/executions?runbook_id=slow").json()["executions"]
    assert left["status"] == "running"
    assert running.ask("POST", f"/api/executions/{left['id']}/cancel").status_code == 202


def test_an_unknown_route_and_method_are_told_of(running: Running) -> None:
    assert running.ask("GET", "/api/none").json()["error"]["code"] == "not_found"
    assert running.ask("DELETE", "/api/runbooks").status_code in {404, 405}
    assert running.ask("GET", "/api/executions?status=well").status_code == 422
    assert running.ask("GET", "/api/executions/zzz").status_code == 404


# GraphQL

SEED = """
mutation Execute($id: ID!, $inputs: JSON) {
  executeRunbook(id: $id, inputs: $inputs) {
    id runbookId status startedAt completedAt stepLogs { stepId status } kpis
  }
}
"""


def test_the_operations_of_the_specification(running: Running) -> None:
    runbook = running.graphql(
        "query($id: ID!) { runbook(id: $id) { id name version owner legalBasis steps { id type } } }",
        id="quick",
    )["data"]["runbook"]
    assert runbook["legalBasis"] == "none needed"
    assert [step["id"] for step in runbook["steps"]] == ["fetch", "rest"]
    started = running.graphql(SEED, id="quick", inputs={"word": "gql"})["data"]["executeRunbook"]
    assert started["status"] == "RUNNING"
    query = "query($id: ID!) { runbookExecution(id: $id) { id status stepLogs { stepId } kpis } }"
    deadline = time.monotonic() + 30
    while True:
        found = running.graphql(query, id=started["id"])["data"]["runbookExecution"]
        if found["status"] != "RUNNING":
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert found["status"] == "SUCCESS"
    assert [item["name"] for item in found["kpis"]] == ["found"]
    replay = running.graphql(
        "mutation($id: ID!) { replayExecution(executionId: $id) { id mode status } }", id=started["id"]
    )["data"]["replayExecution"]
    assert (replay["mode"], replay["status"]) == ("replay", "RUNNING")


def test_dagsters_own_client_launches_the_same_job(running: Running) -> None:
    host, port = running.url.removeprefix("http://").split(":")
    headers = {"Authorization": f"Bearer {running.tokens['operator']}"}
    client = DagsterGraphQLClient(host, port_number=int(port), headers=headers)
    run = client.submit_job_execution("quick", run_config={"inputs": {"word": "client"}})
    deadline = time.monotonic() + 30
    while client.get_run_status(run).value not in {"SUCCESS", "FAILURE"}:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert running.ask("GET", f"/api/executions/{run}").json()["status"] == "success"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("{" + "a{" * 60 + "b" + "}" * 61, "levels deep"),
        ("{ " + " ".join(f"a{n}: runbooks {{ id }}" for n in range(3000)) + " }", "fields"),
        ("{ " + "x " * 30_000 + "}", "cannot be read"),
        ("{", "cannot be read"),
        ("{ none }", "Cannot query field"),
    ],
)
def test_a_query_that_is_too_much_or_wrong_is_refused(running: Running, query: str, said: str) -> None:
    answer = running.ask("POST", "/graphql", json={"query": query})
    assert answer.status_code == 400
    assert said in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "body", [[{"query": "{ __typename }"}], "text", {"query": 7}, {"query": "{a}", "variables": []}]
)
def test_a_body_that_is_no_operation_is_refused(running: Running, body: Any) -> None:
    assert running.ask("POST", "/graphql", json=body).status_code == 400


def test_a_get_reads_and_never_changes(running: Running) -> None:
    asked = {"query": "{ runbooks { id } }"}
    assert running.ask("GET", "/graphql", params=asked).status_code == 200
    asked = {"query": 'mutation { executeRunbook(id: "quick") { id } }'}
    assert running.ask("GET", "/graphql", params=asked).status_code == 405


def test_errors_hold_no_stack_traces(running: Running) -> None:
    answer = running.graphql('mutation { executeRunbook(id: "none") { id } }')
    assert answer["errors"][0]["message"] == "there is no runbook 'none'"
    assert "stack" not in str(answer)


# Health and metrics


def test_health_needs_no_token_and_metrics_do(running: Running) -> None:
    assert running.ask("GET", "/health/live", None).json() == {"status": "ok"}
    assert running.ask("GET", "/health/ready", None).json() == {"status": "ok"}
    assert running.ask("GET", "/metrics", None).status_code == 401
    running.execute()
    text = running.ask("GET", "/metrics").text
    assert 'runbook_executions_total{runbook="quick",status="success"}' in text
    assert 'runbook_kpi{kpi="found",runbook="quick"} 3.0' in text
    assert 'route="/api/runbooks/execute"' in text
