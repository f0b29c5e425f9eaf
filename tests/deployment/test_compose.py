"""compose.yaml: by the Compose specification, and by what its parts must agree on."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import compose_spec
import pytest

from tests.deployment.parts import (
    ROOT,
    STATE,
    USER,
    asked_by,
    folder_of_secrets,
    known_variables,
    load,
    needed_secrets,
    parsed,
    secrets_of,
)

COMPOSE: dict[str, Any] = load(ROOT / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
ENGINES = {name: part for name, part in SERVICES.items() if part["image"].startswith("runbook-engine:")}
CONNECTIONS = ROOT / "deploy" / "connections.yaml"
ENVIRONMENT = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")


def checked(data: Any) -> None:
    """Raises `ValueError` for what the specification does not have."""
    compose_spec.PyCompose.from_json(json.dumps(data)).validate()


def test_it_is_as_the_specification_says() -> None:
    checked(COMPOSE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"imagee": "x"},
        {"restart": "sometimes"},
        {"secrets": ["NONE"]},
        {"networks": ["none"]},
        {"ports": ["a:b"]},
    ],
    ids=str,
)
def test_the_specification_refuses_what_is_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of the library, in words of its own for each
        checked({**COMPOSE, "services": {**SERVICES, "worker": {**SERVICES["worker"], **wrong}}})


def test_it_has_all_parts_and_the_demo_only_when_asked_for() -> None:
    asked = {name for name, part in SERVICES.items() if part.get("profiles")}
    assert set(SERVICES) - asked == {
        "postgres",
        "migrate",
        "service",
        "worker",
        "prometheus",
        "pushgateway",
    }
    assert asked == {"demo"}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_named_by_version_and_without_a_host(name: str) -> None:
    repository, version = SERVICES[name]["image"].split(":")
    assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-bookworm)?", version)
    assert "." not in repository.split("/")[0]


@pytest.mark.parametrize("name", ENGINES)
def test_rb_understands_its_command(name: str) -> None:
    parsed(ENGINES[name]["command"])


def test_the_service_leaves_runs_to_the_worker() -> None:
    assert parsed(ENGINES["service"]["command"]) == {
        "host": "0.0.0.0",
        "port": 8080,
        "slots": 0,
        "daemon": True,
    }
    assert parsed(ENGINES["worker"]["command"])["slots"] > 0


def test_the_published_port_is_the_one_that_is_served_and_only_on_this_machine() -> None:
    port = parsed(ENGINES["service"]["command"])["port"]
    assert ENGINES["service"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    for part in SERVICES.values():
        assert all(published.startswith("127.0.0.1:") for published in part.get("ports", ()))


@pytest.mark.parametrize("name", ENGINES)
def test_each_variable_it_sets_means_something(name: str) -> None:
    given = set(ENGINES[name]["environment"])
    assert given <= known_variables() | asked_by(CONNECTIONS)
    assert given >= {"RUNBOOK_DATABASE_URL", "RUNBOOK_KEY"} | asked_by(CONNECTIONS)


def test_each_variable_it_takes_from_outside_is_in_the_example() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    passed = {
        name for part in ENGINES.values() for name, value in part["environment"].items() if value is None
    }
    assert needed | passed == set(re.findall(r"^(\w+)=", ENVIRONMENT, re.MULTILINE))


@pytest.mark.parametrize("name", ENGINES)
def test_secrets_are_mounted_where_the_connections_file_looks(name: str) -> None:
    assert folder_of_secrets(CONNECTIONS) == "/run/secrets"  # where Compose mounts those without a target
    assert set(ENGINES[name]["secrets"]) >= secrets_of(CONNECTIONS)
    assert set(ENGINES[name]["secrets"]) >= needed_secrets()


def test_no_secret_lies_in_the_repository() -> None:
    for file in [".env", *(item["file"] for item in COMPOSE["secrets"].values())]:
        ignored = subprocess.run(["git", "check-ignore", "-q", file], cwd=ROOT, timeout=60, check=False)
        assert ignored.returncode == 0, file
    assert re.findall(r"^(?:POSTGRES_PASSWORD|RUNBOOK_KEY)=(.*)$", ENVIRONMENT, re.MULTILINE) == ["", ""]


@pytest.mark.parametrize("name", ENGINES)
def test_nothing_of_the_program_can_be_written_but_its_state(name: str) -> None:
    part = ENGINES[name]
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    writable = [entry.split(":")[1] for entry in part["volumes"] if not entry.endswith(":ro")]
    assert writable == [f"{STATE}/artifacts"]
    assert part["tmpfs"] == ["/tmp", f"{STATE}:uid={USER},gid={USER},mode=0700"]


def mounted() -> Iterator[tuple[str, str]]:
    for part in SERVICES.values():
        for entry in part.get("volumes", ()):
            yield entry.split(":")[0], entry.split(":")[1]


def test_what_is_mounted_is_there() -> None:
    sources = {source for source, _ in mounted()}
    files = {source for source in sources if source.startswith("./")}
    assert sources - files == set(COMPOSE["volumes"])
    assert all((ROOT / source).is_file() for source in files)


def test_what_is_waited_for_is_there_and_ends_well() -> None:
    for part in SERVICES.values():
        assert set(part.get("depends_on", ())) <= set(SERVICES)
    for name in ("service", "worker"):
        assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert parsed(SERVICES["migrate"]["command"]) == {}
    assert SERVICES["migrate"]["restart"] == "no"


def test_only_who_needs_the_database_can_reach_it() -> None:
    assert COMPOSE["networks"]["database"] == {"internal": True}
    assert {name for name, part in SERVICES.items() if "database" in part.get("networks", ())} == {
        "postgres",
        *ENGINES,
    }


def test_a_worker_has_time_to_end_what_it_has_and_no_page_to_be_asked_for() -> None:
    assert SERVICES["worker"]["stop_grace_period"] == "10m"
    assert SERVICES["worker"]["healthcheck"] == {"disable": True}
    assert "healthcheck" not in SERVICES["service"]  # the image's own is the service's
