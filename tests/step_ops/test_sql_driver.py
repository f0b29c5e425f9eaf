"""The SQL driver on a real PostgreSQL and on SQLite files."""

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from step_ops.drivers.sql import query
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import SqlRequest, SqlRows
from step_ops.secrets import Secret

NASTY = [
    "'; DROP TABLE orders; --",
    "1 OR 1=1",
    "\\'; DROP TABLE orders; --",
    "%s %(n)s %%",
    ":id $1 ?",
    "${secret('x')}",
    '"',
    "ünï\u2028cödé \U0001f600",
]


@dataclass(frozen=True)
class Database:
    """A database of a test's own, with a table of two orders."""

    url: str
    execute: Callable[[str], list[Any]]

    def ask(self, text: str, *, timeout: float = 30.0, **more: Any) -> SqlRows:
        cancelled = more.pop("cancelled", None)
        options = {key: more.pop(key) for key in ("read_only", "max_rows") if key in more}
        request = SqlRequest(connection="shop", query=text, params=more, timeout=timeout, **options)
        return query(request, url=self.url, cancelled=cancelled)

    def failure(self, text: str, **more: Any) -> StepError:
        with pytest.raises(StepError) as caught:
            self.ask(text, **more)
        return caught.value

    def orders(self) -> list[Any]:
        return self.execute("SELECT id, title FROM orders ORDER BY id")


TABLE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, title TEXT)"
ROWS = "INSERT INTO orders VALUES (1, 'one'), (2, 'two')"


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    path = tmp_path / "a shop?#%.db"

    def execute(text: str) -> list[Any]:
        connection = sqlite3.connect(path)
        with connection:
            found = connection.execute(text).fetchall()
        connection.close()
        return found

    execute(TABLE)
    execute(ROWS)
    from urllib.parse import quote

    return Database("sqlite:///" + quote(str(path)), execute)


@pytest.fixture
def pg(postgres: str) -> Iterator[Database]:
    name = f"shop_{uuid4().hex}"
    url = make_url(postgres).set(drivername="postgresql")

    def on(address: str, text: str) -> list[Any]:
        connection = psycopg2.connect(address)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    server = url.render_as_string(hide_password=False)
    on(server, f"CREATE DATABASE {name}")
    address = url.set(database=name).render_as_string(hide_password=False)
    on(address, TABLE)
    on(address, ROWS)
    yield Database(address, lambda text: on(address, text))
    busy = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    deadline = time.monotonic() + 10
    while on(server, busy) != [(0,)]:
        assert time.monotonic() < deadline, "a connection was left open"
        time.sleep(0.02)
    on(server, f"DROP DATABASE {name}")


@pytest.fixture(params=["pg", "sqlite"])
def shop(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


def test_a_query_gives_its_rows_by_the_names_of_their_columns(shop: Database) -> None:
    answer = shop.ask("SELECT id, title AS name FROM orders WHERE id <= :most ORDER BY id", most=2)
    assert answer == SqlRows(rows=({"id": 1, "name": "one"}, {"id": 2, "name": "two"}), count=2)
    assert shop.ask("SELECT id FROM orders WHERE id > 9;") == SqlRows()


@pytest.mark.parametrize("value", NASTY)
def test_whatever_a_parameter_holds_stays_data(shop: Database, value: str) -> None:
    (row,) = shop.ask("SELECT CAST(:value AS TEXT) AS value, '%s :value' AS text", value=value).rows
    assert row == {"value": value, "text": "%s :value"}
    assert shop.ask("SELECT id FROM orders WHERE title = :value", value=value).rows == ()
    written = shop.ask("INSERT INTO orders VALUES (3, :value)", value=value, read_only=False)
    assert written == SqlRows(count=1)
    assert shop.orders()[2] == (3, value)


def test_a_secret_among_the_parameters_is_sent(shop: Database) -> None:
    (row,) = shop.ask("SELECT CAST(:pin AS TEXT) AS pin", pin=Secret("PIN", "fake-123456")).rows
    assert row == {"pin": "fake-123456"}


WRITES = [
    "INSERT INTO orders VALUES (3, 'three')",
    "UPDATE orders SET title = 'x'",
    "DELETE FROM orders",
    "INSERT INTO orders VALUES (3, 'three') RETURNING id",
    "CREATE TABLE other (id INTEGER)",
    "DROP TABLE orders",
]


@pytest.mark.parametrize("write", WRITES)
def test_a_read_step_that_writes_is_refused_by_the_database(shop: Database, write: str) -> None:
    error = shop.failure(write)
    assert error.type is ErrorType.SQL
    assert "the step is read-only, but its query writes" in error.message
    assert "`effect: write`" in error.hint
    assert shop.orders() == [(1, "one"), (2, "two")]


@pytest.mark.parametrize(
    "write",
    [
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone",
        "SELECT set_config('transaction_read_only', 'off', false), nextval('numbers')",
        "SELECT change()",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM orders; END $$",
        "DO $$ BEGIN COMMIT; DELETE FROM orders; END $$",
        "SELECT id INTO other FROM orders",
        "SELECT * FROM orders FOR UPDATE",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "COPY orders FROM PROGRAM 'echo 3'",
        "SET TRANSACTION READ WRITE",
        "COMMIT; DELETE FROM orders",
    ],
)
def test_no_statement_leaves_the_read_only_transaction_of_postgres(pg: Database, write: str) -> None:
    pg.execute("CREATE SEQUENCE numbers")
    pg.execute("CREATE FUNCTION change() RETURNS int LANGUAGE sql AS 'DELETE FROM orders RETURNING id'")
    assert pg.failure(write).type is ErrorType.SQL
    assert pg.orders() == [(1, "one"), (2, "two")]
    assert pg.execute("SELECT is_called FROM numbers") == [(False,)]


def test_no_statement_of_a_read_step_reaches_another_sqlite_file(sqlite: Database, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    for text in (f"ATTACH '{other}' AS other", f"VACUUM INTO '{other}'", "PRAGMA user_version = 3"):
        assert sqlite.failure(text).type is ErrorType.SQL
    sqlite.ask("PRAGMA query_only = OFF")
    assert not other.exists()
    assert sqlite.execute("PRAGMA user_version") == [(0,)]


def test_a_write_is_kept_and_tells_how_many_rows_it_wrote(shop: Database) -> None:
    assert shop.ask("UPDATE orders SET title = 'x'", read_only=False) == SqlRows(count=2)
    assert shop.orders() == [(1, "x"), (2, "x")]
    answer = shop.ask("DELETE FROM orders WHERE id = :id RETURNING id", id=1, read_only=False)
    assert answer == SqlRows(rows=({"id": 1},), count=1)
    assert shop.ask("CREATE TABLE other (id INTEGER)", read_only=False).rows == ()
    assert shop.ask("SELECT id FROM other").rows == ()


def test_a_write_that_gives_too_many_rows_is_taken_back(shop: Database) -> None:
    error = shop.failure("DELETE FROM orders RETURNING id", read_only=False, max_rows=1)
    assert "gives more than 1 rows" in error.message
    assert len(shop.orders()) == 2


NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i FROM n"


def test_many_rows_come_whole_and_too_many_are_an_error(shop: Database) -> None:
    answer = shop.ask(NUMBERS.format(10_000))
    assert answer.count == len(answer.rows) == 10_000
    error = shop.failure(NUMBERS.format(10_001))
    assert error.type is ErrorType.SQL
    assert error.message == "database 'shop': the query gives more than 10,000 rows"
    assert "max_rows" in error.hint


def test_rows_that_are_too_large_are_an_error(shop: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("step_ops.drivers.sql.MAX_BYTES", 20_000)
    wide = "SELECT i, '{}' AS text FROM ({}) AS many".format("x" * 1000, NUMBERS.format(100))
    assert "the rows are more than" in shop.failure(wide).message


def test_a_row_without_end_costs_postgres_and_us_no_memory(pg: Database) -> None:
    """The rows come by a cursor: nobody makes the ten thousand million that nobody asked for."""
    assert "more than 10,000 rows" in pg.failure("SELECT generate_series(1, 10000000000) AS i").message


def test_values_of_postgres_become_json(pg: Database) -> None:
    (row,) = pg.ask(
        """
        SELECT 1.50 AS exact, 3::numeric AS whole, 0.1234567890123456789::numeric AS long,
            'NaN'::float8 AS nan, '-Infinity'::numeric AS least, 12345678901234567890::numeric AS large,
            date '2025-11-29' AS day, timestamptz '2025-11-29 09:00+00' AT TIME ZONE 'UTC' AS moment,
            time '09:30' AS hour, interval '1 hour 30 seconds' AS long_time, '\\xff00'::bytea AS bytes,
            'c0ffee00-0000-4000-8000-000000000000'::uuid AS id, '{"a": [1, null]}'::jsonb AS data,
            ARRAY[1.5, 2] AS list, ARRAY[[1], [2]] AS nested, inet '10.0.0.1' AS address, true AS yes,
            int4range(1, 5) AS range, NULL AS nothing, 'ü' AS text
        """
    ).rows
    assert json.loads(json.dumps(row, allow_nan=False)) == {
        "exact": 1.5,
        "whole": 3,
        "long": "0.1234567890123456789",
        "nan": "NaN",
        "least": "-Infinity",
        "large": "12345678901234567890",
        "day": "2025-11-29",
        "moment": "2025-11-29T09:00:00",
        "hour": "09:30:00",
        "long_time": 3630.0,
        "bytes": "/wA=",
        "id": "c0ffee00-0000-4000-8000-000000000000",
        "data": {"a": [1, None]},
        "list": [1.5, 2],
        "nested": [[1], [2]],
        "address": "10.0.0.1",
        "yes": True,
        "range": "[1, 5)",
        "nothing": None,
        "text": "ü",
    }


def test_values_of_sqlite_become_json(sqlite: Database) -> None:
    (row,) = sqlite.ask(
        "SELECT 1 AS n, 1.5 AS x, 'ü' AS text, x'ff00' AS bytes, NULL AS none, 9e999 AS inf"
    ).rows
    assert row == {"n": 1, "x": 1.5, "text": "ü", "bytes": "/wA=", "none": None, "inf": "Infinity"}


def test_lists_and_mappings_can_be_parameters(pg: Database, sqlite: Database) -> None:
    ids = "SELECT id FROM orders WHERE id = ANY(:ids)"
    assert pg.ask(ids, ids=[2, 3]).rows == ({"id": 2},)
    assert pg.ask(ids, ids=[]).rows == ()
    (row,) = pg.ask("SELECT CAST(:data AS jsonb) AS data", data={"a": [{"b": "'"}]}).rows
    assert row == {"data": {"a": [{"b": "'"}]}}
    ids = "SELECT id FROM orders WHERE id IN (SELECT value FROM json_each(:ids))"
    assert sqlite.ask(ids, ids=[2, 3]).rows == ({"id": 2},)


def test_two_columns_of_one_name_are_refused(shop: Database) -> None:
    error = shop.failure("SELECT a.id, b.id FROM orders AS a JOIN orders AS b ON a.id = b.id")
    assert "two columns called 'id'" in error.message


def test_statements_that_have_no_cursor_can_be_asked(pg: Database) -> None:
    assert pg.ask("SHOW transaction_read_only").rows == ({"transaction_read_only": "on"},)
    assert pg.ask("EXPLAIN SELECT 1").count == 1


def test_a_missing_table_is_told_in_the_words_of_the_database(pg: Database, sqlite: Database) -> None:
    error = pg.failure("SELECT * FROM nope")
    assert (error.type, error.message) == (
        ErrorType.SQL,
        "database 'shop': relation \"nope\" does not exist",
    )
    assert error.details == {"state": "42P01"}
    assert sqlite.failure("SELECT * FROM nope").message == "database 'shop': no such table: nope"


def test_a_mistake_in_the_query_is_told_in_the_words_of_the_database(shop: Database) -> None:
    error = shop.failure("SELEC 1")
    assert error.type is ErrorType.SQL
    assert "syntax error" in error.message
    assert "SELEC" in error.message


def test_a_broken_rule_of_a_table_is_told_with_its_detail(pg: Database) -> None:
    error = pg.failure("INSERT INTO orders VALUES (1, 'again')", read_only=False)
    assert "duplicate key" in error.message
    assert error.details == {"state": "23505", "detail": "Key (id)=(1) already exists."}


@pytest.mark.parametrize("value", ["\ud800", 2**70])
def test_a_value_that_sqlite_cannot_hold_is_told(sqlite: Database, value: Any) -> None:
    assert sqlite.failure("SELECT CAST(:value AS TEXT)", value=value).type is ErrorType.SQL


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_text_that_postgres_cannot_hold_is_told(pg: Database, value: Any) -> None:
    assert pg.failure("SELECT CAST(:value AS TEXT)", value=value).type is ErrorType.SQL


def test_a_date_beyond_python_is_told(pg: Database) -> None:
    error = pg.failure("SELECT date '0044-03-15 BC' AS ides")
    assert error.type is ErrorType.SQL
    assert "cast it to text" in error.hint


# Time


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_statement_ends_at_its_timeout(shop: Database) -> None:
    error = shop.failure(ENDLESS, timeout=0.3)
    assert error.type is ErrorType.TIMEOUT
    assert "within 0.3 s" in error.message


def test_a_cancelled_statement_ends(shop: Database) -> None:
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    assert shop.failure(ENDLESS, cancelled=cancelled).type is ErrorType.CANCELLED


def test_a_write_that_was_cut_short_wrote_nothing(pg: Database) -> None:
    error = pg.failure("UPDATE orders SET title = pg_sleep(20)::text", timeout=0.3, read_only=False)
    assert error.type is ErrorType.TIMEOUT
    assert pg.orders() == [(1, "one"), (2, "two")]


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:pa55word@127.0.0.1:{silent.getsockname()[1]}/db"
        error = Database(url, lambda _: []).failure("SELECT 1", timeout=0.3)
    assert error.type is ErrorType.TIMEOUT
    assert "pa55word" not in error.message


# Addresses


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_server_that_is_away_is_told_without_the_password() -> None:
    url = f"postgresql://u:p%40ss5ecret@127.0.0.1:{free_port()}/db?sslpassword=0ther-secret"
    error = Database(url, lambda _: []).failure("SELECT 1")
    assert error.type is ErrorType.CONNECTION
    assert "refused" in error.message
    assert "5ecret" not in f"{error.message}{error.hint}{error.details}"


def test_a_message_of_the_database_that_repeats_the_password_is_masked(pg: Database) -> None:
    url = make_url(pg.url).set(password="p@55word").render_as_string(hide_password=False)
    error = Database(url, lambda _: []).failure("SELECT CAST('p@55word p%4055word' AS int)")
    assert error.message == "database 'shop': invalid input syntax for type integer: \"*** ***\""


def test_a_connection_lost_midway_is_told(pg: Database) -> None:
    error = pg.failure("SELECT pg_terminate_backend(pg_backend_pid())")
    assert error.type is ErrorType.CONNECTION


def test_a_sqlite_file_that_is_missing_is_told_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    for read_only in (True, False):
        error = Database(f"sqlite:///{path}", lambda _: []).failure("SELECT 1", read_only=read_only)
        assert error.type is ErrorType.CONNECTION
        assert "unable to open database file" in error.message
    assert not path.exists()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("not a database, but a text that is long enough" * 100)
    error = Database(f"sqlite:///{tmp_path}/a.db", lambda _: []).failure("SELECT * FROM a")
    assert "file is not a database" in error.message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pa55word",
        "mysql://u:pa55word@127.0.0.1/db",
        "postgresql://u:pa55word@127.0.0.1:port/db",
        "postgresql://u:x@pa55word@127.0.0.1/db",
        "postgresql+nosuchdriver://u:pa55word@127.0.0.1:1/db",
        "postgresql://u:pa55word@127.0.0.1:1/db?nosuch=1",
        "postgresql://u:pa55word@[::1/db",
        "http://u:pa55word@127.0.0.1/",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///relative.db",
        "sqlite:///file:/tmp/a.db?mode=rwc",
        "postgresql://u:pa55word@\0/db",
    ],
)
def test_an_address_that_is_none_is_refused_and_never_shown(url: str) -> None:
    error = Database(url, lambda _: []).failure("SELECT 1")
    assert error.type in {ErrorType.CONFIG, ErrorType.CONNECTION, ErrorType.SQL}
    assert "pa55word" not in f"{error.message}{error.hint}{error.details}"


def test_a_database_that_asks_for_writing_by_its_address_gets_none(pg: Database) -> None:
    url = pg.url + ("&" if "?" in pg.url else "?") + "options=-c%20default_transaction_read_only%3Doff"
    error = Database(url, lambda _: []).failure("DELETE FROM orders")
    assert "read-only" in error.message


def test_no_thread_of_a_statement_is_left(shop: Database) -> None:
    shop.ask("SELECT 1 AS n")
    deadline = time.monotonic() + 5
    while any(thread.name == "sql" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
