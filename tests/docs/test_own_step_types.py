"""The package that docs/own-step-types.md shows, built from the page, installed, and used by a runbook."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from step_ops.gate import Gate
from step_ops.registry import step_types
from tests.docs.pages import as_pattern, code, conversation, page, rows
from tests.workshop import Workshop

PAGE = page("own-step-types.md")
TOKEN = "not-a-real-token"


@dataclass(frozen=True)
class Installed:
    """A project with the page's files, and the folder that its package is installed in."""

    root: Path
    packages: Path

    def rb(self, *arguments: str, **environment: str) -> tuple[str, int]:
        """Runs `rb` in a process that sees the package; gives what it prints and its exit code."""
        ours = {name: value for name, value in os.environ.items() if name != "RUNBOOK_PROJECT"}
        done = subprocess.run(
            [Path(sys.executable).with_name("rb"), *arguments],
            cwd=self.root,
            env={**ours, "PYTHONPATH": str(self.packages), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout, done.returncode


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's package, really built and installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("packages")
    write(source)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run(
        [*pip, "--target", str(target), str(source / "runbook-health")], check=True, capture_output=True
    )
    return target


@pytest.fixture
def installed(package: Path, workshop: Workshop) -> Installed:
    write(workshop.project.root)
    return Installed(workshop.project.root, package)


def write(folder: Path) -> None:
    for block in PAGE.blocks:
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")


@pytest.fixture
def service() -> Iterator[tuple[str, list[str]]]:
    """A service that is well: its address, and the tokens it was shown."""
    shown: list[str] = []

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            body = json.dumps({"status": "up", "version": "2.0.1"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/health", shown
        server.shutdown()
        thread.join()


def test_the_commands_of_the_page_print_what_it_shows(installed: Installed) -> None:
    said = [item for block in PAGE.blocks if block.language == "console" for item in conversation(block.body)]
    assert [command.split()[1] for command, _ in said] == ["validate", "test"]
    for command, lines in said:
        printed, exit_code = installed.rb(*shlex.split(command)[1:])
        assert exit_code == 0, printed
        assert re.fullmatch(as_pattern(lines), printed), printed


def test_the_foreign_step_type_runs_live_and_is_recorded(
    installed: Installed, service: tuple[str, list[str]]
) -> None:
    url, shown = service
    printed, exit_code = installed.rb("run", "rb-100-health", "-i", f"HEALTH_URL={url}", HEALTH_TOKEN=TOKEN)
    assert exit_code == 0, printed
    assert "✓ Step: ask (healthy, version 2.0.1)" in printed
    assert shown == [f"Bearer {TOKEN}"]
    execution = printed.split()[-1]
    printed, exit_code = installed.rb("show", execution, "--json")
    record = json.loads(printed)
    (step,) = record["steps"]
    assert (step["type"], step["outputs"]) == ("health_check", {"version": "2.0.1"})
    assert len(step["exchanges"]) == 1
    assert TOKEN not in printed


def test_an_input_that_it_has_not_is_a_problem_at_its_place(installed: Installed) -> None:
    path = installed.root / "runbooks/rb-100-health/runbook.yaml"
    path.write_text(path.read_text().replace("      url:", "      ulr:"))
    printed, exit_code = installed.rb("validate", "rb-100-health")
    assert exit_code == 1
    assert ":10:7 RB207 health_check has no input 'ulr'" in printed
    assert "did you mean 'url'?" in printed


def test_a_broken_package_is_one_sentence_and_other_runbooks_go_on(
    installed: Installed, tmp_path_factory: pytest.TempPathFactory, workshop: Workshop
) -> None:
    workshop.runbook([{"id": "a", "type": "schema_check", "inputs": {"entities": [], "schema": "s.json"}}])
    workshop.file("runbooks/rb-test/s.json", "{}")
    first = tmp_path_factory.mktemp("first")  # found before the package: its module is not the one meant
    (first / "health_check.py").write_text("import a_client_that_is_not_installed\n")
    path = os.pathsep.join([str(first), str(installed.packages)])
    printed, exit_code = installed.rb("validate", PYTHONPATH=path)
    assert exit_code == 1
    assert (
        "runbooks/rb-100-health/runbook.yaml:8:11 RB210 step type 'health_check' of runbook-health" in printed
    )
    assert "No module named 'a_client_that_is_not_installed'" in printed
    assert printed.endswith("2 runbooks: 1 error, 1 warning\n")


def test_without_the_package_the_type_is_unknown(installed: Installed) -> None:
    printed, exit_code = installed.rb("validate", "rb-100-health", PYTHONPATH="")
    assert exit_code == 1
    assert "RB203 unknown step type 'health_check'" in printed


def test_the_page_tells_of_every_way_out_through_the_gate() -> None:
    told = {name for row in rows(PAGE.section("The gate"), "call") for name in code(row[0])}
    of_the_gate = {name for name, item in vars(Gate).items() if callable(item) and not name.startswith("_")}
    assert told == of_the_gate


def test_the_type_of_the_page_is_none_that_comes_along() -> None:
    assert "health_check" not in step_types()
