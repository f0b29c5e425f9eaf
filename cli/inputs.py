"""The inputs that a person gives with `-i`, and how sensitive ones keep off the command line."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cli.errors import Stop

if TYPE_CHECKING:
    from runbook_factory.catalog import LoadedRunbook

MAX_BYTES = 64 * 1024  # of the file that holds a sensitive input


def given_inputs(runbook: "LoadedRunbook", items: Sequence[str]) -> dict[str, Any]:
    """The values that `items`, such as `limit=10`, give.

    A sensitive input comes from a file (`x=@FILE`), from stdin (`x=@-`), or is asked for at a terminal.
    Raises `Stop` or `InputError`.
    """
    from runbook_factory.inputs import from_text
    from runbook_factory.sealed_inputs import sensitive_names

    sensitive = sensitive_names(runbook)
    given: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals:
            raise Stop(f"-i {item} is not NAME=VALUE")
        if name in sensitive:
            given[name] = _kept_apart(name, text)
            continue
        spec = runbook.runbook.inputs.get(name)
        given[name] = from_text(name, spec.type if spec else "string", text)
    for name in _missing(runbook, sensitive - given.keys()):
        given[name] = typer.prompt(name, hide_input=True, err=True)
    return given


def _missing(runbook: "LoadedRunbook", names: frozenset[str]) -> Iterator[str]:
    """The sensitive inputs that nobody gave, where somebody can be asked."""
    if not sys.stdin.isatty():
        return
    for name, spec in runbook.runbook.inputs.items():
        if name in names and spec.is_required and name not in os.environ:
            yield name


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
