"""Runs that Dagster's own mutations start: whoever asks is the actor, whatever the client states."""

import time
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from runbook_factory import database
from runbook_factory.actors import schedule_actor
from runbook_factory.audit.log import last_entries
from runbook_factory.instance import stored_instance
from runbook_factory.opening import actor_tags
from tests.served import Running

SELECTOR = {"jobName": "quick", "repositoryName": "__repository__", "repositoryLocationName": "runbooks"}
FORGED = {
    "runbook/actor_id": str(uuid4()),
    "runbook/actor": "the boss",
    "runbook/actor_kind": "user",
    "runbook/mode": "test",
    "runbook/id": "other",
    "runbook/definition": "sha256:0",
    "runbook/scheduled_for": "2025-11-29T09:00:00+00:00",
    "team": "a",
}
LAUNCHED = "__typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }"
LAUNCH = f"mutation($params: ExecutionParams!) {{ launchRun(executionParams: $params) {{ {LAUNCHED} }} }}"
AGAIN = f"""mutation($params: ReexecutionParams) {{
    launchRunReexecution(reexecutionParams: $params) {{ {LAUNCHED} }} }}"""
OWN_AGAIN = f"""mutation($params: ExecutionParams) {{
    launchRunReexecution(executionParams: $params) {{ {LAUNCHED} }} }}"""
MANY = f"""mutation($list: [ExecutionParams!]!) {{
    launchMultipleRuns(executionParamsList: $list) {{ __typename ... on LaunchMultipleRunsResult {{
    launchMultipleRunsResult {{ {LAUNCHED} }} }} }} }}"""


def as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in tags.items()]


def launch(running: Running, who: str, **params: Any) -> str:
    """The id of a run that was launched, with these tags and this config."""
    tags = params.pop("tags", FORGED)
    metadata = {"tags": as_list(tags), **params.pop("metadata", {})}
    stated = {"selector": SELECTOR, "executionMetadata": metadata, "runConfigData": {}, **params}
    return str(running.graphql(LAUNCH, who, params=stated)["data"]["launchRun"]["run"]["runId"])


def recorded(running: Running, run_id: str) -> Any:
    """The execution's row, when it has ended."""
    deadline = time.monotonic() + 60
    asked = text(
        """
        SELECT e.runbook_id, e.mode, e.status, e.parent_id::TEXT, e.actor_id::TEXT, a.name, a.kind
        FROM runbook.runbook_executions e JOIN runbook.actors a ON a.id = e.actor_id WHERE e.id = :id
        """
    )
    while True:
        with database.engine(running.project).connect() as connection:
            row = connection.execute(asked, {"id": run_id}).first()
        if row is not None and row.status != "running":
            return row
        assert time.monotonic() < deadline, "the run has no record"
        time.sleep(0.1)


def identity(running: Running, who: str) -> tuple[str, str, str]:
    """The actor that holds this token."""
    asked = text("SELECT id::TEXT FROM runbook.tokens WHERE name = :name")
    with database.engine(running.project).connect() as connection:
        return str(connection.execute(asked, {"name": who}).scalar_one()), who, "token"


def tags_of(running: Running, run_id: str) -> dict[str, str]:
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
    run = running.graphql(query, id=run_id)["data"]["runOrError"]
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def check(running: Running, run_id: str, who: str) -> None:
    """The run is theirs, in the record, in the audit log and in Dagster."""
    row = recorded(running, run_id)
    assert (row.runbook_id, row.mode) == ("quick", "live")
    actor = (row.actor_id, row.name, row.kind)
    assert actor == identity(running, who)
    entries = [
        entry for entry in last_entries(database.engine(running.project), 500) if entry.subject == run_id
    ]
    assert {(entry.actor_id, entry.actor_name, entry.actor_kind) for entry in entries} == {actor}
    tags = tags_of(running, run_id)
    assert (tags["runbook/actor_id"], tags["runbook/actor"], tags["runbook/actor_kind"]) == actor
    assert (tags["runbook/mode"], tags["runbook/id"]) == ("live", "quick")
    assert tags["runbook/definition"] != FORGED["runbook/definition"]
    assert "runbook/scheduled_for" not in tags


def test_tags_that_a_client_states_about_itself_are_not_believed(running: Running) -> None:
    run_id = launch(running, "operator")
    check(running, run_id, "operator")
    assert tags_of(running, run_id)["team"] == "a"  # others' tags are theirs


def test_a_launch_without_any_tags_has_its_actor_too(running: Running) -> None:
    params = {"selector": SELECTOR, "runConfigData": "inputs: {word: yaml}\n"}
    answer = running.graphql(LAUNCH, "operator", params=params)
    check(running, answer["data"]["launchRun"]["run"]["runId"], "operator")
    assert "yaml" in [asked.headers["x-word"] for asked in running.world.asked]


@pytest.fixture
def scheduled(running: Running) -> str:
    """A run that looks as if a schedule had started it."""
    run_id = launch(running, "admin", tags={"dagster/schedule_name": "quick__schedule"})
    recorded(running, run_id)
    tags = {**actor_tags(schedule_actor("tests")), "runbook/scheduled_for": "2025-11-29T09:00:00+00:00"}
    with stored_instance(running.project) as instance:
        instance.add_run_tags(run_id, tags)
    return run_id


@pytest.mark.parametrize("inherits", [True, False, None])
def test_a_re_execution_of_a_scheduled_run_is_of_who_asks_for_it(
    running: Running, scheduled: str, inherits: bool | None
) -> None:
    params = {"parentRunId": scheduled, "strategy": "ALL_STEPS", "useParentRunTags": inherits}
    if inherits is None:
        del params["useParentRunTags"]
    answer = running.graphql(AGAIN, "operator", params={**params, "extraTags": as_list(FORGED)})
    run_id = answer["data"]["launchRunReexecution"]["run"]["runId"]
    check(running, run_id, "operator")
    tags = tags_of(running, run_id)
    assert tags["team"] == "a"
    assert ("dagster/schedule_name" in tags) is (inherits is not False)
    assert tags["dagster/parent_run_id"] == scheduled
    assert tags_of(running, scheduled)["runbook/actor_kind"] == "schedule"  # that one stays what it was


def test_a_re_execution_with_the_tags_of_the_run_before_copied_is_of_who_asks(
    running: Running, scheduled: str
) -> None:
    metadata = {
        "parentRunId": scheduled,
        "rootRunId": scheduled,
        "tags": as_list(tags_of(running, scheduled)),
    }
    params = {"selector": SELECTOR, "runConfigData": {}, "executionMetadata": metadata}
    answer = running.graphql(OWN_AGAIN, "operator", params=params)
    check(running, answer["data"]["launchRunReexecution"]["run"]["runId"], "operator")


def test_of_many_runs_at_once_each_has_the_actor(running: Running) -> None:
    params = {"selector": SELECTOR, "runConfigData": {}, "executionMetadata": {"tags": as_list(FORGED)}}
    answer = running.graphql(MANY, "admin", list=[params, params])
    found = answer["data"]["launchMultipleRuns"]["launchMultipleRunsResult"]
    assert len(found) == 2
    for launched in found:
        check(running, launched["run"]["runId"], "admin")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"mode": "test", "cassette": {"file": "/etc/passwd", "scenario": "s"}}, "the mode 'test' is not"),
        ("mode: test\ncassette: {file: /etc/passwd, scenario: s}\n", "the mode 'test' is not"),
        ({"mode": "backtest", "replay": {"execution": "x", "live": True}}, "the mode 'backtest' is not"),
        ({"mode": {"a": 1}}, "is not for runs of the service"),
        ({"cassette": {"file": "/etc/passwd", "scenario": "s"}}, "no answers from a cassette"),
        ({"replay": {"execution": "x"}}, "go together"),
        ({"mode": "replay"}, "go together"),
    ],
)
def test_a_config_by_which_the_record_would_lie_is_refused(running: Running, config: Any, said: str) -> None:
    asked = len(running.world.asked)
    params = {"selector": SELECTOR, "runConfigData": config}
    answer = running.graphql(LAUNCH, "operator", params=params)
    assert said in answer["errors"][0]["message"]
    assert len(running.world.asked) == asked
    newest = last_entries(database.engine(running.project), 50)
    assert any(said in entry.details.decode() for entry in newest if entry.action == "request_refused")


def test_a_replay_by_dagsters_mutation_is_one_and_says_so(running: Running) -> None:
    original = launch(running, "operator")
    recorded(running, original)
    config = {"mode": "replay", "replay": {"execution": original}}
    replay = launch(running, "operator", runConfigData=config)
    row = recorded(running, replay)
    assert (row.mode, row.parent_id) == ("replay", original)
    assert (row.actor_id, row.name, row.kind) == identity(running, "operator")
    assert tags_of(running, replay)["runbook/mode"] == "replay"
    params = {"parentRunId": replay, "strategy": "ALL_STEPS", "extraTags": as_list(FORGED)}
    answer = running.graphql(AGAIN, "admin", params=params)
    again = answer["data"]["launchRunReexecution"]["run"]["runId"]
    row = recorded(running, again)
    assert (row.mode, row.parent_id, row.name) == ("replay", original, "admin")
    assert tags_of(running, again)["runbook/mode"] == "replay"
