"""Launched runs, whoever launches them, are executed by a worker, once, and can be cancelled."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster_shared.record import copy
from sqlalchemy import text

from runbook_factory.database import engine
from runbook_factory.instance import stored_instance
from runbook_factory.request import RunRequest
from runbook_service.run_queue import run_queue
from tests.served import Running
from tests.working import ENDED, until

QUEUED, SUCCESS, CANCELED = DagsterRunStatus.QUEUED, DagsterRunStatus.SUCCESS, DagsterRunStatus.CANCELED

LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } } } }"""
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"


@pytest.fixture
def instance(running: Running) -> Iterator[DagsterInstance]:
    with stored_instance(running.project, settles=False) as instance:
        yield instance


def by_rest(running: Running, instance: DagsterInstance, word: str) -> str:
    return str(running.execute(inputs={"word": word}, wait=False).json()["id"])


def by_graphql(running: Running, instance: DagsterInstance, word: str) -> str:
    selector = {
        "repositoryLocationName": "runbooks",
        "repositoryName": "__repository__",
        "pipelineName": "quick",
    }
    params = {"selector": selector, "runConfigData": RunRequest(inputs={"word": word}).run_config()}
    return str(running.graphql(LAUNCH, params=params)["data"]["launchRun"]["run"]["runId"])


def like_a_schedule(running: Running, instance: DagsterInstance, word: str) -> str:
    """As Dagster's daemon does at a tick: a run is created, then submitted."""
    return submitted(instance, made(running, instance, word))


def submitted(instance: DagsterInstance, run: DagsterRun) -> str:
    instance.run_storage.add_run(run)
    return instance.submit_run(run.run_id, workspace=None).run_id  # type: ignore[arg-type]


def made(running: Running, instance: DagsterInstance, word: str, runbook: str = "quick") -> DagsterRun:
    """A run that nobody has stored or launched yet."""
    answer = running.execute(runbook, inputs={"word": "model"}).json()
    model = instance.get_run_by_id(answer["id"])
    assert model is not None
    config = RunRequest(inputs={"word": word}).run_config()
    run: DagsterRun = copy(model, run_id=str(uuid4()), run_config=config, status=DagsterRunStatus.NOT_STARTED)
    return run


def ended(instance: DagsterInstance, run_id: str, *, seconds: float = 30.0) -> DagsterRunStatus:
    def found() -> DagsterRunStatus | None:
        run = instance.get_run_by_id(run_id)
        return run.status if run is not None and run.status in ENDED else None

    status: DagsterRunStatus = until(found, seconds)
    return status


def told(running: Running, word: str) -> int:
    """How often the world was told the word: by a step of an execution."""
    return sum(asked.headers.get("x-word") == word for asked in running.world.asked)


def recorded(running: Running, run_id: str) -> tuple[str, str] | None:
    with engine(running.project).connect() as connection:
        row = connection.execute(
            text(
                "SELECT status, coalesce(metadata->>'reason', '') FROM runbook.runbook_executions"
                " WHERE id = CAST(:id AS UUID)"
            ),
            {"id": run_id},
        ).first()
    return None if row is None else (row[0], row[1])


def is_empty(running: Running) -> bool:
    with engine(running.project).connect() as connection:
        return not connection.scalar(text("SELECT count(*) FROM procrastinate_jobs"))


@contextmanager
def all_busy(running: Running, instance: DagsterInstance) -> Iterator[list[str]]:
    """Every slot has a run that goes on for long."""
    names = [str(running.execute("slow", wait=False).json()["id"]) for _ in range(2)]
    until(lambda: all(recorded(running, name) for name in names))
    yield names
    for name in names:
        running.ask("POST", f"/api/executions/{name}/cancel")
    assert {ended(instance, name) for name in names} == {CANCELED}


@pytest.mark.parametrize("launch", [by_rest, by_graphql, like_a_schedule])
def test_a_launched_run_is_queued_then_started_then_a_success(
    running: Running, instance: DagsterInstance, launch: Any
) -> None:
    word = str(uuid4())
    name = launch(running, instance, word)
    assert ended(instance, name) is SUCCESS
    happened = [entry.dagster_event_type for entry in instance.all_logs(name)]
    wanted = [
        DagsterEventType.PIPELINE_ENQUEUED,
        DagsterEventType.PIPELINE_START,
        DagsterEventType.PIPELINE_SUCCESS,
    ]
    assert [kind for kind in happened if kind in wanted] == wanted
    assert recorded(running, name) == ("success", "")
    assert told(running, word) == 1
    until(lambda: is_empty(running))


def test_a_run_that_is_put_in_the_queue_again_is_executed_once(
    running: Running, instance: DagsterInstance
) -> None:
    queue = run_queue(engine(running.project))
    word = str(uuid4())
    run = made(running, instance, word)
    with all_busy(running, instance):
        name = submitted(instance, run)
        for _ in range(3):
            queue.put(name)
        assert queue.depth().waiting == 1
    assert ended(instance, name) is SUCCESS
    queue.put(name)
    until(lambda: is_empty(running))
    word = str(uuid4())
    name = submitted(instance, made(running, instance, word, "brief"))
    until(lambda: told(running, word))
    queue.put(name)
    queue.put(name)
    assert ended(instance, name) is SUCCESS
    until(lambda: is_empty(running))
    assert told(running, word) == 1
    kinds = [entry.dagster_event_type for entry in instance.all_logs(name)]
    assert kinds.count(DagsterEventType.PIPELINE_START) == 1
    assert kinds.count(DagsterEventType.PIPELINE_SUCCESS) == 1
    assert DagsterEventType.PIPELINE_FAILURE not in kinds


def test_a_queued_run_is_cancelled_within_two_seconds_and_never_executed(
    running: Running, instance: DagsterInstance
) -> None:
    words = [str(uuid4()), str(uuid4())]
    with all_busy(running, instance):
        by_ui, by_api = (by_rest(running, instance, word) for word in words)
        assert {run.status for run in instance.get_runs() if run.run_id in {by_ui, by_api}} == {QUEUED}
        began = time.monotonic()
        answer = running.graphql(TERMINATE, id=by_ui)
        assert answer["data"]["terminateRun"]["__typename"] == "TerminateRunSuccess"
        assert running.ask("POST", f"/api/executions/{by_api}/cancel").status_code == 202
        for name in (by_ui, by_api):
            assert ended(instance, name) is CANCELED
        assert time.monotonic() - began < 2
        for name in (by_ui, by_api):
            shown = running.ask("GET", f"/api/executions/{name}").json()
            assert (shown["status"], shown["reason"]) == ("aborted", "it was cancelled before it began")
    until(lambda: is_empty(running))
    assert [told(running, word) for word in words] == [0, 0]
    assert [recorded(running, name) for name in (by_ui, by_api)] == [None, None]


def test_a_running_run_is_cancelled_once_however_often_it_is_asked_for(
    running: Running, instance: DagsterInstance
) -> None:
    by_ui, by_api = (str(running.execute("slow", wait=False).json()["id"]) for _ in range(2))
    until(lambda: recorded(running, by_ui) and recorded(running, by_api))
    began = time.monotonic()
    for _ in range(3):
        running.graphql(TERMINATE, id=by_ui)
        running.ask("POST", f"/api/executions/{by_api}/cancel")
    for name in (by_ui, by_api):
        assert ended(instance, name) is CANCELED
        assert recorded(running, name) == ("aborted", "cancelled")
    assert time.monotonic() - began < 3
    assert not instance.run_coordinator.cancel_run(by_ui)
    answer = running.ask("POST", f"/api/executions/{by_api}/cancel")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_running")
    refused = running.graphql(TERMINATE, id=by_ui)["data"]["terminateRun"]["__typename"]
    assert refused == "TerminateRunFailure"
    assert {ended(instance, name) for name in (by_ui, by_api)} == {CANCELED}


def test_a_run_that_is_cancelled_while_it_is_taken_ends_one_way_or_the_other(
    running: Running, instance: DagsterInstance
) -> None:
    chance = random.Random(6)
    model = made(running, instance, "model", "brief")
    words = {}
    for number in range(50):
        name, word = str(uuid4()), str(uuid4())
        config = RunRequest(inputs={"word": word}).run_config()
        words[name] = word
        submitted(instance, copy(model, run_id=name, run_config=config))
        if number % 3:  # the others before a worker can have them
            time.sleep(chance.uniform(0, 0.12))
        instance.run_coordinator.cancel_run(name)
    seen = set()
    for name, word in words.items():
        status = ended(instance, name)
        record = recorded(running, name)
        seen.add((status, record))
        if record is None:
            assert (status, told(running, word)) == (CANCELED, 0)
        else:
            assert record in {("aborted", "cancelled"), ("success", "")}
            assert told(running, word) <= 1
    until(lambda: is_empty(running))
    for name in words:
        status, record = ended(instance, name), recorded(running, name)
        assert (status is SUCCESS) is (record == ("success", ""))
    assert (CANCELED, None) in seen
    assert (CANCELED, ("aborted", "cancelled")) in seen
