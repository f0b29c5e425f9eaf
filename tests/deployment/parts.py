"""The files of a deployment as data, and what they must agree with: `rb`, its variables, its routes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from typer.main import get_command

from cli.main import app
from runbook_factory.catalog import load_runbook
from runbook_factory.project import Project
from step_ops.deployment import VARIABLE
from tests.docs.pages import code, page, rows

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
STATE = "/srv/runbook/.runbook"
USER = 10001


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """What `rb` reads from these arguments, which it does not carry out; fails on wrong ones."""
    command: Any = get_command(app)
    rest = list(arguments)
    while commands := getattr(command, "commands", None):
        assert rest and rest[0] in commands, f"rb has no command {' '.join(arguments)!r}"
        command = commands[rest.pop(0)]
    found: dict[str, Any] = command.make_context("rb", rest).params
    return found


@cache
def known_variables() -> frozenset[str]:
    """Variables that mean something: to `rb`, or to a runbook that is shipped."""
    table = rows(page("commands.md").section("Environment variables"), "variable")
    ours = {name for row in table for name in code(row[0])}
    uses = [load_runbook(Project(ROOT), item).checked.uses for item in Project(ROOT).runbook_ids()]
    return frozenset(ours | {name for use in uses for name in use.implicit})


@cache
def needed_secrets() -> frozenset[str]:
    """The secrets of the runbooks that are shipped."""
    project = Project(ROOT)
    return frozenset(
        name for item in project.runbook_ids() for name in load_runbook(project, item).checked.uses.secrets
    )


def asked_by(connections: Path) -> set[str]:
    """The variables that a connections file reads."""
    return {match[1] for match in VARIABLE.finditer(connections.read_text(encoding="utf-8"))} - {"NAME"}


def secrets_of(connections: Path) -> set[str]:
    """The secrets that a connections file reads."""
    return set(re.findall(r"secret\('(\w+)'\)", connections.read_text(encoding="utf-8")))


def folder_of_secrets(connections: Path) -> str:
    """The folder that a connections file takes secrets from."""
    (folder,) = [item["files"] for item in load(connections)["secrets"] if "files" in item]
    assert isinstance(folder, str)
    return folder


def containers(deployment: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All of a deployment, those that run first too."""
    pod = deployment["spec"]["template"]["spec"]
    yield from pod.get("initContainers", ())
    yield from pod["containers"]
