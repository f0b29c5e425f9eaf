"""Sensitive inputs: sealed in the database, sent to the world, and read by nobody else."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInvalidConfigError, validate_run_config

from runbook_defs.execution import ExecutionRecord
from runbook_defs.replay import Verdict
from runbook_factory.catalog import load_runbook
from runbook_factory.inputs import InputError
from runbook_factory.jobs import build_job
from runbook_factory.replay.recording import NotReplayable
from runbook_factory.sealed_inputs import split_inputs
from tests.scripted import Says, Server
from tests.workshop import Workshop

VALUE = "canary-of-ann-7f3a"
FORMS = (VALUE, "Y2FuYXJ5LW9mLWFubi03ZjNh")
KEYS = {"first": "a1" * 32, "second": "b2" * 32}
SENSITIVE = {"type": "string", "sensitive": True}
Query = Callable[..., list[Any]]
Rb = Callable[..., Any]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_KEY", KEYS["first"])
    for name in ("RUNBOOK_KEY_PREVIOUS", "customer", "DAGSTER_HOME", "RUNBOOK_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bench(workshop: Workshop, server: Server) -> Workshop:
    """A runbook that sends its sensitive input as a parameter, in a header and in a body."""
    server.answers["/say"] = lambda asked: Says({"echo": json.loads(asked.body), "path": asked.path})
    workshop.file("connections.yaml", f"connections: {{api: {{type: http, base_url: '{server.url}'}}}}\n")
    said = {
        "endpoint": "/say",
        "params": {"who": "${customer}"},
        "method": "POST",
        "headers": {"X-Customer": "is ${customer}"},
        "body": {"customer": "${customer}", "plain": "${day}", "all": "${inputs}"},
    }
    again = {"endpoint": "/say", "method": "POST", "body": "${steps.say.outputs.echo}"}
    workshop.runbook(
        [
            {
                "id": "say",
                "type": "api_call",
                "inputs": said,
                "effect": "read",
                "outputs": {"echo": "$.echo"},
            },
            {
                "id": "again",
                "type": "api_call",
                "inputs": again,
                "effect": "read",
                "depends_on": ["say"],
                "summary": "for ${customer}",
            },
        ],
        inputs={"customer": SENSITIVE, "day": {"type": "string"}},
    )
    return workshop


def run(bench: Workshop, value: str = VALUE) -> ExecutionRecord:
    record = bench.live(inputs={"customer": value, "day": "the-ides-of-march"})
    assert record.status.value == "success", record.reason
    return record


def test_the_world_gets_the_value_and_every_reader_its_pseudonym(
    bench: Workshop, server: Server, rb: Rb, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(bench)
    first = server.asked[0]
    assert first.path == f"/say?who={VALUE}"
    assert first.headers["x-customer"] == f"is {VALUE}"
    assert first.json() == {
        "customer": VALUE,
        "plain": "the-ides-of-march",
        "all": {"customer": VALUE, "day": "the-ides-of-march"},
    }
    assert server.asked[1].json()["customer"] == VALUE
    assert re.fullmatch(r"secret:customer#[0-9a-f]{10}", record.inputs["customer"])
    assert record.inputs["day"] == "the-ides-of-march"
    assert record.secrets == {"customer": record.inputs["customer"]}
    monkeypatch.chdir(bench.project.root)
    shown = rb("show", record.id, "--json").out + rb("show", record.id).out + rb("ls").out
    assert record.inputs["customer"] in shown
    for form in FORMS:
        assert form not in repr(record) + repr(bench.events) + shown + repr(bench.dagster_events)


def test_nothing_that_is_stored_holds_the_value(bench: Workshop, query: Query) -> None:
    record = run(bench)
    tables = query(
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    held = ""
    for schema, name in tables:
        held += "".join(row[0] for row in query(f'SELECT t::text FROM "{schema}"."{name}" AS t'))
    assert record.inputs["customer"] in held and "the-ides-of-march" in held
    for form in (*FORMS, *(form.encode().hex() for form in FORMS)):  # BYTEA is written as hex
        assert form not in held
    files = [path for path in bench.project.root.rglob("*") if path.is_file()]
    assert files and not [path for path in files if VALUE.encode() in path.read_bytes()]
    (row,) = query("SELECT * FROM runbook.sealed_inputs WHERE execution_id = :id", id=record.id)
    assert (row.name, len(row.nonce)) == ("customer", 12)


def test_run_config_has_no_place_for_it(bench: Workshop, query: Query) -> None:
    record = run(bench)
    (body,) = query("SELECT run_body FROM runs WHERE run_id = :id", id=record.id)
    assert json.loads(body.run_body)["run_config"]["inputs"] == {"day": "the-ides-of-march"}
    runbook = load_runbook(bench.project, "rb-test")
    with pytest.raises(DagsterInvalidConfigError, match='unexpected config entry "customer"') as caught:
        validate_run_config(build_job(runbook), {"inputs": {"customer": VALUE}})
    assert VALUE not in str(caught.value)
    assert split_inputs(runbook, {"customer": VALUE, "day": "x"}) == ({"day": "x"}, {"customer": VALUE})
    with pytest.raises(InputError, match="'customer' is not a string"):
        split_inputs(runbook, {"customer": 4711})


def test_a_value_of_the_environment_is_sealed_too(
    bench: Workshop, server: Server, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("customer", VALUE)
    record = bench.live(inputs={"day": "the-ides-of-march"})
    assert record.status.value == "success", record.reason
    assert server.asked[0].json()["customer"] == VALUE
    assert query("SELECT name FROM runbook.sealed_inputs WHERE execution_id = :id", id=record.id)
    assert record.inputs["customer"].startswith("secret:customer#")


def test_an_input_that_is_not_required_may_be_left_out(bench: Workshop, server: Server) -> None:
    body = {"endpoint": "/say", "method": "POST", "body": {"x": "${customer}"}}
    step = {"id": "a", "type": "api_call", "inputs": body, "effect": "read"}
    bench.runbook([step], inputs={"customer": {**SENSITIVE, "required": False}})
    record = bench.live()
    assert (record.status.value, record.inputs) == ("success", {"customer": None})
    assert server.asked[0].json() == {"x": None}


@pytest.mark.parametrize("value", ["short", "  a b  ", "secret"])
def test_a_value_that_cannot_be_masked_is_refused(bench: Workshop, server: Server, value: str) -> None:
    record = bench.live(inputs={"customer": value, "day": "the-ides-of-march"})
    assert record.status.value == "aborted"
    assert record.reason == "sensitive input 'customer' is too short to be masked safely"
    assert server.asked == []


def test_an_expression_cannot_compute_with_it(bench: Workshop, server: Server) -> None:
    for text, reason in (
        ("${len(customer)}", "len needs text, a list or a mapping, not a secret"),
        ("${customer == 'x'}", "a secret can be passed on, but not computed with"),
        ("${upper(customer)}", "upper needs text, not a secret"),
    ):
        body = {"endpoint": "/say", "method": "POST", "body": {"x": text}}
        step = {"id": "a", "type": "api_call", "inputs": body, "effect": "read"}
        bench.runbook([step], inputs={"customer": SENSITIVE})
        record = bench.live(inputs={"customer": VALUE})
        failure = record.steps[0].failure
        assert failure is not None
        assert reason in failure["message"]
        assert VALUE not in repr(record)
    assert server.asked == []


def test_an_address_takes_it_no_more_than_a_secret(bench: Workshop, server: Server) -> None:
    step = {"id": "a", "type": "api_call", "inputs": {"endpoint": "/say?who=${customer}"}}
    bench.runbook([step], inputs={"customer": SENSITIVE})
    record = bench.live(inputs={"customer": VALUE})
    assert record.status.value == "aborted" and VALUE not in repr(record)
    assert server.asked == []


def test_a_test_takes_it_from_the_fixture_and_seals_nothing(bench: Workshop, query: Query) -> None:
    answer = {"status": 200, "json": {"echo": {"customer": VALUE}}}
    steps = {"say": [answer], "again": [answer]}
    record = bench.test(steps=steps, inputs={"customer": VALUE, "day": "the-ides-of-march"})
    assert record.status.value == "success", record.reason
    assert record.inputs["customer"].startswith("secret:customer#") and VALUE not in repr(record)
    assert not query("SELECT 1 FROM runbook.sealed_inputs WHERE execution_id = :id", id=record.id)
    missing = bench.test(steps=steps, inputs={"day": "the-ides-of-march"})
    assert "input 'customer' of rb-test is missing" in missing.reason


def test_a_replay_from_the_record_needs_no_value(bench: Workshop, server: Server, query: Query) -> None:
    record = run(bench)
    query("DELETE FROM runbook.sealed_inputs WHERE execution_id = :id RETURNING 1", id=record.id)
    asked = len(server.asked)
    report = bench.replay(record.id)
    assert report.verdict is Verdict.VERIFIED, report
    assert len(server.asked) == asked
    assert bench.replayed.inputs["customer"] == record.inputs["customer"]


def test_a_backtest_needs_no_value_either(bench: Workshop, server: Server) -> None:
    record = run(bench)
    asked = len(server.asked)
    assert bench.replay(record.id, against="rb-test").verdict is Verdict.VERIFIED
    assert len(server.asked) == asked


def test_a_live_replay_sends_the_value_again_until_it_is_erased(
    bench: Workshop, server: Server, rb: Rb, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.project.root)
    record = run(bench)
    report = bench.replay(record.id, live=True)
    assert report.verdict is Verdict.VERIFIED, report
    assert server.asked[2].json()["customer"] == VALUE
    assert query("SELECT 1 FROM runbook.sealed_inputs WHERE execution_id = :id", id=bench.replayed.id)
    answer = rb("keys", "erase", record.id)
    assert (answer.out, answer.code) == (f"1 sealed input of {record.short_name} erased\n", 0)
    assert rb("keys", "erase", record.id).out.startswith("0 sealed inputs")
    asked = len(server.asked)
    answer = rb("replay", record.id, "--live")
    assert f"the sensitive input 'customer' of {record.id} is not kept any more" in answer.out + answer.err
    assert len(server.asked) == asked and answer.code != 0


def test_keys_are_rotated_without_opening_a_value(
    bench: Workshop, rb: Rb, query: Query, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.project.root)
    record = run(bench)
    query("DELETE FROM runbook.sealed_inputs WHERE execution_id <> :id RETURNING 1", id=record.id)
    sealed = "SELECT key_version, wrapped_key, ciphertext FROM runbook.sealed_inputs WHERE execution_id = :id"
    (before,) = query(sealed, id=record.id)
    monkeypatch.setenv("RUNBOOK_KEY", KEYS["second"])
    answer = rb("keys", "rotate")
    assert answer.code == 1
    assert f"of execution {record.id} was sealed with the key {before.key_version}" in answer.out
    assert "next: put the key of that time into RUNBOOK_KEY_PREVIOUS" in answer.out
    monkeypatch.setenv("RUNBOOK_KEY_PREVIOUS", f" {'c3' * 32}, {KEYS['first']} ")
    report = bench.replay(record.id, live=True)
    assert report.verdict is Verdict.VERIFIED, report
    answer = rb("keys", "rotate")
    assert (answer.out, answer.code) == ("1 sealed input put under the key of now\n", 0)
    (after,) = query(sealed, id=record.id)
    assert after.key_version != before.key_version and after.wrapped_key != before.wrapped_key
    assert after.ciphertext == before.ciphertext
    monkeypatch.delenv("RUNBOOK_KEY_PREVIOUS")
    assert rb("keys", "rotate").out == "0 sealed inputs put under the key of now\n"
    assert bench.replay(record.id, live=True).verdict is Verdict.VERIFIED
    assert server.asked[-1].json()["customer"] == VALUE


def test_more_values_than_are_wrapped_at_once_are_rotated(
    bench: Workshop, rb: Rb, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.project.root)
    monkeypatch.setattr("runbook_factory.sealed_inputs._AT_ONCE", 2)
    records = [run(bench) for _ in range(5)]
    monkeypatch.setenv("RUNBOOK_KEY", KEYS["second"])
    monkeypatch.setenv("RUNBOOK_KEY_PREVIOUS", KEYS["first"])
    # One that does not open keeps no other from the new key.
    query(
        "UPDATE runbook.sealed_inputs SET wrapped_key = '\\x00' WHERE execution_id = :id RETURNING 1",
        id=records[2].id,
    )
    answer = rb("keys", "rotate")
    assert answer.code == 1 and f"of execution {records[2].id} does not open" in answer.out
    version = "SELECT key_version FROM runbook.sealed_inputs WHERE execution_id = :id"
    versions = [query(version, id=record.id)[0].key_version for record in records]
    assert len(set(versions)) == 2 and versions.count(versions[0]) == 4
    query("DELETE FROM runbook.sealed_inputs WHERE execution_id = :id RETURNING 1", id=records[2].id)
    assert bench.replay(records[4].id, live=True).verdict is Verdict.VERIFIED


def test_a_row_that_was_moved_to_another_execution_is_found(
    bench: Workshop, server: Server, query: Query
) -> None:
    one, two = run(bench), run(bench, "another-canary-1b2c")
    query("DELETE FROM runbook.sealed_inputs WHERE execution_id = :id RETURNING 1", id=one.id)
    move = "UPDATE runbook.sealed_inputs SET execution_id = :one WHERE execution_id = :two RETURNING 1"
    query(move, one=one.id, two=two.id)
    asked = len(server.asked)
    with pytest.raises(NotReplayable, match="does not open: it was changed since it was sealed"):
        bench.replay(one.id, live=True)
    assert len(server.asked) == asked


def test_a_key_of_before_that_is_short_is_refused(
    bench: Workshop, rb: Rb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.project.root)
    monkeypatch.setenv("RUNBOOK_KEY_PREVIOUS", f"{KEYS['second']},hunter2")
    answer = rb("keys", "rotate")
    assert (answer.code, "hunter2" in answer.err) == (2, False)
    assert "RUNBOOK_KEY_PREVIOUS has a key that is shorter than 32 characters" in answer.err


def test_a_scenario_made_of_the_record_has_a_fake_value(
    bench: Workshop, rb: Rb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.project.root)
    record = run(bench)
    made = rb("pack", "from", record.id)
    assert made.code == 0, made.out + made.err
    fixtures = [path.read_text() for path in bench.project.pack("rb-test").rglob("*.json")]
    assert "not-a-real-customer" in "".join(fixtures) and VALUE not in "".join(fixtures)
    answer = rb("test", "rb-test")
    assert answer.code == 0, answer.out + answer.err


# From the command line


def test_a_command_line_takes_it_from_a_file_or_stdin(
    bench: Workshop, server: Server, rb: Rb, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bench.project.root
    monkeypatch.chdir(root)
    file = root.parent / f"{root.name}.txt"
    file.write_text(f"{VALUE}\n", encoding="utf-8")
    answer = rb("run", "rb-test", "-i", "day=the-ides-of-march", "-i", f"customer=@{file}")
    assert answer.code == 0, answer.out + answer.err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{VALUE}\n".encode())))
    again = rb("run", "rb-test", "-i", "day=the-ides-of-march", "-i", "customer=@-")
    assert again.code == 0, again.out + again.err
    assert [asked.json()["customer"] for asked in server.asked] == [VALUE] * 4
    assert VALUE not in answer.out + answer.err + again.out + again.err


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (f"customer={VALUE}", "is sensitive, and others on this machine see a command line"),
        ("customer=@absent.txt", "cannot read input 'customer' from absent.txt: no such file"),
        ("customer=@.", "cannot read input 'customer' from .: is a directory"),
        ("customer=@binary", "input 'customer' is not UTF-8 text"),
        ("customer=@large", "input 'customer' is larger than 64 KiB"),
        ("customer=@empty", "sensitive input 'customer' is too short to be masked safely"),
        ("day=tuesday", "input 'customer' of rb-test is missing\n    give it with -i customer=@FILE"),
    ],
)
def test_a_command_line_that_gives_it_wrong_says_how(
    bench: Workshop, server: Server, rb: Rb, given: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.project.root)
    Path("binary").write_bytes(b"\xff\xfe" * 10)
    Path("large").write_bytes(b"x" * 65_537)
    Path("empty").write_bytes(b"\n")
    answer = rb("run", "rb-test", "-i", "day=the-ides-of-march", "-i", given)
    assert answer.code == 2 and reason in answer.err
    assert VALUE not in answer.err and server.asked == []


TYPED = """
import os, pty, sys
pid, terminal = pty.fork()
if not pid:
    os.execvp(sys.argv[2], sys.argv[2:])
seen = b""
while b"customer: " not in seen:
    seen += os.read(terminal, 1024)
os.write(terminal, sys.argv[1].encode() + b"\\n")
try:
    while block := os.read(terminal, 1024):
        seen += block
except OSError:
    pass  # the end of a terminal
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_person_at_a_terminal_is_asked_for_it(bench: Workshop, server: Server) -> None:
    rb = [
        sys.executable,
        "-c",
        "from cli.main import main; main()",
        "run",
        "rb-test",
        "-i",
        "day=the-ides-of-march",
    ]
    done = subprocess.run(
        [sys.executable, "-c", TYPED, VALUE, *rb],
        cwd=bench.project.root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert server.asked[0].json()["customer"] == VALUE
    assert VALUE not in done.stdout
