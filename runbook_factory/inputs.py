"""The values a run gets: from the caller, else from the environment, else the declared default."""

import json
import os
from collections.abc import Mapping
from typing import Any

from runbook_defs.checks.goals import input_fits
from runbook_defs.problems import did_you_mean
from runbook_factory.catalog import LoadedRunbook
from step_ops.redaction import SHORTEST


class InputError(Exception):
    """An input that is missing, unknown or of the wrong type."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def resolve_inputs(
    runbook: LoadedRunbook,
    given: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The value of every input, and the names of those read from the environment.

    Only names the runbook uses are looked for there. Raises `InputError`.
    """
    environment = os.environ if environment is None else environment
    declared = runbook.runbook.inputs
    implicit = runbook.checked.uses.implicit
    known = [*declared, *implicit]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"inputs are: {', '.join(known) or 'none'}"
            if name in runbook.checked.uses.secrets:
                hint = "it is a secret: it is looked up when the step runs, and never an input"
            raise InputError(f"{runbook.id} has no input {name!r}", hint=hint)
    values: dict[str, Any] = {}
    from_environment: list[str] = []
    for name in known:
        spec = declared.get(name)
        kind = spec.type if spec else "string"
        if name in given:
            values[name] = given[name]
        elif name in environment:
            values[name] = from_text(name, kind, environment[name])
            from_environment.append(name)
        elif spec is not None and not spec.is_required:
            values[name] = spec.default
            continue
        else:
            how = "@FILE" if spec is not None and spec.sensitive else "..."
            hint = f"give it with -i {name}={how}, or export {name}"
            raise InputError(f"input {name!r} of {runbook.id} is missing", hint=hint)
        if not input_fits(kind, values[name]):
            article = "an" if kind[0] in "aeiou" else "a"
            raise InputError(f"input {name!r} is not {article} {kind}")
        if spec is not None and spec.sensitive and len(values[name].strip()) < SHORTEST:
            hint = f"use one of at least {SHORTEST} characters"
            raise InputError(f"sensitive input {name!r} is too short to be masked safely", hint=hint)
    return values, tuple(from_environment)


def from_text(name: str, kind: str, text: str) -> Any:
    """The value that `text` states for an input of type `kind`; raises `InputError`."""
    if kind == "string":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        hint = {"list": '["a", "b"]', "object": '{"a": 1}', "boolean": "true"}.get(kind, "10")
        message = f"input {name!r} should be of type {kind}, and the text given is not"
        raise InputError(message, hint=f"write it as JSON, such as {hint}") from None
