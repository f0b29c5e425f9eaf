"""The audit log and executions whose process was lost: one end each, whoever finds them, and however many."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from runbook_factory import leases
from runbook_factory.execution_log import get_execution
from runbook_factory.leases import settle_lost
from tests.ledger import ANN, Ledger

_INSERT = text(
    """
    INSERT INTO runbook.runbook_executions
        (id, runbook_id, runbook_version, started_at, status, actor_id, metadata, mode, inputs, kpis,
         environment, definition_digest, parent_id, format_version)
    VALUES (:id, 'rb-lost', '1.2.3', clock_timestamp(), 'running', :actor, '{}', :mode, '{}', '{}', '{}',
         :digest, :parent, 2)
    """
)
_DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def lose(ledger: Ledger) -> Any:
    """Makes the record of an execution that runs, without a process that does it."""

    def made(mode: str = "live", parent: str | None = None) -> str:
        execution_id = str(uuid4())
        values = {"id": execution_id, "actor": ANN.id, "mode": mode, "digest": _DIGEST, "parent": parent}
        with ledger.engine.connect() as connection:
            connection.execute(_INSERT, values)
        return execution_id

    with ledger.engine.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO runbook.actors (id, name, kind) VALUES (:id, :name, :kind)"
                " ON CONFLICT DO NOTHING"
            ),
            {"id": ANN.id, "name": ANN.name, "kind": ANN.kind},
        )
        connection.execute(
            text(
                "INSERT INTO runbook.definitions (digest, runbook_id, text, files)"
                " VALUES (:digest, 'rb-lost', '', '{}') ON CONFLICT DO NOTHING"
            ),
            {"digest": _DIGEST},
        )
    settle_lost(ledger.engine)
    ledger.tamper("TRUNCATE runbook.audit_log")
    return made


def test_a_lost_execution_gets_its_end_in_the_log_when_it_gets_its_verdict(lose: Any, ledger: Ledger) -> None:
    execution_id = lose()
    assert get_execution(ledger.engine, execution_id).status == "failure"
    (entry,) = (entry.as_json() for entry in ledger.entries())
    assert (entry["action"], entry["outcome"], entry["subject"]) == (
        "execution_finished",
        "failed",
        execution_id,
    )
    assert entry["actor"] == {"id": ANN.id, "name": ANN.name, "kind": ANN.kind}
    assert entry["details"] == {
        "runbook": "rb-lost",
        "version": "1.2.3",
        "definition": _DIGEST,
        "mode": "live",
        "status": "failure",
        "lost": True,
    }
    assert ledger.verify().is_whole


def test_a_lost_replay_says_what_it_replayed(lose: Any, ledger: Ledger) -> None:
    original = lose()
    lose("replay", parent=original)
    settle_lost(ledger.engine)
    first, second = (entry.as_json()["details"] for entry in ledger.entries())
    assert (first["mode"], second["mode"], second["replays"]) == ("live", "replay", original)


def test_a_lost_test_is_settled_and_not_recorded(lose: Any, ledger: Ledger) -> None:
    execution_id = lose("test")
    assert get_execution(ledger.engine, execution_id).status == "failure"
    assert ledger.entries() == []


def test_many_that_settle_at_once_write_each_end_once(lose: Any, ledger: Ledger) -> None:
    lost = {lose() for _ in range(40)}
    with ThreadPoolExecutor(8) as threads:
        settling = [threads.submit(settle_lost, ledger.engine) for _ in range(24)]
        appending = [threads.submit(ledger.append, f"other {number}") for number in range(24)]
        for each in (*settling, *appending):
            each.result(timeout=60)
    ended = [entry.subject for entry in ledger.entries() if entry.action == "execution_finished"]
    assert len(ended) == len(lost)
    assert set(ended) == lost
    assert ledger.verify().is_whole


def test_one_that_ended_by_itself_meanwhile_keeps_its_own_end(
    lose: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = lose()
    end = text("UPDATE runbook.runbook_executions SET status = 'success' WHERE id = :id")
    with ledger.engine.connect() as connection:
        connection.execute(end, {"id": execution_id})
    # What a look from before it ended has found.
    stale = text(f"SELECT id FROM runbook.runbook_executions WHERE id = '{execution_id}'")
    monkeypatch.setattr(leases, "_LOST", stale)
    settle_lost(ledger.engine)
    assert get_execution(ledger.engine, execution_id).status == "success"
    assert ledger.entries() == []


def test_without_its_end_in_the_log_nothing_is_settled(lose: Any, ledger: Ledger) -> None:
    execution_id = lose()
    ledger.tamper("ALTER TABLE runbook.audit_log ADD CONSTRAINT closed CHECK (seq < 0) NOT VALID")
    try:
        with pytest.raises(Exception, match="closed"):
            settle_lost(ledger.engine)
    finally:
        ledger.tamper("ALTER TABLE runbook.audit_log DROP CONSTRAINT closed")
    with ledger.engine.connect() as connection:
        found = connection.execute(
            text("SELECT status FROM runbook.runbook_executions WHERE id = :id"), {"id": execution_id}
        )
        assert found.scalar_one() == "running"
    settle_lost(ledger.engine)
    assert [entry.subject for entry in ledger.entries()] == [execution_id]
