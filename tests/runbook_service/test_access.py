"""Who may do what, tried through every way in: REST, GraphQL, websocket, and Dagster's own routes."""

import asyncio
import json
from typing import Any

import pytest
import requests
import websockets

from runbook_factory import database
from runbook_factory.audit.log import last_entries
from runbook_service.identities.roles import RIGHTS, Right, Role
from runbook_service.identities.tokens import create_token, revoke_token
from tests.served import TESTS, Running

NOBODY = "nobody"
EVERYBODY = [NOBODY, *(role.value for role in Role)]


def has(who: str, right: Right) -> bool:
    return who != NOBODY and right in RIGHTS[Role(who)]


def token(who: str) -> str | None:
    return None if who == NOBODY else who


@pytest.fixture
def execution(running: Running) -> str:
    if not running.done:
        answer = running.execute(inputs={"word": "a-word"})
        assert answer.json()["status"] == "success", answer.text
        running.done = answer.json()["id"]
    return running.done


@pytest.mark.parametrize("who", EVERYBODY)
def test_rest_gives_each_role_its_rights_and_no_more(running: Running, execution: str, who: str) -> None:
    def status(method: str, path: str, **more: Any) -> int:
        return running.ask(method, path, token(who), **more).status_code

    refused = 401 if who == NOBODY else 403

    def expected(right: Right, good: int = 200) -> int:
        return good if has(who, right) else refused

    no_wait = {"wait": False}
    assert status("GET", "/api/runbooks") == expected(Right.VIEW)
    assert status("GET", "/api/runbooks/quick") == expected(Right.VIEW)
    assert status("GET", "/api/executions") == expected(Right.VIEW)
    assert status("GET", f"/api/executions/{execution}") == expected(Right.VIEW)
    assert status("GET", f"/api/executions/{execution}/artifacts") == expected(Right.READ_VALUES)
    body = {"runbook_id": "quick", **no_wait}
    assert status("POST", "/api/runbooks/execute", json=body) == expected(Right.RUN, 202)
    replay = f"/api/executions/{execution}/replay"
    assert status("POST", replay, json=no_wait) == expected(Right.REPLAY, 202)
    assert status("POST", replay, json={"live": True, **no_wait}) == expected(Right.REPLAY_LIVE, 202)
    cancel = f"/api/executions/{execution}/cancel"
    assert status("POST", cancel) == expected(Right.CANCEL, 409)  # it has ended
    assert status("GET", "/api/openapi.json") == expected(Right.VIEW)
    assert status("GET", "/metrics") == expected(Right.VIEW)


@pytest.mark.parametrize("who", EVERYBODY)
def test_values_are_for_those_who_may_read_them(running: Running, execution: str, who: str) -> None:
    if who == NOBODY:
        return
    found = running.ask("GET", f"/api/executions/{execution}", who).json()
    assert ("inputs" in found) is has(who, Right.READ_VALUES)
    assert ("outputs" in found["steps"][0]) is has(who, Right.READ_VALUES)
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { runConfigYaml } } }"
    config = running.graphql(query, who, id=execution)["data"]["runOrError"]["runConfigYaml"]
    assert ("a-word" in config) is has(who, Right.READ_VALUES)


@pytest.mark.parametrize("who", EVERYBODY)
def test_graphql_gives_each_role_its_rights_and_no_more(running: Running, execution: str, who: str) -> None:
    def works(query: str, **variables: Any) -> bool:
        answer = running.graphql(query, token(who), **variables)
        return "errors" not in answer and "error" not in answer and "Unauthorized" not in json.dumps(answer)

    assert works('{ runbook(id: "quick") { id } }') is has(who, Right.VIEW)
    assert works("{ runbookExecutions { id status } }") is has(who, Right.VIEW)
    assert works('mutation { executeRunbook(id: "quick") { id } }') is has(who, Right.RUN)
    replay = "mutation($id: ID!) { replayExecution(executionId: $id) { id } }"
    assert works(replay, id=execution) is has(who, Right.REPLAY)
    launch = """mutation { launchRun(executionParams: {selector: {jobName: "quick",
        repositoryName: "__repository__", repositoryLocationName: "runbooks"}, runConfigData: {}})
        { __typename ... on LaunchRunSuccess { run { id } } } }"""
    assert works(launch) is has(who, Right.RUN)
    assert works("mutation { reloadWorkspace { __typename } }") is has(who, Right.MANAGE)
    assert works('mutation { deleteRun(runId: "none") { __typename } }') is has(who, Right.MANAGE)


@pytest.mark.parametrize("who", EVERYBODY)
def test_dagsters_own_routes_are_behind_the_door(running: Running, execution: str, who: str) -> None:
    def status(method: str, path: str, **more: Any) -> int:
        return running.ask(method, path, token(who), **more).status_code

    refused = 401 if who == NOBODY else 403
    debug = status("GET", f"/download_debug/{execution}")
    assert debug == (200 if has(who, Right.READ_VALUES) else refused)
    report = status("POST", "/report_asset_materialization/x", json={})
    assert report == (200 if has(who, Right.MANAGE) else refused)
    logs = status("GET", "/logs/none/compute_logs/x/out")
    assert (logs not in {401, 403}) is has(who, Right.READ_VALUES)
    assert status("GET", "/server_info") == (401 if who == NOBODY else 200)
    page = running.ask("GET", "/runs", token(who), headers={"Accept": "text/html"})
    assert page.status_code == (303 if who == NOBODY else 200)


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_websocket_is_opened_to_those_with_a_token_only(running: Running, execution: str, who: str) -> None:
    async def subscribe() -> list[str]:
        headers = {} if who == NOBODY else {"Authorization": f"Bearer {running.tokens[who]}"}
        url = running.url.replace("http", "ws") + "/graphql"
        async with websockets.connect(
            url,
            subprotocols=["graphql-ws"],
            additional_headers=headers,  # type: ignore[list-item]
        ) as ws:
            query = "subscription($id: ID!) { runbookProgress(executionId: $id) { execution { status } } }"
            await ws.send(json.dumps({"type": "connection_init"}))
            await ws.send(
                json.dumps(
                    {"type": "start", "id": "1", "payload": {"query": query, "variables": {"id": execution}}}
                )
            )
            said = []
            while not said or said[-1] not in {"complete", "error"}:
                message = json.loads(await asyncio.wait_for(ws.recv(), 10))
                if message["type"] == "data":
                    said.append(message["payload"]["data"]["runbookProgress"]["execution"]["status"])
                elif message["type"] in {"complete", "error"}:
                    said.append(message["type"])
            return said

    if who == NOBODY:
        with pytest.raises(websockets.WebSocketException):
            asyncio.run(subscribe())
    else:
        assert asyncio.run(subscribe()) == ["SUCCESS", "complete"]


# Tokens


@pytest.mark.parametrize("presented", ["", "x", "rbt_" + "A" * 43, "rbt_" + "é" * 43, "Bearer"])
def test_a_wrong_token_is_refused_with_a_sentence(running: Running, presented: str) -> None:
    answer = running.ask(
        "GET", "/api/runbooks", None, headers={"Authorization": f"Bearer {presented}".encode()}
    )
    assert answer.status_code in {401, 429}
    assert "token" in answer.json()["error"]["message"]


def test_an_expired_and_a_revoked_token_are_refused(running: Running) -> None:
    engine = database.engine(running.project)
    _, late = create_token(engine, "late", Role.ADMIN, by=TESTS, days=-1)
    token_, gone = create_token(engine, "gone", Role.ADMIN, by=TESTS)
    assert running.ask("GET", "/api/runbooks", gone).status_code == 200
    revoke_token(engine, token_.id, by=TESTS)
    for secret, word in ((late, "expired"), (gone, "revoked")):
        answer = running.ask("GET", "/api/runbooks", secret)
        assert answer.status_code == 401
        assert word in answer.json()["error"]["message"]


def test_a_token_reaches_its_runbooks_only(running: Running) -> None:
    other = running.execute("other").json()["id"]
    assert running.execute("quick", "limited").status_code == 200
    assert running.execute("other", "limited").status_code == 404
    assert running.ask("GET", f"/api/executions/{other}", "limited").status_code == 404
    assert running.ask("POST", f"/api/executions/{other}/replay", "limited").status_code == 404
    listed = running.ask("GET", "/api/runbooks", "limited").json()["runbooks"]
    assert [item["id"] for item in listed] == ["quick"]
    theirs = running.ask("GET", "/api/executions?limit=100", "limited").json()["executions"]
    assert {item["runbook_id"] for item in theirs} == {"quick"}
    assert "errors" in running.graphql("{ runsOrError { __typename } }", "limited")
    launch = """mutation { launchRun(executionParams: {selector: {jobName: "other",
        repositoryName: "__repository__", repositoryLocationName: "runbooks"}}) { __typename } }"""
    assert "errors" in running.graphql(launch, "limited")
    assert running.ask("GET", f"/download_debug/{other}", "limited").status_code == 403


def test_the_audit_log_has_what_was_refused_and_by_whom(running: Running) -> None:
    running.ask("GET", "/download_debug/none", "viewer")
    running.ask("GET", "/api/runbooks", "rbt_" + "B" * 43)
    entries = list(last_entries(database.engine(running.project), 20))
    refused = [(entry.actor_name, entry.subject) for entry in entries if entry.action == "request_refused"]
    assert ("viewer", "/download_debug/none") in refused
    assert ("", "/api/runbooks") in refused
    started = [entry for entry in entries if entry.action == "execution_started"]
    assert started or running.done


# Sessions


def test_a_browser_signs_in_with_a_token_and_out_again(running: Running) -> None:
    browser = requests.Session()
    page = browser.get(f"{running.url}/runs", headers={"Accept": "text/html"}, timeout=10)
    assert page.url.endswith("/sign-in?next=%2Fruns")
    assert 'name="token"' in page.text
    wrong = browser.post(f"{running.url}/sign-in", data={"token": "no", "next": "/runs"}, timeout=10)
    assert wrong.status_code == 401
    assert "not one of ours" in wrong.text
    right = {"token": running.tokens["operator"], "next": "/runs"}
    entered = browser.post(f"{running.url}/sign-in", data=right, timeout=10, allow_redirects=False)
    assert entered.headers["location"] == "/runs"
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert running.tokens["operator"].lower() not in cookie
    assert browser.get(f"{running.url}/api/runbooks", timeout=10).status_code == 200
    browser.post(f"{running.url}/sign-out", headers={"Origin": running.url}, timeout=10)
    assert browser.get(f"{running.url}/api/runbooks", timeout=10).status_code == 401


@pytest.mark.parametrize("origin", ["https://evil.test", None])
def test_another_site_cannot_use_the_session_of_a_browser(running: Running, origin: str | None) -> None:
    browser = requests.Session()
    browser.post(f"{running.url}/sign-in", data={"token": running.tokens["admin"]}, timeout=10)
    body = {"runbook_id": "quick", "wait": False}
    headers = {"Origin": origin} if origin else {}
    answer = browser.post(f"{running.url}/api/runbooks/execute", json=body, headers=headers, timeout=10)
    assert answer.status_code == 403
    headers = {"Origin": running.url}
    answer = browser.post(f"{running.url}/api/runbooks/execute", json=body, headers=headers, timeout=10)
    assert answer.status_code == 202


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:x"])
def test_the_sign_in_page_leads_nowhere_else(running: Running, target: str) -> None:
    form = {"token": running.tokens["viewer"], "next": target}
    answer = requests.post(f"{running.url}/sign-in", data=form, timeout=10, allow_redirects=False)
    assert answer.headers["location"] == "/"
