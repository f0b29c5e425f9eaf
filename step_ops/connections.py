"""The deployment's names for API bases, databases and Pushgateways, so that runbooks hold no address."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from step_ops.deployment import VARIABLE, checked, filled, load_part
from step_ops.errors import ErrorType, StepError
from step_ops.step_type import StepConfig, StepType

_IN_DATABASE = re.compile(rf"""\$\{{ *secret\( *(?:'([^'"]+)'|"([^'"]+)") *\) *\}}|{VARIABLE.pattern}""")


class _Connection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpConnection(_Connection):
    """The base that relative endpoints are joined to."""

    type: Literal["http"]
    base_url: str


class SqlConnection(_Connection):
    """A database. Its address may hold a password, so it is never shown."""

    type: Literal["sql"]
    url: str


class PushgatewayConnection(_Connection):
    """Where metrics are pushed."""

    type: Literal["pushgateway"]
    url: str


_Kind = HttpConnection | PushgatewayConnection | SqlConnection
Connection = Annotated[_Kind, Field(discriminator="type")]
_NAMED: TypeAdapter[dict[str, _Kind]] = TypeAdapter(dict[str, Connection])


@dataclass(frozen=True)
class Connections:
    """Named connections; `${NAME}` in an address is read from the environment when it is used."""

    named: Mapping[str, _Kind]
    source: str = "connections.yaml"

    def url(self, name: str) -> str:
        """The address of the connection `name`; raises `StepError` of type `config` when there is none."""
        connection = self._get(name)
        if isinstance(connection, SqlConnection):
            # Joined to a path and sent to, it would end up in messages with its password.
            raise StepError(
                ErrorType.CONFIG,
                f"connection {name!r} is a database, and takes no HTTP requests",
                hint="name one of type http or pushgateway",
            )
        address = connection.base_url if isinstance(connection, HttpConnection) else connection.url
        return filled(address, lambda variable: self._unset(variable, name))

    def database(self, name: str, *, secret: Callable[[str], str]) -> str:
        """The address of the database `name`, with what its `${secret('...')}` stand for.

        A secret that is part of an address is quoted for it. Never show what comes back. Raises `StepError`.
        """
        connection = self._get(name)
        if not isinstance(connection, SqlConnection):
            raise StepError(
                ErrorType.CONFIG,
                f"connection {name!r} is of type {connection.type}, not a database",
                hint=f"name one of type sql in {self.source}",
            )

        def found(match: re.Match[str]) -> str:
            if match[3]:
                return filled(match[0], lambda variable: self._unset(variable, name))
            value = secret(match[1] or match[2])
            return value if match[0] == connection.url.strip() else quote(value, safe="")

        return _IN_DATABASE.sub(found, connection.url)

    def check(self, name: str, *, secret: Callable[[str], str]) -> None:
        """Raises `StepError` unless the connection is there with all that its address needs."""
        if isinstance(self._get(name), SqlConnection):
            self.database(name, secret=secret)
        else:
            self.url(name)

    def _get(self, name: str) -> _Kind:
        connection = self.named.get(name)
        if connection is None:
            known = ", ".join(self.named) or "none"
            raise StepError(
                ErrorType.CONFIG,
                f"there is no connection {name!r} in {self.source}",
                hint=f"connections are: {known}",
            )
        return connection

    def _unset(self, variable: str, name: str) -> StepError:
        return StepError(
            ErrorType.CONFIG,
            f"connection {name!r} needs the environment variable {variable}",
            hint=f"export {variable}=... or set the address in {self.source}",
        )


def connection_of(step_type: StepType[Any], inputs: Mapping[str, Any]) -> str | None:
    """The connection that a step with these inputs will use, where that is known before it runs."""
    config, request = step_type.config_at(("request",)), inputs.get("request")
    if config is not None:
        if not isinstance(request, Mapping) or "url" in request:
            return None
        return _connection_of(config, request)
    return _connection_of(step_type.config, inputs)


def _connection_of(config: type[StepConfig], inputs: Mapping[str, Any]) -> str | None:
    field = config.model_fields.get("connection")
    name = inputs.get("connection", field.default if field else None)
    endpoint = str(inputs.get("endpoint", ""))
    decided_later = "${" in str(name) or endpoint.startswith("${")
    return None if decided_later or "://" in endpoint else name


def load_connections(path: Path) -> Connections:
    """The connections in the file at `path`; none when there is no such file."""
    named = load_part(path, "connections")
    if named is None:
        return Connections({}, path.name)
    connections = checked(_NAMED, named, place=f"{path.name}: connections")
    return Connections(connections, path.name)
