"""`rb audit`, as its users see it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ledger import Ledger
from tests.scripted import Says, Server
from tests.workshop import Workshop

Rb = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(workshop: Workshop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workshop's project as the current folder, with an empty log."""
    monkeypatch.chdir(workshop.project.root)
    return workshop.project.root


def test_a_whole_chain_is_said_to_be_whole_and_what_that_does_not_prove(rb: Rb, ledger: Ledger) -> None:
    ledger.fill(3)
    answer = rb("audit", "verify")
    assert answer.code == 0
    first, second, third = answer.out.splitlines()
    assert first == "✓ 3 entries: the chain is whole"
    assert second == f"  the last is entry 3, {ledger.entries()[-1].hash.hex()}"
    assert "a cut tail or a log written anew cannot be seen" in third


def test_an_empty_log_is_whole(rb: Rb) -> None:
    answer = rb("audit", "verify")
    assert (answer.code, answer.out.splitlines()[0]) == (0, "✓ 0 entries: the chain is whole")


def test_what_is_wrong_is_said_with_its_place_and_the_exit_code_is_one(rb: Rb, ledger: Ledger) -> None:
    ledger.fill(6)
    ledger.tamper("UPDATE runbook.audit_log SET actor_name = 'bob' WHERE seq = 2")
    ledger.tamper("DELETE FROM runbook.audit_log WHERE seq IN (4, 5)")
    answer = rb("audit", "verify")
    assert answer.code == 1
    assert answer.out.splitlines() == [
        "✗ entry 2 was altered: it does not have its hash",
        "✗ entries 4 to 5 are missing",
        "4 entries: 2 findings",
    ]


def test_a_cut_tail_is_found_against_an_exported_head_only(rb: Rb, ledger: Ledger, here: Path) -> None:
    ledger.fill(6)
    assert rb("audit", "export", "--output", "log.jsonl", "--head", "head.json").code == 0
    answer = rb("audit", "verify", "--head", "head.json")
    assert (answer.code, answer.out.splitlines()[0]) == (
        0,
        "✓ 6 entries: the chain is whole, and has the entry 6 of the head",
    )
    ledger.tamper("DELETE FROM runbook.audit_log WHERE seq > 4")
    assert rb("audit", "verify").code == 0
    answer = rb("audit", "verify", "--head", "head.json")
    assert answer.code == 1
    assert "✗ the tail was cut: the log ends with entry 4, the head is entry 6" in answer.out


def test_an_export_has_every_entry_and_the_head(rb: Rb, ledger: Ledger, here: Path) -> None:
    ledger.append("é", runbook="rb-test")
    ledger.fill(2)
    entries = [entry.as_json() for entry in ledger.entries()]
    answer = rb("audit", "export")
    assert [json.loads(line) for line in answer.out.splitlines()] == entries
    head = json.loads(answer.err)
    assert head == {"seq": 3, "hash": entries[-1]["hash"], "count": 3, "at": entries[-1]["at"]}
    answer = rb("audit", "export", "--output", "log.jsonl")
    assert json.loads(answer.out) == head
    lines = (here / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == entries


def test_an_export_since_a_moment_has_the_later_entries_and_the_same_head(rb: Rb, ledger: Ledger) -> None:
    ledger.fill(2)
    time.sleep(0.01)
    ledger.fill(1)
    since = ledger.entries()[-1].at.isoformat()
    answer = rb("audit", "export", "--since", since)
    assert [json.loads(line)["seq"] for line in answer.out.splitlines()] == [3]
    assert json.loads(answer.err)["count"] == 3
    assert rb("audit", "export", "--since", "yesterday").code == 2


def test_files_that_cannot_be_used_are_said_so(rb: Rb, here: Path) -> None:
    (here / "no-head").write_text("{}", encoding="utf-8")
    (here / "binary").write_bytes(b"\xff\xfe")
    for name, reason in (
        ("no-head", "does not hold the head of an audit log"),
        ("binary", "does not hold the head of an audit log"),
        ("gone", "cannot be read: no such file or directory"),
    ):
        answer = rb("audit", "verify", "--head", name)
        assert (answer.code, answer.err.splitlines()[0]) == (2, f"rb: {name} {reason}")
    assert rb("audit", "export", "--output", "no/such/folder").code == 2
    assert rb("audit", "export", "--head", ".").code == 2


def test_the_tail_has_a_line_for_each_entry_that_cannot_steer_a_terminal(rb: Rb, ledger: Ledger) -> None:
    ledger.append("before")
    ledger.append("\033[2Jx\ny", runbook="rb-test", inputs=["a"], live=False)
    (line,) = rb("audit", "tail", "-n", "1").out.splitlines()
    assert line.split(maxsplit=3)[0] == "2"
    told = "allowed    execution_started  \ufffd[2Jx y  by ann@laptop"
    assert line.endswith(f'{told}  inputs=["a"] live=false runbook=rb-test')
    assert len(rb("audit", "tail").out.splitlines()) == 2
    assert rb("audit", "tail", "-n", "0").out == ""


def test_a_follower_prints_what_comes_until_it_is_interrupted(ledger: Ledger, here: Path) -> None:
    ledger.append("first")
    program = "from cli.main import main; main()"
    command = [sys.executable, "-c", program, "audit", "tail", "-f"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        command, cwd=here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "first" in process.stdout.readline()
        ledger.append("second")
        assert "second" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=10)
    assert (process.returncode, error) == (130, "rb: interrupted\n")


def test_entries_are_delivered_and_the_service_that_lacks_is_said(
    rb: Rb, workshop: Workshop, ledger: Ledger, server: Server
) -> None:
    ledger.fill(2)
    answer = rb("audit", "deliver")
    assert (answer.code, answer.err.splitlines()[0]) == (
        2,
        "rb: this deployment has no audit service to deliver to",
    )
    server.answers["/audit"] = [Says(status=503), Says(status=201)]
    workshop.file("connections.yaml", f"audit: {{sink: {{url: '{server.url}/audit'}}}}")
    answer = rb("audit", "deliver")
    assert answer.code == 0
    assert answer.out == f"2 entries delivered to {server.url}/audit\n"
    assert answer.err == "the audit service answered entry 1 with status 503: again in 0.5 s\n"
    server.answers["/audit"] = Says(status=403)
    ledger.append()
    answer = rb("audit", "deliver")
    assert answer.code == 2
    assert "rb: the audit service answered entry 3 with status 403" in answer.err
