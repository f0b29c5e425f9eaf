"""What we rely on of Dagster's private parts: one test each, so that an upgrade that breaks one says so."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from dagster import (
    DagsterEventType,
    DagsterRunStatus,
    HookContext,
    ResourceDefinition,
    RunsFilter,
    success_hook,
)
from dagster_postgres import PostgresRunStorage
from dagster_shared.record import copy
from sqlalchemy import text

from runbook_factory import dagster_storage, database, executor, runs
from runbook_factory.catalog import load_runbook
from runbook_factory.database import DatabaseError, as_text, normalized, send
from runbook_factory.definitions import build_definitions
from runbook_factory.instance import SETTINGS, stored_instance
from runbook_factory.jobs import build_job
from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parents[2]


def simple(workshop: Workshop) -> None:
    workshop.runbook([{"id": "a", "type": "schema_check", "inputs": {"entities": [{}], "schema": "s.json"}}])
    workshop.file("runbooks/rb-test/s.json", "{}")


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


def test_an_event_of_a_step_is_stored_as_its_log_record_would_be(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple(workshop)

    def stored() -> list[tuple[object, ...]]:
        workshop.live()
        return [
            (
                entry.level,
                entry.user_message,
                entry.step_key,
                entry.job_name,
                told.event_type,
                told.logging_tags,
            )
            for entry in workshop.dagster_events
            if (told := entry.dagster_event)
        ]

    ours = stored()
    monkeypatch.setattr(executor, "store_directly", lambda context: None)
    assert without_run(ours) == without_run(stored())


def without_run(entries: list[tuple[object, ...]]) -> list[str]:
    """Without what differs from run to run: its id, and how long things took."""
    return [re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9.]+ms", "...", str(entry)) for entry in entries]


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
    from sqlalchemy import event

    engine = database.engine(workshop.project)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2].split()[0]))
    statement = text("SELECT CAST(:number AS INTEGER) + 1")
    with engine.connect() as connection:
        assert send(connection, statement, {"number": 1}).scalar_one() == 2
        assert send(connection, statement, {"number": 2}).scalar_one() == 3
    with engine.connect() as connection:
        assert send(connection, statement, {"number": 3}).scalar_one() == 4
        connection.invalidate()
    with engine.connect() as connection:
        assert send(connection, statement, {"number": 4}).scalar_one() == 5
    assert statements == ["PREPARE", "EXECUTE", "EXECUTE", "EXECUTE", "PREPARE", "EXECUTE"]


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
    from sqlalchemy import event

    simple(workshop)
    statements: list[str] = []
    with stored_instance(workshop.project) as instance:
        storage = instance._event_storage._engine  # type: ignore[attr-defined]
        job = build_definitions(workshop.project.root).resolve_job_def("rb_test")
        run = instance.create_run_for_job(job)
        event.listen(storage, "before_cursor_execute", lambda *args: statements.append(args[2]))
        for word in ("one", "two", "three"):
            instance.report_engine_event(word, run)
        stored = instance.all_logs(run.run_id)
    store = f"EXECUTE {database._prepared(dagster_storage._STORE).name} "
    assert len([each for each in statements if each.startswith(store)]) == 1
    assert [entry.dagster_event.message for entry in stored if entry.dagster_event] == ["one", "two", "three"]


def test_events_that_wait_are_stored_without_being_asked_for(workshop: Workshop) -> None:
    import time

    from sqlalchemy import text

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


def test_what_could_not_be_stored_is_stored_with_the_next(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    from runbook_factory import recorder

    simple(workshop)
    monkeypatch.setattr(recorder, "RETRY_SECONDS", ())
    with stored_instance(workshop.project) as instance:
        job = build_definitions(workshop.project.root).resolve_job_def("rb_test")
        run = instance.create_run_for_job(job)
        storage = instance._event_storage
        with monkeypatch.context() as away:

            def refuse(rows: object) -> None:
                raise OperationalError("INSERT", None, Exception("the database is away"))

            away.setattr(storage, "_write", refuse)
            instance.report_engine_event("one", run)
            with pytest.raises(OperationalError):
                storage.flush()  # type: ignore[attr-defined]
        instance.report_engine_event("two", run)
        stored = instance.all_logs(run.run_id)
    assert [entry.dagster_event.message for entry in stored if entry.dagster_event] == ["one", "two"]
