"""The way to an audit service: in order, at least once, nothing lost while it is away."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from runbook_factory.audit.delivery import Delivered, Delivery, DeliveryError, DeliveryThread, Waiting
from runbook_factory.audit.sink import load_sink
from step_ops.errors import StepError
from tests.ledger import Ledger
from tests.scripted import Asked, Says, Server
from tests.workshop import Workshop

TOKEN = "canary-of-the-audit-service"
DELIVER = """
import sys
from pathlib import Path
from runbook_factory.audit.delivery import Delivery
from runbook_factory.audit.sink import load_sink
from runbook_factory.database import engine
from runbook_factory.project import Project

project = Project(Path(sys.argv[1]))
list(Delivery(engine=engine(project), sink=load_sink(project)).deliver())
"""


@pytest.fixture
def delivery(workshop: Workshop, ledger: Ledger, server: Server, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    """To `/audit` of the scripted server, which takes all."""
    server.answers["/audit"] = Says(status=201)
    workshop.file(
        "connections.yaml",
        'audit: {sink: {url: "${AUDIT_URL}", token: AUDIT_TOKEN, timeout_seconds: 2}}',
    )
    monkeypatch.setenv("AUDIT_URL", f"{server.url}/audit")
    monkeypatch.setenv("AUDIT_TOKEN", TOKEN)
    sink = load_sink(workshop.project)
    assert sink is not None
    return Delivery(engine=ledger.engine, sink=sink, first_backoff_seconds=0.01)


def seqs(server: Server) -> list[int]:
    """What arrived, whether it was taken or not."""
    return [asked.json()["seq"] for asked in server.asked]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextmanager
def following(delivery: Delivery) -> Iterator[DeliveryThread]:
    thread = DeliveryThread(delivery)
    thread.start()
    yield thread
    thread.stop()
    assert not thread.is_alive()


def test_every_entry_is_posted_in_order_with_its_number_as_key_and_its_hash(
    delivery: Delivery, ledger: Ledger, server: Server
) -> None:
    for name in ("a", "b", "c"):
        ledger.append(name, runbook="rb-test")
    assert list(delivery.deliver()) == [Delivered(seq=1), Delivered(seq=2), Delivered(seq=3)]
    assert [asked.json() for asked in server.asked] == [entry.as_json() for entry in ledger.entries()]
    assert [asked.headers["idempotency-key"] for asked in server.asked] == ["1", "2", "3"]
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {TOKEN}"}
    assert list(delivery.deliver()) == []
    ledger.append("d")
    assert list(delivery.deliver()) == [Delivered(seq=4)]


def test_nothing_is_lost_while_the_service_is_down(
    delivery: Delivery, ledger: Ledger, server: Server
) -> None:
    taken: list[Any] = []
    down = threading.Event()

    def answer(asked: Asked) -> Says:
        if down.is_set():
            return Says(status=503)
        taken.append(asked.json())
        return Says(status=201)

    server.answers["/audit"] = answer
    with following(delivery) as thread:
        ledger.append()
        until(lambda: len(taken) == 1)
        down.set()
        for _ in range(20):
            ledger.append()
        until(lambda: "status 503" in thread.waiting)
        assert len(taken) == 1
        down.clear()
        until(lambda: len(taken) == 21)
        until(lambda: thread.waiting == "")
        ledger.append()  # it hears of new ones as before
        until(lambda: len(taken) == 22)
    assert taken == [entry.as_json() for entry in ledger.entries()]


def test_a_service_that_is_not_there_is_told_of_and_the_entries_are_kept(
    delivery: Delivery, ledger: Ledger, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.append()
    server.stop()
    with caplog.at_level(logging.WARNING, "runbook.audit"), following(delivery) as thread:
        until(lambda: "connection refused" in thread.waiting)
    *waits, end = _told(replace(delivery, stopped=threading.Event()))
    assert [event.seconds for event in waits] == [0.01, 0.02, 0.04, 0.08, 0.16]
    assert "connection refused" in end.reason
    assert "connection refused" in caplog.text
    assert TOKEN not in caplog.text


def _told(delivery: Delivery) -> Iterator[Any]:
    """What a delivery says, at last the error that it ends with, as one more thing it waits for."""
    try:
        yield from delivery.deliver()
    except DeliveryError as error:
        yield Waiting(reason=error.message, seconds=0)


def test_one_that_is_killed_between_post_and_note_delivers_twice_with_the_same_key(
    delivery: Delivery, workshop: Workshop, ledger: Ledger, server: Server
) -> None:
    for _ in range(3):
        ledger.append()
    process: list[subprocess.Popen[bytes]] = []

    def answer(asked: Asked) -> Says:
        if asked.json()["seq"] == 2 and process:
            os.kill(process[0].pid, signal.SIGKILL)  # it will never read that the entry was taken
            process[0].wait()
        return Says(status=201)

    server.answers["/audit"] = answer
    command = [sys.executable, "-c", DELIVER, str(workshop.project.root)]
    with subprocess.Popen(command) as running:
        process.append(running)
        assert running.wait(timeout=30) == -signal.SIGKILL
    process.clear()
    until(lambda: _ends(delivery))
    assert [asked.headers["idempotency-key"] for asked in server.asked] == ["1", "2", "2", "3"]
    assert server.asked[1].body == server.asked[2].body


def _ends(delivery: Delivery) -> bool:
    """Delivers; False as long as the server has not noticed that the other process is gone."""
    try:
        list(delivery.deliver())
    except DeliveryError:
        return False
    return True


def test_two_do_not_deliver_at_the_same_time(delivery: Delivery, ledger: Ledger) -> None:
    ledger.append()
    ledger.append()
    first = delivery.deliver()
    next(first)
    with pytest.raises(DeliveryError, match="another process delivers"):
        list(delivery.deliver())
    assert list(first) == [Delivered(seq=2)]
    assert list(delivery.deliver()) == []


def test_what_will_not_pass_by_itself_ends_a_delivery_at_once(
    delivery: Delivery, ledger: Ledger, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append()
    server.answers["/audit"] = Says({"said": TOKEN}, status=401)
    with pytest.raises(DeliveryError, match="answered entry 1 with status 401"):
        list(delivery.deliver())
    assert seqs(server) == [1]
    monkeypatch.delenv("AUDIT_TOKEN")
    with pytest.raises(DeliveryError, match="AUDIT_TOKEN"):
        list(delivery.deliver())
    monkeypatch.delenv("AUDIT_URL")
    with pytest.raises(DeliveryError, match="the audit sink needs the environment variable AUDIT_URL"):
        list(delivery.deliver())
    assert seqs(server) == [1]


def test_a_redirect_does_not_count_as_delivered(delivery: Delivery, ledger: Ledger, server: Server) -> None:
    ledger.append()
    server.answers["/audit"] = Says(status=307, headers={"Location": f"{server.url}/elsewhere"})
    with pytest.raises(DeliveryError, match="status 307"):
        list(delivery.deliver())
    assert {asked.path for asked in server.asked} == {"/audit"}


def test_the_wait_that_the_service_asks_for_is_kept(
    delivery: Delivery, ledger: Ledger, server: Server
) -> None:
    ledger.append()
    server.answers["/audit"] = [Says(status=429, headers={"Retry-After": "1"}), Says(status=201)]
    began = time.monotonic()
    waiting, delivered = delivery.deliver()
    assert waiting == Waiting(reason="the audit service answered entry 1 with status 429", seconds=1.0)
    assert delivered == Delivered(seq=1)
    assert time.monotonic() - began >= 1


def test_a_log_that_lost_what_was_delivered_is_not_delivered_further(
    delivery: Delivery, ledger: Ledger, server: Server
) -> None:
    ledger.fill(3)
    list(delivery.deliver())
    ledger.tamper("DELETE FROM runbook.audit_log WHERE seq = 3")
    with pytest.raises(DeliveryError, match="entry 3, which the audit service has, is not in the log"):
        list(delivery.deliver())
    ledger.fill(2)  # another entry 3
    with pytest.raises(DeliveryError, match="entry 3, which the audit service has, is not in the log"):
        list(delivery.deliver())
    assert seqs(server) == [1, 2, 3]


def test_another_service_gets_the_whole_log(
    delivery: Delivery, ledger: Ledger, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.fill(2)
    list(delivery.deliver())
    server.answers["/new"] = Says(status=201)
    monkeypatch.setenv("AUDIT_URL", f"{server.url}/new")
    assert list(delivery.deliver()) == [Delivered(seq=1), Delivered(seq=2)]
    monkeypatch.setenv("AUDIT_URL", f"{server.url}/audit")
    assert list(delivery.deliver()) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("audit: {sink: {}}", "connections.yaml: audit.sink.url: Field required"),
        ("audit: {sink: {url: x, tokn: y}}", "connections.yaml: audit.sink.tokn"),
        ("audit: {sink: {url: x, timeout_seconds: 0}}", "connections.yaml: audit.sink.timeout_seconds"),
        ("audit: [1]", "connections.yaml: audit: Input should be a valid dictionary"),
    ],
)
def test_settings_that_make_no_sense_are_refused(workshop: Workshop, text: str, reason: str) -> None:
    workshop.file("connections.yaml", text)
    with pytest.raises(StepError) as caught:
        load_sink(workshop.project)
    assert reason in caught.value.message


@pytest.mark.parametrize("text", ["", "connections: {}", "audit: {}"])
def test_without_a_sink_there_is_none(workshop: Workshop, text: str) -> None:
    workshop.file("connections.yaml", text)
    assert load_sink(workshop.project) is None
