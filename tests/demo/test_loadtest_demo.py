"""`make loadtest`, in a few seconds: k6 and PostgreSQL count the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.world import MissingPart, pushgateway
from tests.demo.test_up import free_ports, where
from tests.projects import ROOT

__all__ = ["where"]


@pytest.fixture(autouse=True)
def _has_a_pushgateway() -> None:
    try:
        with pushgateway():
            pass
    except MissingPart as missing:
        pytest.skip(str(missing))


def test_what_k6_counts_is_in_the_database_with_its_steps_and_dagster_runs(
    where: dict[str, str], shipped: Path
) -> None:
    (port,) = free_ports(1)
    options = ["--port", str(port), "--slots", "2", "--stage", "2s:2", "--stage", "1s:0"]
    done = subprocess.run(
        [sys.executable, "-m", "demo.loadtest", "--demo-port", "0", *options],
        cwd=ROOT,
        env=where,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    out = done.stdout
    assert re.search(r"^success +([1-9]\d*) +\1 +\1 +\d+ +5$", out, re.MULTILINE), out
    assert "k6 and PostgreSQL agree\n" in out
    assert done.returncode == (1 if "✗" in out else 0)
    assert (shipped / ".runbook/loadtest/report.html").is_file()
