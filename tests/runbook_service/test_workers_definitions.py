"""A run has its runbook as it is on disk when it begins, and says so when that cannot run."""

import shutil
from collections.abc import Iterator

import pytest
from dagster import DagsterRunStatus

from runbook_factory.catalog import load_runbook
from runbook_factory.database import engine
from runbook_service.executions import find_execution
from runbook_service.identities.identity import Identity
from runbook_service.identities.roles import Role
from tests.working import Host, Yard, until

QUEUED, SUCCESS, FAILURE = DagsterRunStatus.QUEUED, DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE

ADMIN = Identity(token_id="7f1de2a1-0000-4000-8000-000000000000", name="tests", role=Role.ADMIN)

ONE_STEP = """
id: {id}
name: Quick
version: 1.0.1
owner: tests
legal_basis: none needed
inputs:
  word: {{type: string, default: none}}
steps:
  - {{id: other, type: wait, inputs: {{seconds: {seconds}}}}}
"""


@pytest.fixture(scope="module")
def host(yard: Yard) -> Iterator[Host]:
    yard.runbook("changing")
    yard.runbook("while")
    with yard.worker(slots=1) as host:
        yield host
        assert host.stop() == 0
        assert "Traceback" not in host.errors()


def digest(yard: Yard, run_id: str) -> str:
    rows = yard.query(
        "SELECT definition_digest FROM runbook.runbook_executions WHERE id = CAST(:id AS UUID)", id=run_id
    )
    return str(rows[0][0])


def shown(yard: Yard, run_id: str) -> tuple[str, str]:
    """Status and reason, as the API has them."""
    found = find_execution(engine(yard.project), yard.instance, run_id, ADMIN)
    return found["status"], found["reason"]


def test_the_next_run_of_a_changed_runbook_has_it_as_it_is_now(yard: Yard, host: Host) -> None:
    first = yard.launch("changing")
    assert yard.wait(first) == [SUCCESS]
    before, template = load_runbook(yard.project, "changing").digest, host.template()
    yard.runbook("changing", text=ONE_STEP)
    after = load_runbook(yard.project, "changing").digest
    names = [yard.launch("changing") for _ in range(3)]  # launched as it was: two steps, which are one now
    assert yard.wait(names) == [SUCCESS] * 3
    assert digest(yard, first) == before
    assert {digest(yard, name) for name in names} == {after} != {before}
    rows = yard.query(
        "SELECT step_id FROM runbook.runbook_step_logs WHERE execution_id = CAST(:id AS UUID)", id=names[0]
    )
    assert [row.step_id for row in rows] == ["other"]
    # What was loaded again is then loaded for all: the worker forks from a new template, and goes on.
    until(lambda: len(host.templates()) == 1 and host.templates() != [template])
    assert yard.wait(yard.launch()) == [SUCCESS]


def test_a_run_that_waits_while_its_runbook_is_changed_has_the_new_one(yard: Yard, host: Host) -> None:
    yard.runbook("changing")
    busy = yard.launch("slow")
    yard.started(busy)
    name = yard.launch("changing")
    assert yard.status(name) is QUEUED
    yard.runbook("changing", text=ONE_STEP, seconds=0.01)
    yard.cancel(busy)
    assert yard.wait(name) == [SUCCESS]
    assert digest(yard, name) == load_runbook(yard.project, "changing").digest


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("id: changing\nsteps: [", "the runbook changing does not load here: line "),
        (ONE_STEP.replace("type: wait", "type: wit"), "unknown step type 'wit'"),
        (
            ONE_STEP.replace("word:", "other:"),
            "the run does not fit the runbook changing as it is now: Received unexpected config entry",
        ),
        (None, "the runbook changing does not load here: no runbook 'changing' in"),
    ],
    ids=["not YAML", "not a runbook", "other inputs", "deleted"],
)
def test_a_run_whose_runbook_is_broken_or_gone_fails_with_a_sentence(
    yard: Yard, host: Host, written: str | None, reason: str
) -> None:
    yard.runbook("changing")
    yard.wait(yard.launch("changing"))
    if written is None:
        shutil.rmtree(yard.project.runbook_file("changing").parent)
    else:
        yard.project.runbook_file("changing").write_text(written.format(id="changing", seconds=0))
    name = yard.launch("changing")
    assert yard.wait(name) == [FAILURE]
    assert yard.recorded(name) is None
    status, why = shown(yard, name)
    assert (status, why) == ("failure", yard.reason(name))
    assert reason in why
    assert "\n" not in why
    assert "Traceback" not in why
    yard.runbook("changing")
    assert yard.wait(yard.launch("changing")) == [SUCCESS]


def test_a_runbook_that_dagster_refuses_does_not_keep_the_others_from_running(yard: Yard, host: Host) -> None:
    assert yard.project.runbook_file("while").exists()  # when the worker started: a name that is reserved
    assert yard.wait(yard.launch()) == [SUCCESS]
