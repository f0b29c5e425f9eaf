"""What we rely on of Dagster's private parts: one test each, so that an upgrade that breaks one says so."""

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from dagster import (
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    EventLogEntry,
    HookContext,
    OpExecutionContext,
    Output,
    ResourceDefinition,
    RunsFilter,
    failure_hook,
    success_hook,
)
from dagster._core.definitions.utils import DISALLOWED_NAMES
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._serdes import serialize_value
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage
from dagster_shared.record import copy
from sqlalchemy import text
from sqlalchemy.exc import DataError, OperationalError

from runbook_defs.model import _RESERVED
from runbook_factory import dagster_storage, database, executor, jobs, runs
from runbook_factory.catalog import load_runbook
from runbook_factory.database import DatabaseError, as_text, execute, normalized, send
from runbook_factory.definitions import build_definitions
from runbook_factory.event_json import event_json
from runbook_factory.instance import SETTINGS, stored_instance
from runbook_factory.jobs import build_job
from runbook_factory.recorder import Recorder
from runbook_factory.step_events import DONE, step_metadata
from tests.statements import noted
from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parents[2]


def simple(workshop: Workshop) -> None:
    workshop.runbook([{"id": "a", "type": "schema_check", "inputs": {"entities": [{}], "schema": "s.json"}}])
    workshop.file("runbooks/rb-test/s.json", "{}")


def test_the_ids_that_are_refused_are_those_that_no_job_can_have() -> None:
    assert _RESERVED == DISALLOWED_NAMES


def test_a_bare_url_gets_the_driver_whose_connections_pooled_engines_can_use(
    workshop: Workshop, postgres: str
) -> None:
    assert postgres.startswith("postgresql://")
    simple(workshop)
    record = workshop.live()
    assert record.status.value == "success"
    with stored_instance(workshop.project) as instance:
        for _ in range(3):  # the second use of a pooled connection is what psycopg 3 breaks
            assert instance.get_run_by_id(record.id) is not None
        engine = instance._event_storage._engine  # type: ignore[attr-defined]
        assert engine.url.drivername == "postgresql+psycopg2"
        assert engine.pool.__class__.__name__ == "QueuePool"


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@h/d", "postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"]
)
def test_every_way_to_write_the_url_ends_at_one_driver(url: str) -> None:
    assert as_text(normalized(url)) == "postgresql+psycopg2://u:p@h/d"


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "hunter2", "postgresql://u:hunter2@h:port/d"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        normalized(url)
    assert "hunter2" not in caught.value.message.removeprefix("RUNBOOK_DATABASE_URL")


def test_a_run_writes_few_events_and_each_step_has_its_three(workshop: Workshop) -> None:
    simple(workshop)
    workshop.live()
    kinds = [event.dagster_event.event_type for event in workshop.dagster_events if event.dagster_event]
    for kind in (
        DagsterEventType.STEP_START,
        DagsterEventType.STEP_OUTPUT,
        DagsterEventType.STEP_SUCCESS,
    ):
        assert kinds.count(kind) == 1
    assert DagsterEventType.HANDLED_OUTPUT not in kinds
    assert DagsterEventType.RESOURCE_INIT_STARTED not in kinds


def test_a_hook_hears_why_a_step_failed(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.runbook([{"id": "a", "type": "wait", "inputs": {"seconds": "${1 / 0}"}}])
    heard: list[str] = []

    @failure_hook
    def hear(context: HookContext) -> None:
        heard.append(f"{context.op.name}: {context.op_exception}")

    hooked = build_job(load_runbook(workshop.project, "rb-test")).with_hooks({hear})
    monkeypatch.setattr(runs, "build_job", lambda runbook, **_: hooked)
    workshop.live()
    assert len(heard) == 1
    assert heard[0].startswith("a: ") and "division by zero" in heard[0]


def test_a_hook_has_the_resource_that_it_wants(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    simple(workshop)
    rung: list[str] = []

    @success_hook(required_resource_keys={"bell"})
    def ring(context: HookContext) -> None:
        context.resources.bell.append(context.op.name)

    job = build_job(load_runbook(workshop.project, "rb-test"))
    bell = ResourceDefinition.hardcoded_resource(rung)
    hooked = job.with_top_level_resources({"bell": bell}).with_hooks({ring})
    monkeypatch.setattr(runs, "build_job", lambda runbook, **_: hooked)
    workshop.live()
    assert rung == ["a"]
    kinds = [event.dagster_event.event_type for event in workshop.dagster_events if event.dagster_event]
    assert DagsterEventType.HOOK_COMPLETED in kinds


@pytest.mark.parametrize("enabled", [True, False])
def test_dagster_marks_what_it_will_retry_where_it_is_set_to(workshop: Workshop, *, enabled: bool) -> None:
    settings = {**SETTINGS, "run_retries": {"enabled": enabled, "max_retries": 2}}
    workshop.file("dagster.yaml", yaml.safe_dump(settings))
    workshop.runbook(
        [{"id": "a", "type": "wait", "inputs": {"seconds": 0}}], kpis={"most": {"value": "${1}", "max": 0}}
    )
    workshop.live()
    assert workshop.dagster_status is DagsterRunStatus.FAILURE
    assert ("dagster/will_retry" in workshop.dagster_tags) is enabled


def test_dagster_is_told_of_a_step_what_its_own_machinery_tells(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple(workshop)
    record = workshop.live()
    ours = [event_of(entry) for entry in workshop.dagster_events if entry.step_key == "a"]

    def compute(context: OpExecutionContext, inputs: object) -> Iterator[Output[None]]:
        yield Output(None, DONE, metadata=step_metadata(record.steps[0]))

    monkeypatch.setattr(jobs, "_never", compute)
    with stored_instance(workshop.project) as instance:
        job = build_job(load_runbook(workshop.project, "rb-test"))
        run = job.execute_in_process(instance=instance)
        entries = instance.all_logs(run.run_id)
    kinds = {"STEP_START", "STEP_OUTPUT", "STEP_SUCCESS"}
    stock = [event_of(entry) for entry in entries if event_of(entry)["dagster_event"] is not None]
    assert ours == [each for each in stock if each["dagster_event"]["event_type_value"] in kinds]
    assert len(ours) == 3


def event_of(entry: EventLogEntry) -> dict[str, Any]:
    """The event as it is stored, without what differs from run to run."""
    stored = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9.]+ms", "...", serialize_value(entry))
    stored = re.sub(r'("timestamp"|"pid"|"duration_ms"|"value"): [0-9.e-]+', r"\1: 0", stored)
    found: dict[str, Any] = json.loads(stored)
    return found


def test_events_are_stored_as_dagster_serializes_them(workshop: Workshop) -> None:
    steps = [
        {"id": "a", "type": "wait", "inputs": {"seconds": 0}, "summary": "fünf"},
        {"id": "b", "type": "wait", "inputs": {"seconds": "${1 / 0}"}, "depends_on": ["a"]},
    ]
    workshop.runbook(steps)
    workshop.live()
    with stored_instance(workshop.project) as instance:
        storage: Any = instance.event_log_storage
        known = [*workshop.dagster_events, *figures(instance)]
        for entry in [*known, known[0]._replace(dagster_event=None, user_message="said by a step")]:
            assert event_json(entry) == serialize_value(entry)
            assert storage._event_to_row(entry) == PostgresEventLogStorage._event_to_row(storage, entry)
    kinds = {entry.dagster_event.event_type_value for entry in known if entry.dagster_event}
    assert kinds >= {"PIPELINE_START", "STEP_OUTPUT", "STEP_FAILURE", "PIPELINE_FAILURE", "ENGINE_EVENT"}


def figures(instance: DagsterInstance) -> list[EventLogEntry]:
    """The figures of the last execution in Dagster's catalog."""
    key = AssetKey(["runbooks", "rb_test", "kpis"])
    record = instance.get_latest_materialization_event(key)
    assert record is not None
    return [record]


def test_events_of_steps_are_stored_as_their_log_records_would_be(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple(workshop)

    def stored() -> list[dict[str, Any]]:
        workshop.live()
        return [event_of(entry) for entry in workshop.dagster_events]

    ours = stored()
    monkeypatch.setattr(executor, "store_directly", lambda context: None)
    assert ours == stored()


def test_a_failed_step_is_told_with_its_reason_and_no_stack_of_ours(workshop: Workshop) -> None:
    workshop.runbook([{"id": "a", "type": "wait", "inputs": {"seconds": "${1 / 0}"}}])
    workshop.live()
    (failed,) = (
        entry.dagster_event
        for entry in workshop.dagster_events
        if entry.dagster_event and entry.dagster_event.is_step_failure
    )
    told = failed.step_failure_data
    assert told.user_failure_data and "division by zero" in str(told.user_failure_data.description)
    assert told.user_failure_data.metadata["runbook/status"].value == "failed"
    assert told.error and told.error.stack == [] and "division by zero" in told.error.message


def test_what_nobody_foresaw_fails_its_step_and_is_told_with_its_stack(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple(workshop)

    def breaks(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError("nobody foresaw it")

    monkeypatch.setattr(Recorder, "finish_step", breaks)
    record = workshop.live()
    assert record.status.value == "aborted"
    (failed,) = (
        entry.dagster_event
        for entry in workshop.dagster_events
        if entry.dagster_event and entry.dagster_event.is_step_failure
    )
    told = failed.step_failure_data
    assert told.error and "nobody foresaw it" in told.error.message and told.error.stack


def test_handlers_that_dagster_yaml_names_hear_of_the_events_of_steps(workshop: Workshop) -> None:
    simple(workshop)
    heard = workshop.project.root / "heard.log"
    handler = {"class": "logging.FileHandler", "filename": str(heard), "level": "DEBUG"}
    logs = {"python_log_level": "INFO", "dagster_handler_config": {"handlers": {"file": handler}}}
    workshop.file("dagster.yaml", yaml.safe_dump({**SETTINGS, "python_logs": logs}))
    workshop.live()
    assert "STEP_SUCCESS" in heard.read_text()


def test_a_run_is_stored_as_the_stock_class_stores_it(workshop: Workshop) -> None:
    simple(workshop)
    with stored_instance(workshop.project) as instance:
        job = build_definitions(workshop.project.root).resolve_job_def("rb_test")
        ours, stock = (instance.create_run_for_job(job, tags={"a": "b", "c": "d'e"}) for _ in range(2))
        storage = instance.run_storage
        storage.delete_run(stock.run_id)
        values = storage._get_run_insertion_values(stock, datetime.now(UTC))  # type: ignore[attr-defined]
        PostgresRunStorage._core_add_run(storage, values, stock.tags_for_storage())  # type: ignore[arg-type]
        rows = [instance.get_run_record_by_id(run.run_id) for run in (ours, stock)]
        assert rows[0] and rows[1]
        assert rows[0].dagster_run == copy(rows[1].dagster_run, run_id=ours.run_id)
        assert storage.get_run_tags(["a", "c"]) == [("a", {"b"}), ("c", {"d'e"})]
        assert abs((rows[0].create_timestamp - rows[1].create_timestamp).total_seconds()) < 60
        assert [instance.get_runs_count(RunsFilter(tags={"c": "d'e"}))] == [2]


def test_a_job_is_looked_for_once_and_missed_when_it_was_removed(workshop: Workshop) -> None:
    simple(workshop)
    with stored_instance(workshop.project) as instance:
        storage = instance.run_storage
        run = instance.create_run_for_job(build_job(load_runbook(workshop.project, "rb-test")))
        job = run.job_snapshot_id
        assert job and storage.has_job_snapshot(job)
        with noted(database.engine(workshop.project)) as statements:
            storage.add_run(copy(run, run_id=str(uuid4())))
        assert not any("snapshots" in statement for statement in statements)
        storage.wipe()  # as another process does it
        assert storage.has_job_snapshot(job)
        with pytest.raises(DagsterRunAlreadyExists):  # what Dagster makes of any constraint
            storage.add_run(run)
        assert not storage.has_job_snapshot(job)


def test_a_run_has_its_status_and_times_in_columns_of_their_own(workshop: Workshop) -> None:
    simple(workshop)
    record = workshop.live()
    with stored_instance(workshop.project) as instance:
        row = instance.get_run_record_by_id(record.id)
    assert row is not None
    assert row.dagster_run.status is DagsterRunStatus.SUCCESS
    assert row.start_time and row.end_time and row.start_time <= row.end_time


def test_one_run_is_found_by_its_id_in_every_way_that_dagster_asks(workshop: Workshop) -> None:
    simple(workshop)
    record = workshop.live()
    only = RunsFilter(run_ids=[record.id])
    with stored_instance(workshop.project) as instance:
        assert instance.get_run_ids(only) == [record.id]
        assert instance.get_runs_count(only) == 1
        assert [run.run_id for run in instance.get_runs(only)] == [record.id]
        assert [row.dagster_run.run_id for row in instance.get_run_records(only)] == [record.id]
        assert instance.get_run_ids(RunsFilter(run_ids=[record.id, "none"])) == [record.id]


def test_each_connection_prepares_a_statement_once(workshop: Workshop) -> None:
    engine = database.engine(workshop.project)
    statement = text("SELECT CAST(:number AS INTEGER) + 1")
    with noted(engine) as statements:
        with engine.connect() as connection:
            assert send(connection, statement, {"number": 1}).scalar_one() == 2
            assert send(connection, statement, {"number": 2}).scalar_one() == 3
        assert execute(engine, statement, {"number": 3}) == [(4,)]
        with engine.connect() as connection:
            connection.invalidate()
        assert execute(engine, statement, {"number": 4}) == [(5,)]
        with engine.connect() as connection:
            assert send(connection, statement, {"number": 5}).scalar_one() == 6
    sent = [each.split()[0] for each in statements if "runbook_" in each]
    assert sent == ["PREPARE", "EXECUTE", "EXECUTE", "EXECUTE", "PREPARE", "EXECUTE", "EXECUTE"]


def test_what_goes_wrong_with_a_statement_has_the_names_of_sqlalchemy(workshop: Workshop) -> None:
    engine = database.engine(workshop.project)
    with pytest.raises(DataError):
        execute(engine, text("SELECT CAST(:word AS INTEGER)"), {"word": "x"})
    with pytest.raises(OperationalError) as caught:
        execute(engine, text("SELECT pg_terminate_backend(pg_backend_pid())"), {})
    assert caught.value.connection_invalidated
    assert execute(engine, text("SELECT 1"), {}) == [(1,)]


def test_the_settings_of_a_project_without_a_file_are_those_of_dagster_yaml() -> None:
    import yaml

    assert yaml.safe_load((ROOT / "dagster.yaml").read_text()) == SETTINGS


def test_a_missing_database_is_one_sentence(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(database.VARIABLE, "postgresql://nobody:hunter2@127.0.0.1:1/none")
    with pytest.raises(DatabaseError) as caught, stored_instance(workshop.project):
        pass
    assert "cannot reach the database" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_the_events_of_a_moment_are_stored_in_one_statement(workshop: Workshop) -> None:
    simple(workshop)
    with (
        stored_instance(workshop.project) as instance,
        noted(instance.event_log_storage._engine) as statements,  # type: ignore[attr-defined]
    ):
        job = build_definitions(workshop.project.root).resolve_job_def("rb_test")
        run = instance.create_run_for_job(job)
        for word in ("one", "two", "three"):
            instance.report_engine_event(word, run)
        stored = instance.all_logs(run.run_id)
    store = f"EXECUTE {database._prepared(dagster_storage._STORE).name} "
    assert len([each for each in statements if each.startswith(store)]) == 1
    assert [entry.dagster_event.message for entry in stored if entry.dagster_event] == ["one", "two", "three"]


def test_events_that_wait_are_stored_without_being_asked_for(workshop: Workshop) -> None:
    import time

    simple(workshop)
    with stored_instance(workshop.project) as instance:
        job = build_definitions(workshop.project.root).resolve_job_def("rb_test")
        run = instance.create_run_for_job(job)
        instance.report_engine_event("hello", run)
        count = text("SELECT count(*) FROM event_logs WHERE run_id = :run")
        deadline = time.monotonic() + 10
        with database.engine(workshop.project).connect() as connection:
            while connection.scalar(count, {"run": run.run_id}) == 0:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def test_a_run_is_told_how_it_stands_whoever_else_writes_events_meanwhile(workshop: Workshop) -> None:
    simple(workshop)
    with stored_instance(workshop.project) as instance:
        job = build_definitions(workshop.project.root).resolve_job_def("rb_test")
        run = instance.create_run_for_job(job)
        storage: Any = instance.event_log_storage

        class Interrupted:
            """The lock of the rows; each time that it is let go, somebody wants to write."""

            lock = storage._lock

            def __enter__(self) -> None:
                self.lock.acquire()

            def __exit__(self, *error: object) -> None:
                self.lock.release()
                storage._lock = self.lock  # once is enough
                other = threading.Thread(target=storage.flush)
                other.start()
                other.join(1)

        storage._lock = Interrupted()
        event = DagsterEvent(event_type_value="PIPELINE_START", job_name=run.job_name)
        instance.report_dagster_event(event, run_id=run.run_id)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None and found.status is DagsterRunStatus.STARTED
        assert len(instance.all_logs(run.run_id)) == 1


def test_what_could_not_be_stored_is_stored_with_the_next(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runbook_factory import recorder

    simple(workshop)
    monkeypatch.setattr(recorder, "RETRY_SECONDS", ())
    with stored_instance(workshop.project) as instance:
        job = build_definitions(workshop.project.root).resolve_job_def("rb_test")
        run = instance.create_run_for_job(job)
        storage = instance._event_storage
        with monkeypatch.context() as away:

            def refuse(rows: object, run: object) -> None:
                raise OperationalError("INSERT", None, Exception("the database is away"))

            away.setattr(storage, "_write", refuse)
            instance.report_engine_event("one", run)
            with pytest.raises(OperationalError):
                storage.flush()  # type: ignore[attr-defined]
        instance.report_engine_event("two", run)
        stored = instance.all_logs(run.run_id)
    assert [entry.dagster_event.message for entry in stored if entry.dagster_event] == ["one", "two"]
