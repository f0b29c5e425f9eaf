"""What we rely on of Dagster's private parts: one test each, so that an upgrade that breaks one says so."""

from pathlib import Path

import pytest
from dagster import DagsterEventType

from runbook_factory import database
from runbook_factory.database import DatabaseError, as_text, normalized
from runbook_factory.definitions import build_definitions
from runbook_factory.instance import SETTINGS, stored_instance
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
    assert len([each for each in statements if "INSERT INTO event_logs" in each]) == 1
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
