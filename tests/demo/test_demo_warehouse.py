"""The demo's warehouse: what is in it, and that the shipped queries find it on both databases."""

import re
import subprocess
import sys
from collections import Counter

import pytest
from sqlalchemy import create_engine, make_url

from demo.fixture_text import WIDTH, as_text
from demo.quality_fixtures import ask, window
from demo.warehouse import AS_OF, ORDERS, make, orders
from step_ops.drivers.sql import query
from step_ops.exchanges import SqlRequest

QUERIES = "runbooks/dq-001-data-quality"


def asked(url, root):
    """What the step type gets from the database."""
    answers = {}
    for path in sorted((root / QUERIES).glob("*.sql")):
        text = path.read_text()
        params = {name: value for name, value in window().items() if f":{name}" in text}
        request = SqlRequest(connection="warehouse", query=text, params=params)
        answers[path.stem] = [dict(row) for row in query(request, url=url).rows]
    return answers


def test_each_night_brings_20_orders_and_some_of_them_twice():
    twice = [key for key, count in Counter(row["order_id"] for row in orders()).items() if count > 1]
    assert len(orders()) == 60 * 20 + len(twice)
    assert len(twice) == 6


def test_the_last_load_is_of_the_morning_it_is_of_and_two_nights_older_when_spoilt():
    hours = [(AS_OF.timestamp() - rows[-1]["loaded_at"]) / 3600 for rows in (orders(), orders(spoilt=True))]
    assert hours == [5, 53]


@pytest.mark.parametrize("spoilt", [False, True])
def test_the_queries_find_just_the_mistakes_that_were_made(root, spoilt):
    since, until = window().values()
    seen = [row for row in orders(spoilt=spoilt) if since <= row["loaded_at"] <= until]
    found = ask(root / QUERIES, spoilt=spoilt)
    last = max(row["loaded_at"] for row in seen)
    assert found["volume"] == [{"orders": len(seen), "last_loaded_at": last}]
    lacking = [row for row in seen if row["customer_id"] is None or row["amount_cents"] is None]
    assert found["nulls"] == [{"incomplete": len(lacking)}]
    copies = {row["order_id"]: row["copies"] for row in found["duplicates"]}
    assert copies == {key: n for key, n in Counter(row["order_id"] for row in seen).items() if n > 1}
    assert [row["order_id"] for row in found["latest"]] == [
        row["order_id"] for row in seen if row["loaded_at"] == last
    ]


def test_the_file_that_the_command_makes_has_the_same_answers(root, tmp_path):
    command = [sys.executable, "-m", "demo.warehouse", str(tmp_path / "a warehouse.db"), "--spoilt"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60)
    url = done.stdout.strip()
    assert url == f"sqlite:///{tmp_path}/a warehouse.db"
    assert asked(url, root) == ask(root / QUERIES, spoilt=True)


def test_making_it_again_puts_it_in_place_of_the_old_one(root, tmp_path):
    url = f"sqlite:///{tmp_path}/w.db"
    make(url, spoilt=True)
    make(url)
    assert asked(url, root) == ask(root / QUERIES)


def test_postgres_gives_the_same_answers(root, postgres):
    make(postgres)
    try:
        assert asked(postgres, root) == ask(root / QUERIES)
    finally:
        engine = create_engine(make_url(postgres).set(drivername="postgresql+psycopg2"))
        ORDERS.drop(engine)
        engine.dispose()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("no/such/folder/w.db", "unable to open database file"),
        ("postgresql://u:hidden-word@127.0.0.1:1/x", "Connection refused"),
        ("nothing://u:hidden-word@host/x", "this is no URL of a database"),
    ],
)
def test_a_place_it_cannot_have_is_one_sentence_without_the_password(root, tmp_path, place, reason):
    place = place if "://" in place else str(tmp_path / place)
    command = [sys.executable, "-m", "demo.warehouse", place]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("the warehouse cannot be made: ")
    assert reason in done.stderr
    assert "Traceback" not in done.stderr and "hidden-word" not in done.stderr


def test_fixtures_are_written_so_that_a_person_can_read_them():
    value = {"a": [{"n": number, "text": "x" * 40} for number in range(3)], "b": [], "c": {}}
    written = as_text(value)
    assert written.splitlines()[2] == '    {"n": 0, "text": "' + "x" * 40 + '"},'
    assert max(map(len, written.splitlines())) <= WIDTH
    assert re.search(r'\],\n  "b": \[\],\n  "c": \{\}\n\}\n$', written)
