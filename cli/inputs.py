"""The inputs that a person gives with `-i`, and how sensitive ones keep off the command line."""

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cli.errors import Stop

if TYPE_CHECKING:
    from runbook_factory.catalog import LoadedRunbook

MAX_BYTES = 64 * 1024  # of the file that holds a sensitive input


def given_inputs(specs: Mapping[str, Any], items: Sequence[str]) -> dict[str, Any]:
    """The values that `items`, such as `limit=10`, give to the inputs that `specs` tell the type of.

    A sensitive input comes from a file (`x=@FILE`) or from stdin (`x=@-`). Raises `Stop` or `InputError`.
    """
    from runbook_factory.inputs import from_text

    given: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals:
            raise Stop(f"-i {item} is not NAME=VALUE")
        spec = specs.get(name, {})
        if spec.get("sensitive"):
            given[name] = _kept_apart(name, text)
        else:
            given[name] = from_text(name, spec.get("type", "string"), text)
    return given


def specs_of(runbook: "LoadedRunbook") -> dict[str, Any]:
    """The type of each declared input, and whether it is sensitive; as the service tells it, too."""
    return {
        name: {"type": spec.type, "sensitive": spec.sensitive}
        for name, spec in runbook.runbook.inputs.items()
    }


def asked_inputs(runbook: "LoadedRunbook", given: Collection[str]) -> dict[str, str]:
    """The sensitive inputs that nobody gave, asked for at the terminal, where there is one."""
    if not sys.stdin.isatty():
        return {}
    missing = [
        name
        for name, spec in runbook.runbook.inputs.items()
        if spec.sensitive and spec.is_required and name not in given and name not in os.environ
    ]
    return {name: typer.prompt(name, hide_input=True, err=True) for name in missing}


def _kept_apart(name: str, text: str) -> str:
    if not text.startswith("@"):
        raise Stop(
            f"input {name!r} is sensitive, and others on this machine see a command line",
            hint=f"give it with -i {name}=@FILE, or @- for stdin, or export {name}",
        )
    try:
        if text == "@-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(text[1:]).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Stop(f"cannot read input {name!r} from {text[1:]}: {reason}") from None
    if len(data) > MAX_BYTES:
        raise Stop(f"input {name!r} is larger than {MAX_BYTES // 1024} KiB")
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Stop(f"input {name!r} is not UTF-8 text", hint="encode it, such as in base64") from None
