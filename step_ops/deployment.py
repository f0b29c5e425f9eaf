"""The deployment file, `connections.yaml`: what one installation calls its surroundings."""

import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from step_ops.errors import ErrorType, StepError

KEYS = ("connections", "secrets", "audit")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Part = TypeVar("Part")


def load_part(path: Path, key: str) -> Any:
    """What stands under `key` in the file at `path`, unchecked; None where there is nothing.

    Raises `StepError` of type `config` for a file that is not YAML or has other keys than `KEYS`.
    """
    try:
        data = _parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StepError(ErrorType.CONFIG, f"{path.name} is not YAML: {_reason(error)}") from None
    if data is None:
        return None
    if not isinstance(data, dict):
        raise StepError(ErrorType.CONFIG, f"{path.name} is not a mapping", hint=f"its keys are {_keys()}")
    for other in data:
        if other not in KEYS:
            raise StepError(
                ErrorType.CONFIG, f"{path.name}: unknown key {other!r}", hint=f"its keys are {_keys()}"
            )
    return data.get(key)


@lru_cache(maxsize=8)  # each execution asks for it, and it hardly ever changes
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def _reason(error: Exception) -> str:
    """Where and why, without the text of the line: it may hold a password."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it holds bytes that are no text"
    return f"line {mark.line + 1}: {problem}" if mark else problem


def _keys() -> str:
    return ", ".join(KEYS)


def checked(kind: TypeAdapter[Part], value: Any, *, place: str) -> Part:
    """`value` as `kind`; raises `StepError` of type `config` that begins with `place`."""
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([place, *(str(part) for part in first["loc"])])
        raise StepError(ErrorType.CONFIG, f"{where}: {first['msg']}") from None


def filled(text: str, missing: Callable[[str], StepError]) -> str:
    """`text` with each `${NAME}` read from the environment; raises what `missing` says of the first one
    that is not set."""

    def found(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if not value:
            raise missing(match[1])
        return value

    return VARIABLE.sub(found, text)
