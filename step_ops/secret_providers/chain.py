"""All sources of a deployment, asked in order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from step_ops.deployment import load_part
from step_ops.errors import ErrorType, StepError
from step_ops.secret_providers.environment import Environment
from step_ops.secret_providers.files import Files
from step_ops.secret_providers.source import Missing, Source
from step_ops.secret_providers.vault import Vault


class _Kind(Protocol):
    def __call__(self, settings: Any, *, place: str) -> Source: ...


# One line for each kind of source, by its word in the deployment file.
KINDS: dict[str, _Kind] = {
    "environment": Environment.from_settings,
    "files": Files.from_settings,
    "vault": Vault.from_settings,
}


class SecretChain:
    """The first of `sources` that has a name gives its value.

    One that cannot tell ends the search: what a later one has may be out of date.
    """

    def __init__(self, sources: Sequence[Source] = (Environment(),)) -> None:
        self.sources = tuple(sources)

    def get(self, name: str) -> str:
        """The value called `name`; raises `StepError` of type `secret` that says who was asked."""
        found: list[Missing] = []
        for source in self.sources:
            value = source.find(name)
            if isinstance(value, str):
                return value
            found.append(value)
        if not found:
            hint = "name a source under `secrets:` in connections.yaml"
            raise StepError(ErrorType.SECRET, f"secret {name!r} has no source to come from", hint=hint)
        raise StepError(
            ErrorType.SECRET,
            f"secret {name!r} {' and '.join(missing.reason for missing in found)}",
            hint="; or ".join(dict.fromkeys(missing.hint for missing in found)),
        )


def load_secrets(path: Path) -> SecretChain:
    """The sources under `secrets:` in the deployment file at `path`; without any, all of the environment.

    Raises `StepError` of type `config`. Nothing is asked yet.
    """
    listed = load_part(path, "secrets")
    if listed is None:
        return SecretChain()
    place = f"{path.name}: secrets"
    if not isinstance(listed, list):
        hint = "such as: secrets: [environment: all]"
        raise StepError(ErrorType.CONFIG, f"{place}: not a list", hint=hint)
    return SecretChain([_source(item, place=f"{place}.{number}") for number, item in enumerate(listed)])


def _source(item: Any, *, place: str) -> Source:
    kinds = ", ".join(KINDS)
    if not isinstance(item, dict) or len(item) != 1:
        hint = f"begin each with a dash and one of {kinds}"
        raise StepError(ErrorType.CONFIG, f"{place}: not a mapping with one key", hint=hint)
    ((kind, settings),) = item.items()
    if kind not in KINDS:
        hint = f"sources are: {kinds}"
        raise StepError(ErrorType.CONFIG, f"{place}: unknown source {kind!r}", hint=hint)
    return KINDS[kind](settings, place=f"{place}.{kind}")
