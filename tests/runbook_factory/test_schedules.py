"""Schedules: what Dagster's scheduler is told at a tick, and what becomes of the run it asks for."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    JobDefinition,
    ScheduleDefinition,
    build_schedule_context,
    validate_run_config,
)
from dagster import RunRequest as Requested
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._utils.schedules import (
    CroniterShim,
    has_out_of_range_cron_interval,
    is_valid_cron_schedule,
    schedule_execution_time_iterator,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook_defs.cron import NICKNAMES, CronError, parse_cron
from runbook_defs.execution import Actor
from runbook_factory import database
from runbook_factory.definitions import build_definitions
from runbook_factory.execution_log import get_execution
from runbook_factory.instance import stored_instance
from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parents[2]
NINE = datetime(2025, 11, 29, 9, tzinfo=UTC)


def owner(workshop: Workshop) -> str:
    """An owner of this test's own: all tests share a database, with the runs in it."""
    return workshop.project.root.name


def scheduled(workshop: Workshop, **schedule: Any) -> None:
    """A runbook that says who runs it, by a schedule."""
    workshop.runbook(
        [
            {
                "id": "a",
                "type": "schema_check",
                "inputs": {"entities": ["${release}", "${execution.actor}"], "schema": "s.json"},
                "outputs": {"seen": "$.valid"},
            }
        ],
        inputs={"release": {"type": "string"}, "limit": {"type": "number", "default": 1.5}},
        assumptions=[{"shop_is_closed": True}, {"id": "few", "check": "${limit < 10}"}],
        owner=owner(workshop),
        schedule={"cron": "0 9 * * *", **schedule},
    )
    workshop.file("runbooks/rb-test/s.json", "{}")


def defined(workshop: Workshop) -> tuple[ScheduleDefinition, JobDefinition]:
    definitions = build_definitions(workshop.project.root)
    return definitions.resolve_schedule_def("rb_test__schedule"), definitions.resolve_job_def("rb_test")


def tick(
    schedule: ScheduleDefinition, instance: DagsterInstance, at: datetime = NINE
) -> tuple[Requested | None, str]:
    """What the scheduler hears at a tick: a request, or why there is none."""
    with build_schedule_context(instance=instance, scheduled_execution_time=at) as context:
        heard = schedule.evaluate_tick(context)
    (request,) = heard.run_requests or [None]
    return request, heard.skip_message or ""


@pytest.fixture
def instance(workshop: Workshop) -> Iterator[DagsterInstance]:
    with stored_instance(workshop.project) as stored:
        yield stored


def start(
    instance: DagsterInstance,
    job: JobDefinition,
    request: Requested,
    status: DagsterRunStatus = DagsterRunStatus.STARTED,
) -> str:
    """A run as the scheduler makes it; gives its id."""
    run = instance.create_run_for_job(
        job, run_config=dict(request.run_config), tags=dict(request.tags), status=status
    )
    return run.run_id


def test_a_schedule_of_a_runbook_is_one_of_dagsters(workshop: Workshop) -> None:
    scheduled(workshop, timezone="Europe/Berlin", inputs={"release": "r"})
    schedule, job = defined(workshop)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 9 * * *", "Europe/Berlin")
    assert (schedule.job_name, schedule.default_status) == (job.name, DefaultScheduleStatus.RUNNING)


def test_a_runbook_without_a_schedule_has_none(workshop: Workshop) -> None:
    workshop.runbook([{"id": "a", "type": "data_fetch", "inputs": {"source_url": "/x"}}])
    assert build_definitions(workshop.project.root).schedules == []


def test_a_scheduled_execution_is_recorded_in_its_owners_name(
    workshop: Workshop, instance: DagsterInstance
) -> None:
    scheduled(workshop, inputs={"release": "r1", "limit": 2})
    schedule, job = defined(workshop)
    request, _ = tick(schedule, instance)
    assert request is not None
    run_id = start(instance, job, request, DagsterRunStatus.NOT_STARTED)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    list(execute_run_iterator(InMemoryJob(job), run, instance))
    record = get_execution(database.engine(workshop.project), run_id)
    assert (record.mode, record.status.value) == ("live", "success")
    name = f"schedule:{owner(workshop)}"
    assert record.actor == Actor(id=str(uuid5(NAMESPACE_URL, name)), name=name, kind="schedule")
    assert record.steps[0].outputs == {"seen": ["r1", name]}
    # Starting a run attests: who attested is who the record says started it.
    assert [(item.id, item.how, item.met) for item in record.assumptions] == [
        ("shop_is_closed", "attested", True),
        ("few", "checked", True),
    ]


@pytest.mark.parametrize(
    ("release", "given"), [("1.10", "1.10"), ("007", "007"), ('"$${r}"', "${r}"), ("r1", "r1")]
)
def test_inputs_are_given_as_they_are_written(
    workshop: Workshop, instance: DagsterInstance, release: str, given: str
) -> None:
    scheduled(workshop, inputs={"release": "RELEASE", "limit": 2})
    path = workshop.project.runbook_file("rb-test")
    path.write_text(path.read_text().replace('"RELEASE"', release))
    schedule, job = defined(workshop)
    request, _ = tick(schedule, instance)
    assert request is not None
    assert request.run_config == {"inputs": {"release": given, "limit": 2}}
    assert type(request.run_config["inputs"]["limit"]) is int
    assert validate_run_config(job, request.run_config)


def test_each_tick_asks_for_a_run_of_its_own(workshop: Workshop, instance: DagsterInstance) -> None:
    scheduled(workshop, inputs={"release": "r"})
    schedule, _ = defined(workshop)
    requests = [tick(schedule, instance, NINE + timedelta(days=days))[0] for days in (0, 1, 1)]
    keys = [request.run_key for request in requests if request is not None]
    assert keys[0] == "2025-11-29T09:00:00+00:00"
    assert keys[0] != keys[1] == keys[2]


@pytest.mark.parametrize("status", ["STARTING", "STARTED", "CANCELING"])
def test_a_tick_is_left_out_while_the_run_before_goes_on(
    workshop: Workshop, instance: DagsterInstance, status: str
) -> None:
    scheduled(workshop, inputs={"release": "r"})
    schedule, job = defined(workshop)
    request, _ = tick(schedule, instance)
    assert request is not None
    run_id = start(instance, job, request, DagsterRunStatus[status])
    later, why = tick(schedule, instance, NINE + timedelta(days=1))
    assert later is None
    assert why == f"run {run_id}, which this schedule started before, is not finished"
    # The daemon may have died in the middle of a tick: what it started then is the tick's own run.
    again, _ = tick(schedule, instance)
    assert again == request


def test_a_tick_of_a_schedule_that_queues_asks_for_a_run_that_waits_for_those_before(
    workshop: Workshop, instance: DagsterInstance
) -> None:
    scheduled(workshop, inputs={"release": "r"}, overlap="queue")
    schedule, job = defined(workshop)
    request, _ = tick(schedule, instance)
    assert request is not None
    start(instance, job, request)
    later, why = tick(schedule, instance, NINE + timedelta(days=1))
    assert later is not None, why
    assert later.tags["runbook/line"] == request.tags["runbook/line"] == "rb_test"


@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE", "CANCELED", "NOT_STARTED"])
def test_a_run_that_does_not_go_on_is_in_nobodys_way(
    workshop: Workshop, instance: DagsterInstance, status: str
) -> None:
    scheduled(workshop, inputs={"release": "r"})
    schedule, job = defined(workshop)
    request, _ = tick(schedule, instance)
    assert request is not None
    start(instance, job, request, DagsterRunStatus[status])
    assert tick(schedule, instance, NINE + timedelta(days=1))[0] is not None


def test_a_run_that_somebody_started_is_in_nobodys_way(workshop: Workshop, instance: DagsterInstance) -> None:
    scheduled(workshop, inputs={"release": "r"})
    schedule, job = defined(workshop)
    start(instance, job, Requested(run_config={"inputs": {"release": "r"}}))
    assert tick(schedule, instance)[0] is not None


def test_a_run_whose_process_was_lost_does_not_stop_the_schedule_for_ever(
    workshop: Workshop, instance: DagsterInstance, query: Callable[..., list[Any]]
) -> None:
    scheduled(workshop, inputs={"release": "r"})
    schedule, job = defined(workshop)
    request, _ = tick(schedule, instance)
    assert request is not None
    run_id = start(instance, job, request)
    query(
        """INSERT INTO runbook.runbook_executions
            (id, runbook_id, runbook_version, started_at, status, format_version)
        VALUES (:id, 'rb-test', '1.0.0', now(), 'running', 2) RETURNING id""",
        id=run_id,
    )
    assert tick(schedule, instance, NINE + timedelta(days=1))[0] is not None


def test_dagsters_own_check_of_definitions_takes_schedules_and_assets(workshop: Workshop) -> None:
    scheduled(workshop, cron="@weekly", timezone="Europe/Berlin", inputs={"release": "r"})
    done = workshop.dagster("definitions", "validate", "-w", "workspace.yaml")
    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location runbooks" in done.stderr + done.stdout


# What is a time, for us and for Dagster


@st.composite
def fields(draw: st.DrawFn, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    """A field that may be right or wrong."""
    number = st.integers(low - 1, high + 2).map(str)
    one = st.one_of(number, st.sampled_from(names)) if names else number
    step = st.one_of(st.just(""), st.integers(1, high).map("/{}".format))
    span = st.tuples(one, one, step).map(lambda item: f"{item[0]}-{item[1]}{item[2]}")
    every = step.map("*{}".format)
    return ",".join(draw(st.lists(st.one_of(one, every, span), min_size=1, max_size=3)))


LINES = st.one_of(
    st.sampled_from(sorted(NICKNAMES)),
    st.tuples(
        fields(0, 59),
        fields(0, 23),
        st.one_of(st.just("*"), fields(1, 31)),
        fields(1, 12, ("jan", "FEB", "dec")),
        st.one_of(st.just("*"), fields(0, 6, ("sun", "Mon", "sat"))),
    ).map(" ".join),
)


@settings(max_examples=150, deadline=None)
@given(LINES)
def test_dagster_follows_what_we_accept_and_means_the_same(line: str) -> None:
    try:
        numbers = parse_cron(line)
    except CronError:
        return
    assert is_valid_cron_schedule(line)
    assert not has_out_of_range_cron_interval(line)
    everything = [range(60), range(24), range(1, 32), range(1, 13), range(7)]
    theirs, _ = CroniterShim.expand(line)
    for ours, their, every in zip(numbers, theirs, everything, strict=True):
        assert ours == set(every if their == ["*"] else their), line
    times = schedule_execution_time_iterator(NINE.timestamp(), line, "Europe/Berlin", ascending=True)
    assert len(list(islice(times, 3))) == 3
