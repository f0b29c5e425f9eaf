"""The Dockerfile: what hadolint thinks of it, what is pinned, and whether what it copies is there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deployment.parts import ROOT, STATE, USER, parsed

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = [line.strip() for line in re.sub(r"\\\n\s*", " ", TEXT).splitlines()]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("hadolint")
    return subprocess.run([program, path], capture_output=True, text=True, timeout=60, check=False)


def test_hadolint_finds_nothing() -> None:
    done = hadolint(ROOT / "Dockerfile")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text(re.sub("# hadolint ignore.*\n", "", TEXT).replace(":3.11.15-slim-bookworm", ":latest"))
    done = hadolint(bad)
    assert done.returncode == 1
    assert "DL3007" in done.stdout and "DL3008" in done.stdout


def test_what_hadolint_is_told_to_ignore_has_its_reason_above_it() -> None:
    lines = TEXT.splitlines()
    ignored = [number for number, line in enumerate(lines) if "hadolint ignore" in line]
    assert len(ignored) == 1
    assert all(re.match("# (?!hadolint)", lines[number - 1]) for number in ignored)


def test_images_are_named_by_version_and_without_a_host() -> None:
    bases = {line.split()[0] for line in instructions("FROM")}
    stages = {line.split()[2] for line in instructions("FROM")}
    (outside,) = bases - stages
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", outside)


def test_packages_are_installed_from_the_lock_and_from_nowhere_else() -> None:
    pips = [line for line in instructions("RUN") if "pip" in line]
    assert len(pips) == 2
    assert "--require-hashes --requirement requirements.lock" in pips[0]
    assert "--no-index --find-links /wheels ." in pips[1]


def test_every_package_of_the_program_is_copied_before_it_is_installed() -> None:
    copied = {source for line in instructions("COPY") for source in line.split()[:-1]}
    found = SETTINGS["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.rstrip("*") for name in found} <= copied


@pytest.mark.parametrize(
    "source",
    sorted(
        {
            source
            for line in instructions("COPY")
            for source in line.split()[:-1]
            if not source.startswith(("--from", "/opt"))
        }
    ),
)
def test_what_is_copied_is_there_and_goes_to_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_it_runs_as_a_number_that_is_not_root() -> None:
    assert instructions("USER") == [f"{USER}:{USER}"]
    assert f"--uid {USER}" in TEXT and f"--gid {USER}" in TEXT


def test_the_state_folder_belongs_to_that_user() -> None:
    (made,) = re.findall(
        r"install --directory --owner runbook --group runbook --mode 0700 (.*?) &&", " ".join(LINES)
    )
    assert made.split() == [STATE, f"{STATE}/artifacts"]


def test_it_starts_rb() -> None:
    assert instructions("ENTRYPOINT")[0] == '["tini", "--", "rb"]'
    assert parsed(["serve"])["port"] == 8080
    assert "8080" in instructions("EXPOSE")


def test_the_image_of_now_is_of_the_version_of_now() -> None:
    version = SETTINGS["project"]["version"]
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    overlay = (ROOT / "deploy/kubernetes/kustomization.yaml").read_text(encoding="utf-8")
    assert f"image: runbook-engine:{version}\n" in compose
    assert f"image: runbook-demo:{version}\n" in compose
    assert f"{{name: runbook-engine, newTag: {version}}}" in overlay
