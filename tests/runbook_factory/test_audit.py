"""The audit log in a real database: what is written, what is refused, what is found."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import ProgrammingError

from runbook_defs.execution import Status
from runbook_factory.audit.chain import Fault
from runbook_factory.audit.listening import follow
from runbook_factory.audit.log import MOST_CHARACTERS, Action, Entry, Outcome, append, head_of, last_entries
from runbook_factory.catalog import load_runbook
from runbook_factory.leases import settle_lost
from runbook_factory.recorder import AlreadyBegun, Recorder
from runbook_factory.runs import RunLost
from step_ops.redaction import Redactor
from tests.ledger import ANN, Ledger
from tests.scripted import Says, Server
from tests.workshop import Workshop


def test_ten_thousand_entries_are_a_whole_chain(ledger: Ledger) -> None:
    ledger.fill(9_990)
    assert [ledger.append() for _ in range(10)] == list(range(9_991, 10_001))
    verdict = ledger.verify()
    assert verdict.is_whole
    assert (verdict.head.seq, verdict.head.count) == (10_000, 10_000)
    assert verdict.head == head_of(ledger.engine)


def test_an_edited_row_is_found_among_ten_thousand(ledger: Ledger) -> None:
    ledger.fill(10_000)
    ledger.tamper("UPDATE runbook.audit_log SET actor_name = 'bob' WHERE seq = 7777")
    (finding,) = ledger.verify().findings
    assert (finding.seq, finding.fault) == (7777, Fault.ALTERED)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("details = '\\x5b5d'", Fault.ALTERED),
        ("at = at + INTERVAL '1 microsecond'", Fault.ALTERED),
        ("at = 'infinity'", Fault.ALTERED),
        ("at = '200000-01-01'", Fault.ALTERED),
        ("actor_id = NULL", Fault.ALTERED),
        ("seq = 0", Fault.STRANGE),
    ],
)
def test_an_edit_of_any_kind_is_found(ledger: Ledger, change: str, found: Fault) -> None:
    for _ in range(3):
        ledger.append()
    ledger.tamper(f"UPDATE runbook.audit_log SET {change} WHERE seq = 2")
    assert ledger.verify().findings[0].fault is found
    assert [entry.as_json()["seq"] for entry in ledger.entries()]


def test_a_cut_tail_is_found_against_an_exported_head_and_not_without_it(ledger: Ledger) -> None:
    ledger.fill(500)
    head = head_of(ledger.engine)
    ledger.tamper("DELETE FROM runbook.audit_log WHERE seq > 490")
    assert ledger.verify().is_whole
    (finding,) = ledger.verify(head).findings
    assert (finding.seq, finding.fault) == (491, Fault.CUT)
    ledger.fill(10)  # the log goes on as if nothing had been
    assert ledger.verify().is_whole
    (finding,) = ledger.verify(head).findings
    assert (finding.seq, finding.fault) == (500, Fault.FORKED)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runbook.audit_log SET actor_name = 'bob'",
        "DELETE FROM runbook.audit_log WHERE seq = 1",
        "TRUNCATE runbook.audit_log",
    ],
)
def test_the_database_refuses_to_change_the_log(ledger: Ledger, statement: str) -> None:
    ledger.append()
    before = ledger.entries()
    refused = f"the audit log is append-only: {statement.split()[0]} is refused"
    with (
        pytest.raises(ProgrammingError, match=refused),
        ledger.engine.connect() as connection,
    ):
        connection.execute(text(statement))
    assert ledger.entries() == before


def test_a_role_that_may_only_read_and_insert_can_append_and_cannot_switch_the_guards_off(
    ledger: Ledger,
) -> None:
    with ledger.engine.connect() as connection:
        for statement in (
            "DROP ROLE IF EXISTS keeper",
            "CREATE ROLE keeper",
            "GRANT USAGE ON SCHEMA runbook TO keeper",
            "GRANT SELECT, INSERT ON runbook.audit_log TO keeper",
            "SET ROLE keeper",
            "INSERT INTO runbook.audit_log (actor_name, actor_kind, action, subject, outcome, details)"
            " VALUES ('x', 'x', 'x', 'x', 'allowed', '{}')",
        ):
            connection.execute(text(statement))
        for forbidden in (
            "SET session_replication_role = replica",
            "ALTER TABLE runbook.audit_log DISABLE TRIGGER ALL",
            "DELETE FROM runbook.audit_log",
            "TRUNCATE runbook.audit_log",
            "DROP TABLE runbook.audit_log",
            "DROP TRIGGER append_only ON runbook.audit_log",
            "CREATE OR REPLACE FUNCTION runbook.audit_refuse() RETURNS trigger LANGUAGE sql AS ''",
        ):
            with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
                connection.execute(text(forbidden))
        for statement in ("RESET ROLE", "DROP OWNED BY keeper", "DROP ROLE keeper"):
            connection.execute(text(statement))
    assert len(ledger.entries()) == 1
    assert ledger.verify().is_whole


def test_an_insert_cannot_choose_its_number_time_or_hash(ledger: Ledger) -> None:
    ledger.append()
    with ledger.engine.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO runbook.audit_log VALUES (99, '2001-01-01', NULL, 'x', 'x', 'x', 'x', 'allowed',"
                " '', sha256('a'), sha256('b'))"
            )
        )
    assert [entry.seq for entry in ledger.entries()] == [1, 2]
    assert ledger.entries()[1].at.year > 2001
    assert ledger.verify().is_whole


def test_threads_that_append_at_once_leave_no_gap_and_one_chain(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as threads:
        given = list(
            threads.map(lambda name: [ledger.append(str(name)) for _ in range(50)], range(8), timeout=60)
        )
    assert sorted(seq for those in given for seq in those) == list(range(1, 401))
    assert all(those == sorted(those) for those in given)
    assert ledger.verify().is_whole


def test_an_append_that_is_rolled_back_takes_no_number(ledger: Ledger) -> None:
    ledger.append()
    failing = "INSERT INTO runbook.audit_log (actor_name, actor_kind, action, subject, outcome, details)"
    with ledger.engine.connect() as connection, pytest.raises(Exception, match="outcome"):
        connection.execute(text(failing + " VALUES ('', '', 'x', 'x', 'perhaps', '')"))
    assert ledger.append() == 2


def test_what_strangers_send_cannot_keep_an_entry_from_being_written(ledger: Ledger) -> None:
    long = "a\0b\ud800" + "x" * 10_000
    entry = Entry(
        action=Action.EXECUTION_STARTED, subject=long, outcome=Outcome.REFUSED, details={"path": long}
    )
    append(ledger.engine, entry)
    (stored,) = ledger.entries()
    assert stored.subject == ("a\\0b\\ud800" + "x" * 10_000)[:MOST_CHARACTERS]
    assert stored.as_json()["details"] == {"path": long}
    assert (stored.actor_id, stored.actor_name) == (None, "")
    assert ledger.verify().is_whole


def test_a_token_of_a_well_known_shape_is_withheld(ledger: Ledger) -> None:
    token = "ghp_" + "a1B2" * 9
    ledger.append(f"GET /?t={token}", header=[f"Bearer {token}"])
    (stored,) = ledger.entries()
    assert token not in stored.subject + stored.details.decode()
    assert "withheld:github-token" in stored.subject


def test_a_follower_hears_of_each_entry_at_once_and_asks_nothing_meanwhile(ledger: Ledger) -> None:
    ledger.append("first")
    asked: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    stopped = threading.Event()
    following = follow(ledger.engine, after=0, stopped=stopped)
    assert next(following).subject == "first"
    told: list[float] = []
    thread = threading.Thread(target=lambda: told.extend(_times(following)))
    thread.start()
    time.sleep(1.2)  # it has seen that nothing is there, and waits
    quiet = len(asked)
    time.sleep(0.6)
    assert len(asked) == quiet
    began = time.monotonic()
    ledger.append("second")
    while not told:
        assert time.monotonic() < began + 5
        time.sleep(0.005)
    assert told[0] - began < 0.4  # well below the time after which it looks whether it is to stop
    stopped.set()
    thread.join(timeout=5)
    assert not thread.is_alive()


def _times(following: Any) -> Any:
    for _ in following:
        yield time.monotonic()


_NEWEST = "SELECT status FROM runbook.runbook_executions ORDER BY started_at DESC LIMIT 1"

FETCH: dict[str, Any] = {
    "id": "fetch",
    "type": "data_fetch",
    "inputs": {"source_url": "${inputs.where}"},
}


@pytest.fixture
def fetching(workshop: Workshop, server: Server) -> dict[str, Any]:
    """A runbook with one step, and the inputs with which it works."""
    server.answers["/data"] = Says([1])
    workshop.runbook([FETCH], inputs={"where": {"type": "string"}, "note": {"type": "string", "default": ""}})
    return {"where": f"{server.url}/data", "note": "not-for-the-log"}


def test_an_execution_leaves_its_start_and_its_end_with_names_and_no_values(
    workshop: Workshop, ledger: Ledger, fetching: dict[str, Any]
) -> None:
    record = workshop.live(inputs=fetching)
    started, finished = (entry.as_json() for entry in ledger.entries())
    assert (started["action"], started["outcome"]) == ("execution_started", "allowed")
    assert (finished["action"], finished["outcome"]) == ("execution_finished", "succeeded")
    about = {"runbook": "rb-test", "version": "1.0.0", "mode": "live"}
    digest = finished["details"]["definition"]
    assert re.fullmatch(r"[0-9a-f:sha]{64,}", digest)
    assert started["details"] == {**about, "definition": digest, "inputs": ["note", "where"]}
    assert finished["details"] == {**about, "definition": digest, "status": "success"}
    assert record.actor is not None
    for entry in (started, finished):
        assert entry["subject"] == record.id
        assert entry["actor"] == {"id": record.actor.id, "name": record.actor.name, "kind": "user"}
    assert all(
        value not in entry.details.decode() for value in fetching.values() for entry in ledger.entries()
    )
    assert ledger.verify().is_whole


def test_the_start_is_written_before_the_first_step_asks_the_world(
    workshop: Workshop, ledger: Ledger, server: Server, fetching: dict[str, Any]
) -> None:
    seen: list[list[str]] = []

    def answer(_: Any) -> Says:
        seen.append([entry.action for entry in last_entries(ledger.engine, 10)])
        return Says([1])

    server.answers["/data"] = answer
    workshop.live(inputs=fetching)
    assert seen == [["execution_started"]]


def test_an_execution_whose_start_cannot_be_written_does_not_happen(
    workshop: Workshop, ledger: Ledger, server: Server, fetching: dict[str, Any], query: Any
) -> None:
    ledger.tamper("ALTER TABLE runbook.audit_log ADD CONSTRAINT closed CHECK (seq < 0) NOT VALID")
    try:
        with pytest.raises(RunLost):
            workshop.live(inputs=fetching)
    finally:
        ledger.tamper("ALTER TABLE runbook.audit_log DROP CONSTRAINT closed")
    assert server.asked == []
    assert query("SELECT 1 FROM runbook.runbook_executions WHERE status = 'running'") == []


def tamper_meanwhile(ledger: Ledger, server: Server, statement: str) -> None:
    """Does it when the step of the next execution asks its server."""

    def answer(_: Any) -> Says:
        ledger.tamper(statement)
        return Says([1])

    server.answers["/data"] = answer


def test_a_start_that_is_written_again_is_in_the_log_once(
    workshop: Workshop, ledger: Ledger, fetching: dict[str, Any]
) -> None:
    runbook, name = load_runbook(workshop.project, "rb-test"), str(uuid4())
    entry = Entry(action=Action.EXECUTION_STARTED, subject=name, outcome=Outcome.ALLOWED, actor=ANN)
    first, other = (Recorder(ledger.engine, name, redactor=Redactor(b"k" * 32)) for _ in range(2))

    def begin(recorder: Recorder) -> None:
        recorder.begin(runbook, mode="live", actor=ANN, inputs=fetching, metadata={}, entry=entry)

    begin(first)
    begin(first)  # as after an answer that was lost
    with pytest.raises(AlreadyBegun):
        begin(other)
    assert [found.subject for found in ledger.entries()] == [name]
    settle_lost(ledger.engine)


def test_an_execution_whose_end_cannot_be_written_is_lost_and_has_one_end(
    workshop: Workshop, ledger: Ledger, server: Server, fetching: dict[str, Any], query: Any
) -> None:
    tamper_meanwhile(
        ledger, server, "ALTER TABLE runbook.audit_log ADD CONSTRAINT closed CHECK (seq < 2) NOT VALID"
    )
    try:
        with pytest.raises(RunLost):
            workshop.live(inputs=fetching)
        assert query(_NEWEST) == [("running",)]
    finally:
        ledger.tamper("ALTER TABLE runbook.audit_log DROP CONSTRAINT closed")
    settle_lost(ledger.engine)
    assert query(_NEWEST) == [("failure",)]
    assert [entry.action for entry in ledger.entries()] == ["execution_started", "execution_finished"]


def test_one_that_was_given_its_end_by_others_adds_no_other(
    workshop: Workshop, ledger: Ledger, server: Server, fetching: dict[str, Any], query: Any
) -> None:
    tamper_meanwhile(
        ledger, server, "UPDATE runbook.runbook_executions SET status = 'failure' WHERE status = 'running'"
    )
    workshop.live(inputs=fetching)
    assert query(_NEWEST) == [("failure",)]
    assert [entry.action for entry in ledger.entries()] == ["execution_started"]


def test_a_failed_execution_and_one_that_cannot_begin_are_recorded_as_failed(
    workshop: Workshop, ledger: Ledger, server: Server, fetching: dict[str, Any]
) -> None:
    server.answers["/data"] = Says(status=404)
    assert workshop.live(inputs=fetching).status is Status.ABORTED
    assert workshop.live(inputs={}).status is Status.ABORTED
    entries = ledger.entries()
    assert [entry.outcome for entry in entries] == ["allowed", "failed"] * 2
    assert all(entry.as_json()["details"]["status"] == "aborted" for entry in entries[1::2])


def test_a_replay_leaves_what_it_replays_and_its_verdict(
    workshop: Workshop, ledger: Ledger, fetching: dict[str, Any]
) -> None:
    original = workshop.live(inputs=fetching)
    workshop.replay(original.id)
    started, finished = (entry.as_json() for entry in ledger.entries()[2:])
    told = {"mode": "replay", "replays": original.id, "live": False, "allow_writes": False}
    assert told.items() <= started["details"].items()
    assert told.items() <= finished["details"].items()
    assert finished["details"]["verdict"] == "verified"
    assert finished["subject"] == workshop.replayed.id


def test_tests_and_backtests_are_not_recorded(
    workshop: Workshop, ledger: Ledger, fetching: dict[str, Any]
) -> None:
    original = workshop.live(inputs=fetching)
    before = len(ledger.entries())
    workshop.test(
        inputs={"where": "http://x/"},
        steps={"fetch": [{"method": "GET", "response": {"status": 200, "json": [1]}}]},
    )
    workshop.replay(original.id, against="rb-test")
    assert len(ledger.entries()) == before


def test_the_actor_of_an_entry_is_as_it_was_given(ledger: Ledger) -> None:
    ledger.append()
    (entry,) = ledger.entries()
    assert (entry.actor_id, entry.actor_name, entry.actor_kind) == (ANN.id, ANN.name, ANN.kind)
