"""What an execution costs in a warm process: statements by kind, and no new connection."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from dagster import DagsterRunStatus
from sqlalchemy import event

from runbook_factory import database
from runbook_service.workers.slot import _execute
from runbook_service.workers.warm_jobs import WarmJobs
from tests.statements import noted
from tests.working import Yard

FIVE = """
id: {id}
name: Five
version: 1.0.0
owner: tests
legal_basis: none needed
inputs:
  word: {{type: string, default: none}}
steps:
  - {{id: a, type: wait, inputs: {{seconds: 0}}}}
  - {{id: b, type: wait, depends_on: [a], inputs: {{seconds: 0}}}}
  - {{id: c, type: wait, depends_on: [a], inputs: {{seconds: 0}}}}
  - {{id: d, type: wait, depends_on: [b, c], inputs: {{seconds: 0}}}}
  - {{id: e, type: wait, depends_on: [d], inputs: {{seconds: 0}}}}
"""

# At most, of an execution of five steps, besides its events.
COST = Counter(
    {
        "FROM runs": 1,
        "UPDATE runs": 2,  # with the events until then
        "INSERT INTO runbook.runbook_step_logs": 1,
        "INSERT INTO runbook.audit_log": 2,  # by the statements that note start and end in the record
        "PG_ADVISORY_LOCK": 1,
        "PG_ADVISORY_UNLOCK": 1,
    }
)

_KIND = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM|FROM|pg_\w+)\b\s*([\w.]*)", re.IGNORECASE)
_WRITES = ["INSERT INTO", "UPDATE", "DELETE FROM"]


def kind(statement: str) -> str:
    """What a statement does, and to which table: the last that it writes to, or the first that it reads."""
    found = [(match[1].upper(), match[2]) for match in _KIND.finditer(statement)]
    writes = [each for each in found if each[0] in _WRITES and each[1] != "SET"]
    verb, table = writes[-1] if writes else found[0] if found else (statement[:30], "")
    return f"{verb} {table}".strip()


def kinds_of(statements: Sequence[str], before: int) -> Counter[str]:
    """How many of each kind there are after the first so many, in which their names are made known."""
    prepared: dict[str, str] = {}
    kinds: Counter[str] = Counter()
    for number, statement in enumerate(statements):
        verb, _, named = statement.partition(" ")
        name = named.split()[0]
        if verb == "PREPARE":  # once for each connection
            prepared[name] = kind(named)
        elif number >= before:
            kinds[prepared[name] if verb == "EXECUTE" else kind(statement)] += 1
    return kinds


def test_an_execution_costs_so_many_statements_and_no_connection(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of steps that only read, all are of one moment, however busy the machine is.
    monkeypatch.setattr("runbook_factory.step_rows.SHORT_SECONDS", 60.0)
    yard.runbook("five", text=FIVE)
    jobs = WarmJobs.of(yard.project)
    engine = database.engine(yard.project)
    names = [yard.add("five").run_id for _ in range(4)]
    connected: list[Any] = []

    def connect(*arguments: Any) -> None:
        connected.append(arguments)

    engine.dispose()  # so that what connections prepare is seen
    with noted(engine) as statements:
        for name in names[:-1]:
            _execute(jobs, yard.instance, name)
        before = len(statements)
        event.listen(engine, "connect", connect)
        _execute(jobs, yard.instance, names[-1])
        event.remove(engine, "connect", connect)
    kinds = kinds_of(statements, before)
    assert yard.status(names[-1]) is DagsterRunStatus.SUCCESS, yard.reason(names[-1])
    assert connected == []
    # Events that wait are written after a moment: how many moments there are is a matter of time.
    assert kinds.pop("INSERT INTO event_logs", 0) <= 2
    assert kinds <= COST, kinds - COST
    assert COST.total() == 8
