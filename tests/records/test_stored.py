"""Every record that was ever stored can be loaded, read and saved again as it is."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Engine, text

from demo.app import DEFAULT_TOKEN
from runbook_defs.execution import Status
from runbook_factory import database, schema
from runbook_factory.execution_log import get_execution
from tests.records import save as save_command
from tests.records.stored import Record, load, read, save
from tests.workshop import Workshop

FORMAT_1 = {
    "aborted-live": Status.ABORTED,
    "cancelled-live": Status.ABORTED,
    "denied-live": Status.ABORTED,
    "dq-001-live": Status.SUCCESS,
    "everything-live": Status.SUCCESS,
    "gov-001-live": Status.SUCCESS,
    "gov-001-test-busy": Status.SUCCESS,
    "kpi-missed-live": Status.FAILURE,
    "lost-live": Status.FAILURE,
    "rb-001-live": Status.SUCCESS,
    "rb-001-no-screenshot-live": Status.SUCCESS,
    "rb-001-test": Status.SUCCESS,
    "truncated-live": Status.SUCCESS,
}
FOLDER = Path(__file__).parent / "format-1"
ANY = FOLDER / "gov-001-live.json"

each = pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def own_database(postgres: str) -> Iterator[Engine]:
    """Of its own, because a shared one knows some of the bodies, definitions and actors already."""
    url = database.normalized(postgres)
    server = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE stored_records"))
    engine = sqlalchemy.create_engine(url.set(database="stored_records"), isolation_level="AUTOCOMMIT")
    schema.ensure(engine)
    yield engine
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE stored_records"))
    server.dispose()


@pytest.fixture
def engine(own_database: Engine) -> Iterator[Engine]:
    """On a database without any record."""
    yield own_database
    with own_database.connect() as connection:
        connection.execute(text("TRUNCATE runbook.bodies, runbook.definitions, runbook.actors CASCADE"))


def test_every_record_is_still_there() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(FORMAT_1)


@each
def test_a_record_that_was_loaded_is_saved_as_it_was(engine: Engine, path: Path, tmp_path: Path) -> None:
    save(engine, load(engine, path), tmp_path / "again.json")
    assert _with_columns_of(read(path), read(tmp_path / "again.json")) == read(path)


@each
def test_a_record_that_was_loaded_can_be_read(engine: Engine, path: Path) -> None:
    record = get_execution(engine, load(engine, path))
    rows = read(path)["runbook_step_logs"]
    assert record.status is FORMAT_1[path.stem]
    assert record.mode == ("test" if "-test" in path.stem else "live")
    assert record.actor and record.actor.name == "ann@laptop"
    assert [step.step_id for step in (*record.probes, *record.steps)] == [row["step_id"] for row in rows]
    assert [step.exchanges for step in record.steps[-1:]] == [tuple(row["exchanges"]) for row in rows[-1:]]


@each
def test_the_token_that_the_runs_used_is_not_in_a_record(path: Path) -> None:
    bodies = [bytes.fromhex(body["bytes"].removeprefix("\\x")) for body in read(path)["bodies"]]
    for place in (path.read_bytes(), *bodies):
        assert not [form for form in _spellings(DEFAULT_TOKEN) if form in place]


@pytest.mark.parametrize("before", ["", "a", "ab", "Bearer "])
def test_a_token_is_found_wherever_it_stands_in_base64(before: str) -> None:
    place = base64.b64encode(f"{before}{DEFAULT_TOKEN}, and more".encode())
    assert any(form in place for form in _spellings(DEFAULT_TOKEN))


@each
def test_what_a_record_names_by_its_digest_is_in_the_file(path: Path) -> None:
    record = read(path)
    steps = record["runbook_step_logs"]
    exchanges = [exchange for step in steps for exchange in step["exchanges"]]
    named = {name for definition in record["definitions"] for name in definition["files"].values()}
    named |= {picture["digest"] for step in steps for picture in step["pictures"]}
    for place in (*exchanges, *(exchange["request"] for exchange in exchanges)):
        named |= {place[key] for key in ("body_digest", "picture_digest") if key in place}
    assert named == {body["digest"] for body in record["bodies"]}


def test_loading_a_record_twice_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    assert load(engine, ANY) == load(engine, ANY)
    save(engine, load(engine, ANY), tmp_path / "again.json")
    assert _with_columns_of(read(ANY), read(tmp_path / "again.json")) == read(ANY)


def test_a_column_that_is_new_has_its_default_and_is_saved(engine: Engine, tmp_path: Path) -> None:
    table = "ALTER TABLE runbook.runbook_step_logs"
    with engine.connect() as connection:
        connection.execute(text(f"{table} ADD COLUMN lanes INTEGER NOT NULL DEFAULT 4"))
        try:
            save(engine, load(engine, ANY), tmp_path / "again.json")
        finally:
            connection.execute(text(f"{table} DROP COLUMN lanes"))
    assert {row["lanes"] for row in read(tmp_path / "again.json")["runbook_step_logs"]} == {4}


def test_a_column_that_is_no_more_is_left_out(engine: Engine, tmp_path: Path) -> None:
    content = json.loads(ANY.read_text(encoding="utf-8"))
    content["tables"]["runbook_executions"][0]["colour"] = "blue"
    (tmp_path / "with-colour.json").write_text(json.dumps(content), encoding="utf-8")
    assert get_execution(engine, load(engine, tmp_path / "with-colour.json")).status is Status.SUCCESS


def test_an_execution_that_is_not_there_cannot_be_saved(engine: Engine, tmp_path: Path) -> None:
    missing = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(LookupError, match=missing):
        save(engine, missing, tmp_path / "nothing.json")
    assert not list(tmp_path.iterdir())


def test_the_command_saves_an_execution_of_the_project_around_the_current_folder(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    workshop.runbook([{"id": "pause", "type": "wait", "inputs": {"seconds": 0.01}}])
    record = workshop.live()
    monkeypatch.chdir(workshop.project.root)
    monkeypatch.setattr(sys, "argv", ["save", record.id, "saved.json"])
    save_command.main()
    found = get_execution(engine, load(engine, workshop.project.root / "saved.json"))
    assert (found.id, found.steps[0].summary) == (record.id, record.steps[0].summary)


def test_the_command_says_that_an_execution_is_not_there(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workshop.project.root)
    monkeypatch.setattr(sys, "argv", ["save", "exec-2001-01-01-abcdef", "saved.json"])
    with pytest.raises(SystemExit, match="there is no execution 'exec-2001-01-01-abcdef'"):
        save_command.main()


def _with_columns_of(old: Record, new: Record) -> Record:
    """`new` without the columns that tables got since `old` was stored."""
    return {
        table: [
            {name: row[name] for name in as_it_was} for row, as_it_was in zip(new[table], rows, strict=True)
        ]
        for table, rows in old.items()
    }


def _spellings(token: str) -> list[bytes]:
    """The token as it is, in hexadecimal, and in base64 at each of the three places it can begin at."""
    plain = token.encode()
    encoded = [
        base64.b64encode(b" " * begin + plain)[-(-begin * 4 // 3) : (begin + len(plain)) * 4 // 3]
        for begin in range(3)
    ]
    return [plain, plain.hex().encode(), *encoded]
