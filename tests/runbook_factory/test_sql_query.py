"""`sql_query` in a runbook: checked, told by a fixture, run on real databases, recorded, played back."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook_defs.execution import ExecutionRecord, Status
from runbook_factory import database
from runbook_factory.catalog import check_file
from step_ops.cassette import Cassette, Entry, Fixture
from step_ops.connections import Connections, HttpConnection, SqlConnection, load_connections
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import SqlRequest, SqlRows
from step_ops.files import Folder
from step_ops.gate import Exchange, Gate
from step_ops.playback import Playback
from step_ops.recording import record_exchange
from step_ops.redaction import Redactor
from step_ops.registry import step_types
from step_ops.step_type import Effect, Result
from tests.workshop import Workshop

PASSWORD = "pa55word-of-the-shop"


def step(query: str, step_id: str = "load", **more: Any) -> dict[str, Any]:
    inputs = {"connection": "shop", "query": query, **more.pop("inputs", {})}
    return {"id": step_id, "type": "sql_query", "inputs": inputs, **more}


def error(record: ExecutionRecord) -> dict[str, Any]:
    (found,) = record.steps[0].errors
    return found


@pytest.fixture
def shop(workshop: Workshop) -> Path:
    """A SQLite file that the project calls `shop`."""
    path = workshop.project.root / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, title TEXT)")
        connection.execute("INSERT INTO orders VALUES (1, 'one'), (2, 'two')")
    connection.close()
    workshop.file("connections.yaml", f'connections:\n  shop: {{type: sql, url: "sqlite:///{path}"}}\n')
    return path


# In a test


def test_the_rows_of_a_fixture_are_the_result(workshop: Workshop) -> None:
    query = "SELECT id\n  FROM orders WHERE day = :day"
    expect = {"sql": "SELECT id FROM orders WHERE day = :day", "params": {"day": "2025-11-29"}}
    outputs = {"rows": "$.rows", "ids": "$.rows[*].id", "n": "$.count"}
    workshop.runbook(
        [step(query, inputs={"params": {"day": "${DAY}"}}, outputs=outputs)],
    )
    record = workshop.test(
        steps={"load": [{"takes_seconds": 2, "rows": [{"id": 1}, {"id": 2}], "expect": expect}]},
        inputs={"DAY": "2025-11-29"},
    )
    assert record.status is Status.SUCCESS, record.reason
    assert record.steps[0].outputs == {"rows": [{"id": 1}, {"id": 2}], "ids": [1, 2], "n": 2}
    assert record.steps[0].summary == "2 rows"
    assert record.duration_seconds == 2


@pytest.mark.parametrize(
    ("entry", "summary", "count"),
    [
        ({"rows": [], "count": 3}, "3 rows written", 3),
        ({"rows": [{"id": 1}]}, "1 row written", 1),
    ],
)
def test_a_fixture_tells_how_many_rows_were_written(
    workshop: Workshop, entry: dict[str, Any], summary: str, count: int
) -> None:
    workshop.runbook([step("DELETE FROM orders", effect="write", outputs={"n": "$.count"})])
    record = workshop.test(steps={"load": [entry]})
    assert (record.steps[0].summary, record.steps[0].outputs) == (summary, {"n": count})


@pytest.mark.parametrize(
    ("told", "kind", "message"),
    [
        ('relation "orders" does not exist', "sql", "database 'shop': relation \"orders\" does not exist"),
        ("timeout", "timeout", "database 'shop': no answer in time (told by the fixture)"),
        ("refused", "connection", "database 'shop': connection refused (told by the fixture)"),
        ("connection: database 'shop': gone", "connection", "database 'shop': gone"),
    ],
)
def test_a_fixture_tells_of_errors(workshop: Workshop, told: str, kind: str, message: str) -> None:
    workshop.runbook([step("SELECT 1")])
    found = error(workshop.test(steps={"load": [{"error": told}]}))
    assert (found["type"], found["message"]) == (kind, message)


@pytest.mark.parametrize(
    ("expect", "difference"),
    [
        ({"sql": "SELECT 2"}, "sql is 'SELECT 1', expected 'SELECT 2'"),
        ({"params": {"a": 1}}, "params.a is missing"),
        ({"method": "GET"}, "it sends no method"),
        ({"headers": {"X-One": "1"}}, "the header 'X-One'"),
    ],
)
def test_what_was_not_asked_as_expected_fails_the_step(
    workshop: Workshop, expect: dict[str, Any], difference: str
) -> None:
    workshop.runbook([step("SELECT 1")])
    found = error(workshop.test(steps={"load": [{"rows": [], "expect": expect}]}))
    assert found["type"] == "cassette"
    assert difference in found["message"]


def test_a_query_without_an_entry_or_with_an_http_answer_fails_the_step(workshop: Workshop) -> None:
    workshop.runbook([step("SELECT 1")])
    assert "sent the query 'SELECT 1'" in error(workshop.test())["message"]
    found = error(workshop.test(steps={"load": [{"status": 200}]}))
    assert found["type"] == "cassette"
    assert "entry 1 of the fixture is http" in found["message"]


def test_the_cap_on_rows_holds_in_a_test_too(workshop: Workshop) -> None:
    workshop.runbook([step("SELECT 1", inputs={"max_rows": 1})])
    found = error(workshop.test(steps={"load": [{"rows": [{"a": 1}, {"a": 2}]}]}))
    assert (found["type"], "more than 1 rows" in found["message"]) == ("sql", True)


def test_a_count_alone_is_no_exchange() -> None:
    for entry in ({"count": 3}, {"status": 200, "count": 3}):
        with pytest.raises(ValueError, match="beside `rows`"):
            Entry.model_validate(entry)


# What is checked before


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"query": "SELECT '${DAY}'"}, "a query takes no ${...}"),
        ({"query": "${QUERY}"}, "a query takes no ${...}"),
        ({"query": "SELECT :day"}, "there is no 'day' under `params`"),
        ({"query": "SELECT 1", "params": {"day": 1}}, "the query does not name :day"),
        ({"query": "SELECT 1; SELECT 2"}, "more than one statement"),
        ({"query": "SELECT 1", "params": {"a b": 1}}, "'a b' cannot be named in a query"),
        ({"query": "SELECT 1", "max_rows": 0}, "max_rows"),
        ({"query": "SELECT 1", "rows": 5}, "sql_query has no input 'rows'"),
        ({"query": "missing.sql"}, "the file 'missing.sql' is not there"),
    ],
)
def test_mistakes_are_found_before_a_run(workshop: Workshop, inputs: dict[str, Any], message: str) -> None:
    workshop.runbook([step("", inputs=inputs)])
    checked = check_file(workshop.project.runbook_file("rb-test"))
    assert [message in item.message for item in checked.errors] == [True]


def test_in_a_file_an_expression_is_only_text(workshop: Workshop, shop: Path) -> None:
    workshop.file("runbooks/rb-test/q.sql", "\ufeffSELECT '${DAY}' AS day, :n AS n;\n")
    workshop.runbook([step("q.sql", inputs={"params": {"n": 3}}, outputs={"rows": "$.rows"})])
    record = workshop.live()
    assert record.steps[0].outputs == {"rows": [{"day": "${DAY}", "n": 3}]}
    assert [item["kind"] for item in record.steps[0].reads] == ["file"]


def test_a_file_with_parameters_that_are_not_given_fails_the_step(workshop: Workshop) -> None:
    workshop.file("runbooks/rb-test/q.sql", "SELECT :day")
    workshop.runbook([step("q.sql")])
    assert "the query names :day" in error(workshop.test())["message"]


# Live


def test_a_live_run_reads_and_writes_and_is_recorded(
    workshop: Workshop, shop: Path, query: Callable[..., list[Any]]
) -> None:
    workshop.runbook(
        [
            step(
                "SELECT id, title FROM orders WHERE id = :id",
                inputs={"params": {"id": 2}},
                outputs={"rows": "$.rows"},
            ),
            step(
                "UPDATE orders SET title = :title",
                "save",
                depends_on=["load"],
                effect="write",
                inputs={"params": {"title": "${steps.load.outputs.rows[0].title}'; DROP TABLE orders; --"}},
            ),
        ]
    )
    record = workshop.live()
    assert record.status is Status.SUCCESS, record.reason
    assert [item.summary for item in record.steps] == ["1 row", "2 rows written"]
    with sqlite3.connect(shop) as connection:
        assert (
            connection.execute("SELECT title FROM orders").fetchall()
            == [("two'; DROP TABLE orders; --",)] * 2
        )
    connection.close()
    stored = query(
        "SELECT exchanges FROM runbook.runbook_step_logs WHERE execution_id = :id ORDER BY position",
        id=record.id,
    )
    load, save = (row[0][0] for row in stored)
    assert load["rows"] == [{"id": 2, "title": "two"}]
    assert load["request"] == {
        "connection": "shop",
        "sql": "SELECT id, title FROM orders WHERE id = :id",
        "params": {"id": 2},
        "read_only": True,
    }
    assert (save["rows"], save["count"], save["request"]["read_only"]) == ([], 2, False)
    again = {"load": [load], "save": [save]}
    assert [item.outputs for item in workshop.test(steps=again).steps] == [
        item.outputs for item in record.steps
    ]


def test_a_step_that_does_not_say_so_cannot_write(workshop: Workshop, shop: Path) -> None:
    workshop.runbook([step("DELETE FROM orders")])
    found = error(workshop.live())
    assert (found["type"], found["hint"]) == (
        "sql",
        "if it is meant to change data, say `effect: write` on the step",
    )
    with sqlite3.connect(shop) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)
    connection.close()


def test_an_address_can_be_a_secret_and_is_stored_nowhere(
    workshop: Workshop, postgres: str, monkeypatch: pytest.MonkeyPatch, query: Callable[..., list[Any]]
) -> None:
    url = database.normalized(postgres).set(drivername="postgresql", password=PASSWORD)
    monkeypatch.setenv("SHOP_URL", url.render_as_string(hide_password=False))
    workshop.file("connections.yaml", "connections:\n  shop: {type: sql, url: \"${secret('SHOP_URL')}\"}\n")
    workshop.runbook(
        [
            step("SELECT 1 AS n", "a", outputs={"n": "$.rows[0].n"}),
            step("SELECT * FROM missing", "b", depends_on=["a"], on_failure="log_and_continue"),
        ]
    )
    record = workshop.live()
    assert record.steps[0].outputs == {"n": 1}, record.reason
    assert 'relation "missing" does not exist' in record.steps[1].errors[0]["message"]
    (read,) = record.steps[0].reads
    assert (read["kind"], read["name"]) == ("secret", "SHOP_URL")
    rows = query(
        "SELECT to_jsonb(l)::text FROM runbook.runbook_step_logs l WHERE execution_id = :id", id=record.id
    )
    assert PASSWORD not in f"{rows}{record}{workshop.dagster_events}"


def test_what_a_database_lacks_is_told_before_step_one(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_URL", raising=False)
    workshop.runbook([step("SELECT 1")])
    workshop.file("connections.yaml", "connections:\n  shop: {type: sql, url: \"${secret('SHOP_URL')}\"}\n")
    assert workshop.live().reason == "secret 'SHOP_URL' is not set"
    workshop.file("connections.yaml", 'connections:\n  shop: {type: sql, url: "${SHOP_URL}"}\n')
    assert workshop.live().reason == "connection 'shop' needs the environment variable SHOP_URL"
    workshop.file("connections.yaml", "connections: {}\n")
    assert workshop.live().reason == "there is no connection 'shop' in connections.yaml"


# Connections


def test_a_secret_that_is_part_of_an_address_is_quoted_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "db.test:5432")
    path = tmp_path / "connections.yaml"
    path.write_text("connections: {a: {type: sql, url: \"postgresql://u:${secret('pw')}@${HOST}/x\"}}")
    url = load_connections(path).database("a", secret=lambda name: f"{name}@/:")
    assert url == "postgresql://u:pw%40%2F%3A@db.test:5432/x"


def test_a_connection_is_used_only_for_what_it_is() -> None:
    connections = Connections(
        {
            "api": HttpConnection(type="http", base_url="http://x.test"),
            "shop": SqlConnection(type="sql", url=f"postgresql://u:{PASSWORD}@x.test/y"),
        }
    )
    with pytest.raises(StepError, match="'shop' is a database") as caught:
        connections.url("shop")
    assert PASSWORD not in caught.value.message
    with pytest.raises(StepError, match="'api' is of type http, not a database"):
        connections.database("api", secret=str)


# The gate, the record and the way back


class _Shelf:
    def keep(self, name: str, data: bytes) -> str:
        return name

    def baseline(self, name: str) -> bytes | None:
        return None


class _Answering:
    """The part of a world that a query reaches."""

    def __init__(self) -> None:
        self.asked: list[SqlRequest] = []

    def elapsed(self) -> float:
        return 0.0

    def sql(self, request: SqlRequest, secret: Any) -> SqlRows:
        self.asked.append(request)
        return SqlRows()


@pytest.mark.parametrize(
    ("effect", "read_only"), [(Effect.READ, True), (Effect.TELEMETRY, True), (Effect.WRITE, False)]
)
def test_the_gate_decides_who_may_write(effect: Effect, read_only: bool) -> None:
    world: Any = _Answering()
    gate = Gate(
        world, runbook="r", execution="e", redactor=Redactor(b"k" * 32), shelf=_Shelf(), effect=effect
    )
    gate.sql(SqlRequest(connection="a", query="SELECT 1", read_only=not read_only))
    assert [item.read_only for item in world.asked] == [read_only]
    assert gate.exchanges[0].request == world.asked[0]


def test_many_rows_are_recorded_by_digest_and_answer_a_playback(tmp_path: Path) -> None:
    rows = tuple({"id": number, "token": "fake-token-123456"} for number in range(500))
    request = SqlRequest(connection="a", query="SELECT 1", params={"ids": list(range(2000))})
    redactor, stored = Redactor(b"k" * 32), {}
    redactor.register("TOKEN", "fake-token-123456")

    def keep(data: bytes) -> tuple[str, bool]:
        stored[str(len(stored))] = data
        return str(len(stored) - 1), False

    said = Exchange(request=request, response=SqlRows(rows=rows, count=500), error=None, at=0, seconds=1.5)
    entry = record_exchange(said, redactor=redactor, keep=keep)
    assert json.loads(stored[entry["request"]["body_digest"]]) == {"ids": list(range(2000))}
    assert "rows" not in entry
    assert b"fake-token" not in b"".join(stored.values())
    entry.pop("body_bytes")
    fixture = Fixture.model_validate({"format": 1, "runbook": "r", "steps": {"s": [entry]}})
    cassette = Cassette(fixture, tmp_path / "f.json", stored.__getitem__)
    world = Playback(cassette, step="s", begins=0, files=Folder(tmp_path))
    answer = world.sql(request, lambda name: pytest.fail("a test needs no address"))
    pseudonym = redactor.pseudonym("TOKEN", "fake-token-123456")
    assert answer.rows[499] == {"id": 499, "token": pseudonym}
    assert (answer.count, world.elapsed()) == (500, 1.5)


def test_rows_that_were_cut_cannot_be_played_back(tmp_path: Path) -> None:
    entry = {"body_digest": "x", "request": {}}
    fixture = Fixture.model_validate({"format": 1, "runbook": "r", "steps": {"s": [entry]}})
    for bodies in (None, lambda name: b'[{"a": '):
        world = Playback(
            Cassette(fixture, tmp_path / "f.json", bodies), step="s", begins=0, files=Folder(tmp_path)
        )
        with pytest.raises(StepError) as caught:
            world.sql(SqlRequest(connection="a", query="SELECT 1"), lambda name: pytest.fail(name))
        assert caught.value.type is ErrorType.CASSETTE


def test_a_failed_query_is_recorded_so_that_it_fails_alike_again(tmp_path: Path) -> None:
    failure = StepError(ErrorType.SQL, "database 'a': no such table: t")
    request = SqlRequest(connection="a", query="SELECT * FROM t")
    said = Exchange(request=request, response=None, error=failure, at=0, seconds=0)
    entry = record_exchange(said, redactor=Redactor(b"k" * 32), keep=lambda data: ("", False))
    fixture = Fixture.model_validate({"format": 1, "runbook": "r", "steps": {"s": [entry]}})
    world = Playback(Cassette(fixture, tmp_path / "f.json"), step="s", begins=0, files=Folder(tmp_path))
    with pytest.raises(StepError) as caught:
        world.sql(request, lambda name: pytest.fail(name))
    assert (caught.value.type, caught.value.message) == (failure.type, failure.message)


def test_the_summary_counts_rows() -> None:
    summary = step_types()["sql_query"].summary
    assert summary(Result(value={"rows": [], "count": 0}), {}) == "0 rows"
    assert summary(Result(value={"rows": [{}], "count": 1}), {}) == "1 row"


def test_checking_a_query_loads_no_database_client() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from step_ops.registry import step_types; step_types()['sql_query'].parse("
        "{'connection': 'a', 'query': 'SELECT 1'}); import step_ops.live, step_ops.connections;"
        "print([name for name in ('sqlalchemy', 'psycopg2', 'sqlite3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
