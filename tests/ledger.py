"""An audit log that is empty at the start of a test, and can be tampered with as only a superuser can."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, text

from runbook_defs.execution import Actor
from runbook_factory import database, schema
from runbook_factory.audit.chain import Head, StoredEntry, Verdict, verify
from runbook_factory.audit.log import Action, Entry, Outcome, append, read_entries
from tests.workshop import Workshop

ANN = Actor(id="0b0e8f58-0000-4000-8000-000000000001", name="ann@laptop")


@dataclass(frozen=True)
class Ledger:
    engine: Engine

    def append(self, subject: str = "x", **details: Any) -> int:
        return append(
            self.engine,
            Entry(
                action=Action.EXECUTION_STARTED,
                subject=subject,
                outcome=Outcome.ALLOWED,
                actor=ANN,
                details=details,
            ),
        )

    def fill(self, count: int) -> None:
        """Appends many in one statement, through the same trigger."""
        with self.engine.connect() as connection:
            connection.execute(
                text(
                    "INSERT INTO runbook.audit_log"
                    " (actor_name, actor_kind, action, subject, outcome, details)"
                    " SELECT 'ann', 'user', 'execution_started', n::TEXT, 'allowed',"
                    " convert_to('{\"n\":' || n || '}', 'UTF8') FROM generate_series(1, :count) n"
                ),
                {"count": count},
            )

    def entries(self) -> list[StoredEntry]:
        return list(read_entries(self.engine))

    def verify(self, head: Head | None = None) -> Verdict:
        return verify(read_entries(self.engine), head=head)

    def tamper(self, statement: str) -> None:
        """Does what a superuser can, past the triggers."""
        with self.engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text(statement))


@pytest.fixture
def ledger(workshop: Workshop) -> Iterator[Ledger]:
    ledger = Ledger(database.engine(workshop.project))
    schema.ensure(ledger.engine)
    ledger.tamper("TRUNCATE runbook.audit_log, runbook.audit_delivery")
    yield ledger
    ledger.tamper("TRUNCATE runbook.audit_log, runbook.audit_delivery")
