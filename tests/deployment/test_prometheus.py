"""deploy/prometheus.yml: by promtool where it is installed, and by what it shares with compose.yaml."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.parts import ROOT, load, parsed

FILE = ROOT / "deploy" / "prometheus.yml"
COMPOSE = load(ROOT / "compose.yaml")
JOBS: dict[str, Any] = {job["job_name"]: job for job in load(FILE)["scrape_configs"]}


def promtool(path: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: it comes with the package prometheus")
    return subprocess.run(
        [program, "check", "config", path], capture_output=True, text=True, timeout=60, check=False
    )


def with_a_token(text: str, folder: Path) -> Path:
    """The configuration with a token's file that is there: promtool looks for it."""
    (folder / "token").write_text("rbt_x")
    path = folder / "prometheus.yml"
    path.write_text(text.replace("/run/secrets/prometheus_token", str(folder / "token")))
    return path


def test_promtool_finds_nothing(tmp_path: Path) -> None:
    done = promtool(with_a_token(FILE.read_text(encoding="utf-8"), tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_would_find_something(tmp_path: Path) -> None:
    text = FILE.read_text(encoding="utf-8").replace("credentials_file", "credential_file")
    done = promtool(with_a_token(text, tmp_path))
    assert done.returncode == 1
    assert "credential_file not found" in done.stdout + done.stderr


def test_the_service_is_asked_where_it_listens() -> None:
    port = parsed(COMPOSE["services"]["service"]["command"])["port"]
    assert JOBS["runbook"]["static_configs"] == [{"targets": [f"service:{port}"]}]
    assert "metrics_path" not in JOBS["runbook"]  # /metrics unless told otherwise


def test_the_token_is_read_from_a_file_that_is_mounted() -> None:
    file = JOBS["runbook"]["authorization"]["credentials_file"]
    name = file.removeprefix("/run/secrets/")
    assert COMPOSE["services"]["prometheus"]["secrets"] == [name]
    assert name in COMPOSE["secrets"]


def test_the_pushgateway_is_asked_where_steps_publish() -> None:
    where = COMPOSE["services"]["worker"]["environment"]["PUSHGATEWAY_URL"]
    (config,) = JOBS["pushgateway"]["static_configs"]
    assert [f"http://{target}" for target in config["targets"]] == [where]
    assert JOBS["pushgateway"]["honor_labels"] is True


def test_it_reaches_all_that_it_asks() -> None:
    own = set(COMPOSE["services"]["prometheus"]["networks"])
    for job in JOBS.values():
        for config in job["static_configs"]:
            for target in config["targets"]:
                assert own & set(COMPOSE["services"][target.split(":")[0]]["networks"]), target


def test_the_configuration_is_mounted_where_the_program_looks() -> None:
    volumes = COMPOSE["services"]["prometheus"]["volumes"]
    assert "./deploy/prometheus.yml:/etc/prometheus/prometheus.yml:ro" in volumes
