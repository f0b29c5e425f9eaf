"""`rb replay` at the command line: what can be wrong has a sentence and an exit code of its own."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from runbook_defs.execution import ExecutionRecord
from runbook_factory import database
from runbook_factory.leases import LOST, Lease
from tests.scripted import Says, Server
from tests.workshop import Workshop

Rb = Callable[..., Any]
Change = Callable[..., None]
Steps = list[dict[str, Any]]


@pytest.fixture
def here(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """The workshop, with the current folder in it."""
    monkeypatch.chdir(workshop.project.root)
    return workshop


@pytest.fixture
def change(here: Workshop) -> Change:
    """Changes the database."""

    def do(statement: str, **values: Any) -> None:
        with database.engine(here.project).connect() as connection:
            assert connection.execute(text(statement), values).rowcount > 0

    return do


def steps(server: Server) -> Steps:
    """Something that is read, and something that is written."""
    server.answers = {"/a": Says({"n": 3}), "/post": Says({"id": 1})}
    read = {"source_url": f"{server.url}/a", "headers": {"X-Api-Key": "${API_TOKEN}"}}
    write = {"endpoint": "/post", "method": "POST", "body": {"n": "${steps.a.outputs.n}"}}
    return [
        {"id": "a", "type": "data_fetch", "inputs": read, "outputs": {"n": "$.n"}},
        {"id": "b", "type": "api_call", "inputs": write, "depends_on": ["a"]},
    ]


@pytest.fixture
def recorded(here: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch) -> ExecutionRecord:
    """A live execution that went well."""
    monkeypatch.setenv("API_TOKEN", "token-that-is-nowhere-7319")
    here.file("connections.yaml", f"connections:\n  api: {{type: http, base_url: '{server.url}'}}\n")
    here.runbook(steps(server))
    record = here.live()
    assert record.status.value == "success", record.reason
    return record


def refused(rb: Rb, *args: str) -> str:
    """What stands on stderr when the command cannot do it."""
    answer = rb("replay", *args)
    assert answer.code == 2, answer
    assert answer.out == ""
    assert "internal error" not in answer.err
    return str(answer.err)


def not_replayable(rb: Rb, *args: str) -> str:
    """What stands on stdout when the record is not enough; as JSON it says the same."""
    answer = rb("replay", *args)
    assert (answer.code, answer.err) == (2, "")
    assert answer.out.startswith("NOT REPLAYABLE because ")
    as_json = rb("replay", *args, "--format", "json")
    assert as_json.code == 2
    report = json.loads(as_json.out)
    assert report["verdict"] == "not_replayable"
    assert report["reason"] in answer.out
    return str(answer.out)


# Names of executions


def test_an_execution_that_is_not_there(rb: Rb, recorded: ExecutionRecord) -> None:
    assert "there is no execution '00000000'" in refused(rb, "00000000")
    assert "`rb ls --all` lists them" in refused(rb, "exec-2001-01-01-abcdef")


@pytest.mark.parametrize(
    "name", ["nonsense", "", "../../etc/passwd", "abc", "%", "'; --", "\u00e9\u00e9\u00e9\u00e9"]
)
def test_what_is_no_name_of_an_execution(rb: Rb, here: Workshop, name: str) -> None:
    said = refused(rb, name)
    assert "is not the name of an execution" in said
    assert "exec-2025-11-29-abc123" in said


@pytest.mark.parametrize("name", ["exec-2025-13-45-abc123", "exec-0000-00-00-abc123"])
def test_a_name_with_a_day_that_is_none(rb: Rb, here: Workshop, name: str) -> None:
    assert name in refused(rb, name)


def test_a_start_that_two_executions_have(rb: Rb, here: Workshop, change: Change) -> None:
    ids = [f"abcdabcd-0000-4000-8000-00000000000{n}" for n in range(2)]
    for one in ids:
        change(
            "INSERT INTO runbook.runbook_executions "
            "(id, runbook_id, runbook_version, status, format_version) "
            "VALUES (:id, 'x', '1.0.0', 'success', 2)",
            id=one,
        )
    said = refused(rb, "abcdabcd")
    assert "more than one execution is called 'abcdabcd'" in said
    assert "give more of its id" in said
    change("DELETE FROM runbook.runbook_executions WHERE id::text LIKE 'abcdabcd%'")


# Executions that no replay can do again


def test_one_that_still_runs(rb: Rb, here: Workshop, recorded: ExecutionRecord, change: Change) -> None:
    lease = Lease(database.engine(here.project), recorded.id)
    change("UPDATE runbook.runbook_executions SET status = 'running' WHERE id = :id", id=recorded.id)
    assert "it is still running" in not_replayable(rb, recorded.id)
    lease.release()


def test_one_whose_process_was_lost(rb: Rb, recorded: ExecutionRecord, change: Change) -> None:
    change("UPDATE runbook.runbook_executions SET status = 'running' WHERE id = :id", id=recorded.id)
    assert "its process was lost" in not_replayable(rb, recorded.id)
    assert LOST in rb("show", recorded.id).out


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("""metadata = metadata || '{"reason": "cancelled"}', status = 'aborted'""", "it was cancelled"),
        ("format_version = 99", "its record has the format 99, and this program reads up to"),
        ("mode = 'rollback'", "it is itself a rollback"),
        ("definition_digest = NULL", "its definition is not in the database"),
    ],
)
def test_one_that_ended_in_another_way(
    rb: Rb, recorded: ExecutionRecord, change: Change, what: str, reason: str
) -> None:
    change(f"UPDATE runbook.runbook_executions SET {what} WHERE id = :id", id=recorded.id)
    assert reason in not_replayable(rb, recorded.id)


def test_one_that_ended_before_its_first_step(rb: Rb, here: Workshop, recorded: ExecutionRecord) -> None:
    here.file("connections.yaml", "connections: [nonsense\n")
    record = here.live()
    said = not_replayable(rb, record.id)
    assert "it ended before its first step: " in said
    assert "connections.yaml" in said


def test_one_with_an_answer_that_was_cut(rb: Rb, recorded: ExecutionRecord, change: Change) -> None:
    change(
        """UPDATE runbook.runbook_step_logs SET exchanges = replace(exchanges::text, '"json": {"n": 3}',
        '"body_digest": "x", "body_bytes": 9000000, "truncated": true')::json
        WHERE execution_id = :id AND step_id = 'a'""",
        id=recorded.id,
    )
    said = not_replayable(rb, recorded.id)
    assert "the answer of exchange 1 of step 'a', 9,000,000 bytes, was cut" in said


def test_one_with_an_answer_that_is_gone(rb: Rb, here: Workshop, server: Server, change: Change) -> None:
    server.answers = {"/a": Says({"n": "z" * 3000, "own": str(uuid4())})}
    here.runbook([{"id": "a", "type": "data_fetch", "inputs": {"source_url": f"{server.url}/a"}}])
    record = here.live()
    digest = record.steps[0].exchanges[0]["body_digest"]
    change("DELETE FROM runbook.bodies WHERE digest = :digest", digest=digest)
    said = not_replayable(rb, record.id)
    assert f"the answer of exchange 1 of step 'a' is not in the database: its body {digest[:12]}" in said


def test_one_whose_body_is_another(rb: Rb, here: Workshop, server: Server, change: Change) -> None:
    server.answers = {"/a": Says({"n": "z" * 3000, "own": str(uuid4())})}
    here.runbook([{"id": "a", "type": "data_fetch", "inputs": {"source_url": f"{server.url}/a"}}])
    record = here.live()
    digest = record.steps[0].exchanges[0]["body_digest"]
    change("UPDATE runbook.bodies SET bytes = '{}' WHERE digest = :digest", digest=digest)
    assert "is not what was stored under that name" in not_replayable(rb, record.id)
    change("DELETE FROM runbook.bodies WHERE digest = :digest", digest=digest)


def test_one_whose_type_of_step_is_gone(rb: Rb, recorded: ExecutionRecord, change: Change) -> None:
    """As when a package was uninstalled: the definition is whole, but means nothing here."""
    for_it = {"id": recorded.id}
    (definition,) = _texts(recorded.id)
    definition = definition.replace('"data_fetch"', '"data_fetch_of_old"')
    whole = json.dumps({"text": definition, "files": {}}, sort_keys=True)
    digest = hashlib.sha256(whole.encode()).hexdigest()
    change(
        "INSERT INTO runbook.definitions (digest, runbook_id, text) VALUES (:digest, 'rb-test', :text)",
        digest=digest,
        text=definition,
    )
    change(
        "UPDATE runbook.runbook_executions SET definition_digest = :digest WHERE id = :id",
        digest=digest,
        **for_it,
    )
    said = not_replayable(rb, recorded.id)
    assert "its definition is not valid for this version of the program: line " in said
    assert "unknown step type 'data_fetch_of_old'" in said
    change("UPDATE runbook.runbook_executions SET definition_digest = NULL WHERE id = :id", **for_it)
    change("DELETE FROM runbook.definitions WHERE digest = :digest", digest=digest)


def _texts(execution: str) -> list[str]:
    from runbook_factory.project import find_project

    query = (
        "SELECT text FROM runbook.definitions JOIN runbook.runbook_executions ON digest = definition_digest "
        "WHERE runbook.runbook_executions.id = :id"
    )
    with database.engine(find_project()).connect() as connection:
        return list(connection.execute(text(query), {"id": execution}).scalars())


def test_a_replay_of_a_replay_names_where_it_came_from(
    rb: Rb, here: Workshop, recorded: ExecutionRecord
) -> None:
    here.replay(recorded.id)
    said = not_replayable(rb, here.replayed.id)
    assert f"it is itself a replay of {recorded.id}" in said
    assert "replay the execution it came from" in said


# What is around


def test_a_database_that_is_away(rb: Rb, here: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    database.engine.cache_clear()
    monkeypatch.setenv(database.VARIABLE, "postgresql://nobody:hidden@127.0.0.1:9/nothing")
    for args in [("abcd",), ("abcd", "--against", "current")]:
        said = refused(rb, *args)
        assert "cannot reach the database" in said
        assert "hidden" not in said
    database.engine.cache_clear()


def test_no_project(rb: Rb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert "no project here" in refused(rb, "abcd")


# Options


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("abcd", "--last", "3"), "--last goes with --against"),
        (("abcd", "--allow-writes"), "--allow-writes goes with --live"),
        (("abcd", "--against", "current", "--live"), "leave --against out"),
        (("abcd", "--against", "current", "--last", "2", "--live"), "leave --live out"),
        (("rb-nothing", "--against", "current", "--last", "2"), "no runbook 'rb-nothing'"),
        (("exec-2025-11-29-abc123", "--against", "current", "--last", "2"), "no runbook 'exec-2025"),
    ],
)
def test_options_that_do_not_go_together(
    rb: Rb, here: Workshop, args: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refused(rb, *args)


@pytest.mark.parametrize(
    "args", [(), ("abcd", "--last", "0"), ("abcd", "--last", "x"), ("abcd", "--format", "xml")]
)
def test_options_of_no_meaning(rb: Rb, here: Workshop, args: tuple[str, ...]) -> None:
    answer = rb("replay", *args)
    assert answer.code == 2
    assert "internal error" not in answer.err


# Another definition


@pytest.mark.parametrize("name", ["nothing.yaml", "runbooks", "runbooks/rb-test"])
def test_against_what_is_no_file(rb: Rb, recorded: ExecutionRecord, name: str) -> None:
    assert f"there is no file {name}" in refused(rb, recorded.id, "--against", name)


def test_against_a_broken_file(rb: Rb, here: Workshop, recorded: ExecutionRecord) -> None:
    here.file("broken.yaml", "id: [\n")
    answer = rb("replay", recorded.id, "--against", "broken.yaml")
    assert answer.code == 1
    assert "broken.yaml:" in answer.out


def test_against_another_runbook(rb: Rb, here: Workshop, server: Server, recorded: ExecutionRecord) -> None:
    here.runbook(steps(server), id="rb-other")
    path = "runbooks/rb-other/runbook.yaml"
    said = refused(rb, recorded.id, "--against", path)
    assert f"{path} is the runbook 'rb-other', not 'rb-test'" in said
    backtest = refused(rb, "rb-test", "--against", path, "--last", "1")
    assert f"{path} is the runbook 'rb-other', not 'rb-test'" in backtest


def test_against_a_runbook_that_is_gone_or_broken(rb: Rb, here: Workshop, recorded: ExecutionRecord) -> None:
    path = here.file("runbooks/rb-test/runbook.yaml", "id: [\n")
    answer = rb("replay", recorded.id, "--against", "current")
    assert answer.code == 1
    assert "runbook.yaml:" in answer.out
    path.unlink()
    assert "no runbook 'rb-test'" in refused(rb, recorded.id, "--against", "current")
    answer = rb("replay", recorded.id)
    assert (answer.code, answer.out.splitlines()[-1]) == (0, "REPLAY VERIFIED")


def test_against_one_that_lost_a_step(
    rb: Rb, here: Workshop, server: Server, recorded: ExecutionRecord
) -> None:
    here.runbook(steps(server)[:1])
    answer = rb("replay", recorded.id, "--against", "current")
    assert answer.code == 1
    assert "is no longer in the definition" in answer.out
    assert "REPLAY DEVIATED at b" in answer.out
    noted = rb("replay", recorded.id)
    assert noted.code == 0
    assert "the runbook has changed since in b" in noted.out


def test_against_one_that_sends_true_for_one(
    rb: Rb, here: Workshop, server: Server, recorded: ExecutionRecord
) -> None:
    changed = steps(server)
    changed[1]["inputs"]["body"] = {"n": 1}
    here.runbook(changed)
    record = here.live()
    changed[1]["inputs"]["body"] = {"n": True}
    here.runbook(changed)
    answer = rb("replay", record.id, "--against", "current")
    assert answer.code == 1, answer.out


def test_a_backtest_of_nothing(rb: Rb, here: Workshop, server: Server) -> None:
    here.runbook(steps(server), id="rb-never-ran")
    said = refused(rb, "rb-never-ran", "--against", "current", "--last", "3")
    assert "no live execution of rb-never-ran is recorded" in said
    assert "rb run rb-never-ran" in said


# Live


def test_live_without_its_connection(rb: Rb, here: Workshop, recorded: ExecutionRecord) -> None:
    here.file("connections.yaml", "connections: {}\n")
    answer = rb("replay", recorded.id, "--live", "--allow-writes")
    assert answer.code in (1, 2)
    assert "connection 'api'" in answer.out + answer.err
    assert "internal error" not in answer.err


def test_live_without_its_secret(rb: Rb, recorded: ExecutionRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_TOKEN")
    answer = rb("replay", recorded.id, "--live")
    assert answer.code in (1, 2)
    assert "API_TOKEN" in answer.out
    assert rb("replay", recorded.id).code == 0


def test_live_with_the_other_side_gone(rb: Rb, recorded: ExecutionRecord, server: Server) -> None:
    server.stop()
    answer = rb("replay", recorded.id, "--live")
    assert answer.code == 1
    assert "availability" in answer.out
    assert "connection refused" in answer.out
    assert "REPLAY DEVIATED at a" in answer.out


# As data


def test_json_of_a_verified_replay(rb: Rb, recorded: ExecutionRecord) -> None:
    answers = [rb("replay", recorded.id, "--format", "json") for _ in range(2)]
    assert answers[0].code == 0
    assert answers[0].out == answers[1].out
    report = json.loads(answers[0].out)
    assert (report["format"], report["verdict"]) == (1, "verified")
    assert recorded.id not in answers[0].out


def test_json_of_a_replay_that_deviates(rb: Rb, recorded: ExecutionRecord, change: Change) -> None:
    change(
        """UPDATE runbook.runbook_step_logs SET outputs = '{"n": 4}' WHERE execution_id = :id AND
        step_id = 'a'""",
        id=recorded.id,
    )
    answer = rb("replay", recorded.id, "--format", "json")
    report = json.loads(answer.out)
    assert (answer.code, report["verdict"], report["at"]) == (1, "deviated", "a")


def test_json_when_there_is_no_verdict(rb: Rb, here: Workshop) -> None:
    assert "is not the name of an execution" in refused(rb, "nonsense", "--format", "json")


# Interrupted


def test_an_interrupt_ends_it_and_is_recorded(
    here: Workshop, recorded: ExecutionRecord, server: Server
) -> None:
    server.answers["/a"] = Says({"n": 3}, delay=20)
    asked = len(server.asked)
    command = [sys.executable, "-c", "from cli.main import main; main()", "replay", recorded.id, "--live"]
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    ) as process:
        deadline = time.monotonic() + 15
        while len(server.asked) == asked and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=15)
    assert process.returncode == 130, out + err
    with database.engine(here.project).connect() as connection:
        row = connection.execute(
            text("SELECT status, metadata->>'reason' FROM runbook.runbook_executions WHERE parent_id = :id"),
            {"id": recorded.id},
        ).one()
    assert tuple(row) == ("aborted", "cancelled")
    assert err == "rb: interrupted\n"
