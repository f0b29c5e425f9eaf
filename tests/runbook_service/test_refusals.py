"""Refused requests: a bounded number of audit entries, none of the numbers lost, and an end to patience."""

import asyncio
import threading
import time
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from runbook_factory import database
from runbook_factory.audit.log import Entry, read_entries
from runbook_service.identities.identity import Identity
from runbook_service.identities.roles import Role
from runbook_service.identities.tokens import create_token
from runbook_service.web.door import Door
from runbook_service.web.refusals import TOKENS, Limits, Refusal, Refusals
from tests.served import TESTS, Running

VIEWER = Identity(token_id="0b0e8f58-0000-4000-8000-000000000007", name="viewer", role=Role.VIEWER)
FEW = Limits(entries=2, requests=5, senders=3)


class Log:
    """An audit log in memory, which can be away."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.away = False
        self._lock = threading.Lock()

    def write(self, entry: Entry) -> None:
        if self.away:
            raise OperationalError("INSERT", {}, Exception("the server is away"))
        with self._lock:
            self.entries.append(entry)

    def counted(self) -> int:
        """The refusals that the entries stand for."""
        return sum(int(entry.details.get("further", 1)) for entry in self.entries)


@pytest.fixture
def log() -> Log:
    return Log()


class Clock:
    """Stands still, but for what a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += seconds


def counting(log: Log, **more: Any) -> Refusals:
    return Refusals(log.write, **{"tokens": FEW, "addresses": FEW, **more})


def of(who: Identity | str, reason: str = "no", path: str = "/x") -> Refusal:
    if isinstance(who, str):
        return Refusal(path=path, reason=reason, address=who)
    return Refusal(path=path, reason=reason, identity=who)


def test_beyond_some_entries_the_rest_of_a_minute_is_one_with_its_number(log: Log) -> None:
    counted = counting(log)
    for number in range(50):
        counted.note(of(VIEWER, reason=f"reason {number}"))
    assert [entry.details for entry in log.entries] == [{"reason": "reason 0"}, {"reason": "reason 1"}]
    counted.close()
    (last,) = log.entries[2:]
    assert last.details == {"reason": "reason 49", "further": 48, "within_seconds": 60}
    assert (last.actor, last.subject) == (VIEWER.actor, "/x")
    assert log.counted() == 50


def test_the_number_is_written_when_the_minute_is_over_without_another_request(log: Log) -> None:
    counted = counting(log, seconds=0.2)
    for _ in range(10):
        counted.note(of(VIEWER))
    deadline = time.monotonic() + 5
    while log.counted() < 10:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(log.entries) == 3


def test_a_new_minute_has_entries_of_its_own(log: Log) -> None:
    clock = Clock()
    counted = counting(log, clock=clock)
    for _ in range(4):
        counted.note(of(VIEWER))
    clock.later(61)
    counted.note(of(VIEWER, reason="later"))
    assert [entry.details["reason"] for entry in log.entries] == ["no", "no", "later"]
    counted.close()
    assert log.counted() == 5


def test_who_is_refused_too_often_waits_until_the_minute_is_over(log: Log) -> None:
    clock = Clock()
    counted = counting(log, clock=clock)
    for _ in range(FEW.requests):
        assert counted.wait(VIEWER, "") == 0
        counted.note(of(VIEWER))
    clock.later(20)
    assert counted.wait(VIEWER, "") == 40
    other = Identity(token_id="0b0e8f58-0000-4000-8000-000000000008", name="other", role=Role.VIEWER)
    assert counted.wait(other, "") == 0
    clock.later(40.5)
    assert counted.wait(VIEWER, "") == 0
    counted.close()
    assert log.counted() == FEW.requests + 1  # what had to wait is counted


def test_who_is_never_refused_is_not_remembered(log: Log) -> None:
    counted = counting(log)
    for number in range(1000):
        counted.wait(None, f"10.0.0.{number}")
    assert not counted._addresses.minutes


def test_many_addresses_take_no_more_memory_and_no_more_entries_than_some(log: Log) -> None:
    counted = counting(log)
    for number in range(1000):
        for _ in range(3):
            counted.note(of(f"10.0.{number // 250}.{number % 250}"))
    assert len(counted._addresses.minutes) == FEW.senders + 1
    assert len(log.entries) == FEW.entries * (FEW.senders + 1)
    counted.close()
    assert len(log.entries) == (FEW.entries + 1) * (FEW.senders + 1)
    assert log.counted() == 3000
    assert log.entries[-1].details["address"] == "several"
    assert [entry.details["address"] for entry in log.entries[:2]] == ["10.0.0.0"] * 2


def test_addresses_do_not_keep_tokens_waiting(log: Log) -> None:
    counted = counting(log)
    for number in range(100):
        counted.note(of(str(number)))
    assert counted.wait(None, "another") > 0
    assert counted.wait(VIEWER, "another") == 0


def test_while_the_log_is_away_refusals_are_kept_in_number(log: Log) -> None:
    clock = Clock()
    counted = counting(log, clock=clock)
    log.away = True
    for _ in range(4):
        counted.note(of(VIEWER))
    for minute in range(5):
        clock.later(61)
        for number in range(10):
            counted.note(of(f"{minute}.{number}"))
    counted._settle()
    assert (log.entries, len(counted._addresses.due)) == ([], FEW.senders + 1)
    log.away = False
    counted.close()
    assert log.counted() == 54


def test_threads_that_refuse_at_once_lose_none(log: Log) -> None:
    counted = counting(log, seconds=0.05)

    def refuse() -> None:
        for _ in range(500):
            counted.note(of(VIEWER))
            counted.note(of("10.0.0.1"))

    threads = [threading.Thread(target=refuse) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted.close()
    time.sleep(0.2)  # a thread that settles meanwhile ends
    assert log.counted() == 8000


def test_what_is_owed_is_written_before_the_server_says_that_it_is_down(log: Log) -> None:
    counted = counting(log)
    told: list[tuple[str, int]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in ("startup", "shutdown"):
            await send({"type": f"lifespan.{message}.complete"})

    async def send(message: Any) -> None:
        told.append((message["type"], log.counted()))

    for _ in range(10):
        counted.note(of(VIEWER))
    door = Door(app, engine=sqlalchemy.create_engine("postgresql+psycopg2://"), refusals=counted)
    asyncio.run(door({"type": "lifespan"}, None, send))  # type: ignore[arg-type]
    assert told == [("lifespan.startup.complete", 2), ("lifespan.shutdown.complete", 10)]


# Through the service


def refused(running: Running, token_id: str) -> list[Any]:
    entries = [entry.as_json() for entry in read_entries(database.engine(running.project))]
    return [
        entry
        for entry in entries
        if entry["actor"]["id"] == token_id and entry["action"] == "request_refused"
    ]


def test_a_viewer_who_hammers_execute_does_not_fill_the_log_and_is_told_to_wait(running: Running) -> None:
    token, secret = create_token(database.engine(running.project), "hammer", Role.VIEWER, by=TESTS)
    answers = []
    while not answers or (answers[-1].status_code == 403 and len(answers) < 2 * TOKENS.requests):
        answers.append(running.execute(who=secret))
    assert len(answers) == TOKENS.requests + 1 or len(answers) > 60  # a slow machine begins a new minute
    last = answers[-1]
    assert last.status_code == 429, last.text
    assert 1 <= int(last.headers["retry-after"]) <= 60
    assert last.json()["error"]["code"] == "too_many_refused"
    assert running.ask("GET", "/api/runbooks", secret).status_code == 429
    assert running.ask("GET", "/api/runbooks", "viewer").status_code == 200
    written = refused(running, token.id)
    assert len(written) <= (TOKENS.entries + 1) * (1 + len(answers) // TOKENS.requests)
    assert written[0]["subject"] == "/api/runbooks/execute"
    assert written[0]["details"] == {"reason": "the role viewer does not have the right run"}


def test_every_way_of_being_refused_is_in_the_log(running: Running) -> None:
    token, secret = create_token(database.engine(running.project), "curious", Role.VIEWER, by=TESTS)
    limited, other = create_token(
        database.engine(running.project), "narrow", Role.OPERATOR, by=TESTS, runbooks=("quick",)
    )
    running.graphql('mutation { executeRunbook(id: "quick") { id } }', secret)
    running.graphql('mutation { replayExecution(executionId: "none") { id } }', secret)
    running.graphql("mutation { reloadWorkspace { __typename } }", secret)
    running.ask("GET", "/download_debug/none", secret)
    running.graphql("{ runsOrError { __typename } }", other)
    running.graphql('mutation { terminateRun(runId: "x") { __typename } }', other)
    asked = [(entry["subject"], entry["details"]["reason"]) for entry in refused(running, token.id)]
    assert asked == [
        ("/graphql", "the role viewer does not have the right run"),
        ("/graphql", "the role viewer does not have the right manage"),
        ("/download_debug/none", "the role viewer does not have the right read_values"),
    ]
    assert len(refused(running, limited.id)) == 2


def test_a_wrong_token_at_the_sign_in_page_is_in_the_log(running: Running) -> None:
    answer = running.ask("POST", "/sign-in", None, data={"token": "not-one"})
    assert answer.status_code in {401, 429}
    if answer.status_code == 429:
        assert int(answer.headers["retry-after"]) <= 60
        return
    newest = list(read_entries(database.engine(running.project)))[-1].as_json()
    assert (newest["subject"], newest["action"]) == ("/sign-in", "request_refused")
    assert newest["details"] == {"reason": "the token is not one of ours", "address": "127.0.0.1"}
    assert newest["actor"]["id"] is None
