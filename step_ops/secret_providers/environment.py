"""Secrets from environment variables."""

import os
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from step_ops.deployment import checked
from step_ops.secret_providers.source import Missing

_ALL: TypeAdapter[str] = TypeAdapter(Literal["all"])
_ALLOWED = TypeAdapter(list[Annotated[str, Field(min_length=1)]])


class Environment:
    """The variables of this process; with `allowed`, only those named in it."""

    place = "environment"

    def __init__(self, *, allowed: frozenset[str] | None = None) -> None:
        self._allowed = allowed

    @staticmethod
    def from_settings(settings: Any, *, place: str) -> "Environment":
        """The source that `environment: [NAMES]` or `environment: all` means; raises `StepError`."""
        if isinstance(settings, str):
            checked(_ALL, settings, place=place)
            return Environment()
        names = checked(_ALLOWED, settings, place=place)
        return Environment(allowed=frozenset(names))

    def find(self, name: str) -> str | Missing:
        """The variable's value; an empty one counts as missing."""
        if self._allowed is not None and name not in self._allowed:
            hint = f"add {name} to the list under `environment:` in connections.yaml"
            return Missing(reason="is not on the allow-list of this deployment", hint=hint)
        return os.environ.get(name) or Missing(reason="is not set", hint=f"export {name}=... before the run")

    def check(self) -> str:
        """How many names are allowed."""
        if self._allowed is None:
            return "every variable may be a secret"
        return f"{len(self._allowed)} {'name' if len(self._allowed) == 1 else 'names'} allowed"
