"""What this project's runbooks ask of the deployment: connections and secrets. No value is ever shown."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from runbook_defs.problems import listed
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.doctor.finding import Finding, good, missing
from runbook_factory.project import Project
from step_ops.connections import Connections, connection_of, load_connections
from step_ops.errors import StepError
from step_ops.registry import step_types
from step_ops.secret_providers.chain import SecretChain, load_secrets
from step_ops.secret_providers.source import Source
from step_ops.secrets import SecretProvider

REACH_SECONDS = 2.0
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "postgres": 5432}


def named_connections(project: Project) -> tuple[Connections, Finding | None]:
    """The project's connections; none, and why, when their file cannot be read."""
    try:
        return load_connections(project.connections), None
    except StepError as error:
        return Connections({}), missing("connections", error.message, then=f"edit {project.connections.name}")


def named_secrets(project: Project) -> tuple[SecretChain, Finding | None]:
    """The project's sources of secrets; the environment, and why, when they cannot be read."""
    try:
        return load_secrets(project.connections), None
    except StepError as error:
        then = error.hint or f"edit {project.connections.name}"
        return SecretChain(), missing("secrets", error.message, then=then)


def used_connections(runbooks: Sequence[LoadedRunbook]) -> dict[str, list[str]]:
    """The connections that runbooks name, each with the runbooks that do."""
    found: dict[str, list[str]] = {}
    for runbook in runbooks:
        asked = [(step.type, step.inputs) for step in runbook.runbook.steps]
        probes = (item.probe for item in runbook.runbook.assumptions)
        asked += [(probe.type, probe.inputs) for probe in probes if probe]
        names = (connection_of(step_types()[kind], inputs) for kind, inputs in asked)
        for name in dict.fromkeys(name for name in names if name):
            found.setdefault(name, []).append(runbook.id)
    return found


def _address(connections: Connections, name: str, secrets: SecretProvider) -> str:
    connection = connections.named.get(name)
    if connection is not None and connection.type == "sql":
        return connections.database(name, secret=secrets.get)
    return connections.url(name)


def look_at_connection(
    name: str, connections: Connections, users: Sequence[str], secrets: SecretProvider
) -> Iterator[Finding]:
    """Whether a connection has an address, and somebody answers there."""
    about, needed = f"connection {name}", bool(users)
    used = f"used by {listed(users, most=3)}" if users else "used by no runbook"
    try:
        address = _address(connections, name, secrets)
    except StepError as error:
        then = error.hint if name in connections.named else f"add it to {connections.source}"
        yield missing(about, f"{_without(error.message, name)}, {used}", needed=needed, then=then)
        return
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme.split("+")[0])
    except ValueError:
        host = port = None
    if not host or not port:
        text = f"its address is not a URL with a host, {used}"
        yield missing(about, text, needed=needed, then=f"see {connections.source}: such as http://host:9091")
        return
    reason = _unreachable(host, port)
    if reason:
        then = f"start what it names, or give another address: see {connections.source}"
        yield missing(about, f"cannot be reached ({reason}), {used}", needed=needed, then=then)
    else:
        yield good(about, f"reachable, {used}")


def _without(message: str, name: str) -> str:
    return message.removeprefix(f"connection {name!r} ")


def _unreachable(host: str, port: int) -> str:
    """Why nobody answers there; nothing when somebody does."""
    try:
        socket.create_connection((host, port), timeout=REACH_SECONDS).close()
    except (OSError, UnicodeError) as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {REACH_SECONDS:g} s"
        case socket.gaierror() | UnicodeError():
            return "no such host"
        case OSError(strerror=str(text)):
            return text.lower()
        case _:
            return type(error).__name__


def look_at_source(source: Source) -> Iterator[Finding]:
    """Whether a source of secrets can be asked."""
    about = f"secrets from {source.place}"
    try:
        yield good(about, source.check())
    except StepError as error:
        yield missing(about, error.message, then=error.hint)


def look_at_secret(name: str, users: Sequence[str], secrets: SecretProvider) -> Iterator[Finding]:
    """Whether a secret that runbooks name is there."""
    used = f"used by {listed(users, most=3)}"
    try:
        secrets.get(name)
    except StepError as error:
        reason = error.message.removeprefix(f"secret {name!r} ").removeprefix("is ")
        yield missing(f"secret {name}", f"{reason}, {used}", then=error.hint)
    else:
        yield good(f"secret {name}", f"set, {used}")


def used_secrets(runbooks: Sequence[LoadedRunbook]) -> Mapping[str, list[str]]:
    """The secrets that runbooks name, each with the runbooks that do."""
    found: dict[str, list[str]] = {}
    for runbook in runbooks:
        for name in runbook.checked.uses.secrets:
            found.setdefault(name, []).append(runbook.id)
    return found
