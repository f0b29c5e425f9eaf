"""The deployment's names for API bases, databases and Pushgateways, so that runbooks hold no address."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from step_ops.errors import ErrorType, StepError
from step_ops.step_type import StepType

_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Connection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpConnection(_Connection):
    """The base that relative endpoints are joined to."""

    type: Literal["http"]
    base_url: str


class PushgatewayConnection(_Connection):
    """Where metrics are pushed."""

    type: Literal["pushgateway"]
    url: str


Connection = Annotated[HttpConnection | PushgatewayConnection, Field(discriminator="type")]
_FILE = TypeAdapter(dict[Literal["connections"], dict[str, Connection]])


@dataclass(frozen=True)
class Connections:
    """Named connections; `${NAME}` in an address is read from the environment when it is used."""

    named: Mapping[str, HttpConnection | PushgatewayConnection]
    source: str = "connections.yaml"

    def url(self, name: str) -> str:
        """The address of the connection `name`; raises `StepError` of type `config` when there is none."""
        connection = self.named.get(name)
        if connection is None:
            known = ", ".join(self.named) or "none"
            raise StepError(
                ErrorType.CONFIG,
                f"there is no connection {name!r} in {self.source}",
                hint=f"connections are: {known}",
            )
        address = connection.base_url if isinstance(connection, HttpConnection) else connection.url
        return _NAME.sub(lambda match: self._variable(match[1], name), address)

    def _variable(self, variable: str, name: str) -> str:
        value = os.environ.get(variable)
        if not value:
            raise StepError(
                ErrorType.CONFIG,
                f"connection {name!r} needs the environment variable {variable}",
                hint=f"export {variable}=... or set the address in {self.source}",
            )
        return value


def connection_of(step_type: StepType[Any], inputs: Mapping[str, Any]) -> str | None:
    """The connection that a step with these inputs will use, where that is known before it runs."""
    field = step_type.config.model_fields.get("connection")
    name = inputs.get("connection", field.default if field else None)
    endpoint = str(inputs.get("endpoint", ""))
    decided_later = "${" in str(name) or endpoint.startswith("${")
    return None if decided_later or "://" in endpoint else name


def load_connections(path: Path) -> Connections:
    """The connections in the file at `path`; none when there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Connections({})
    try:
        data = _FILE.validate_python(yaml.safe_load(text) or {"connections": {}})
    except yaml.YAMLError as error:
        raise StepError(ErrorType.CONFIG, f"{path.name} is not YAML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StepError(ErrorType.CONFIG, f"{path.name}: {place}: {first['msg']}") from None
    return Connections(data.get("connections", {}), path.name)
