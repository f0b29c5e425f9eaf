"""What a step hands on: a JSONPath (RFC 9535) into its result, or a literal."""

import re
from functools import lru_cache
from typing import Any

# The paths most runbooks use; `rb validate` knows them to be good without loading the library.
_PLAIN = re.compile(r"\$(\.[A-Za-z_][A-Za-z0-9_]*|\[\*\]|\[(0|[1-9][0-9]{0,8})\])*")


class OutputError(Exception):
    """A JSONPath that does not compile, or that found nothing."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def is_path(spec: Any) -> bool:
    """Whether an output is written as a JSONPath; anything else is a literal."""
    return isinstance(spec, str) and spec.startswith("$") and not spec.startswith("${")


def check_path(spec: str) -> None:
    """Raises `OutputError` when `spec` is not RFC 9535."""
    if not _PLAIN.fullmatch(spec):
        _compile(spec)


def select(spec: Any, result: Any) -> Any:
    """The output's value in a step's result.

    A singular path gives the value it names and raises `OutputError` when there is none; any other
    path gives the list of what it matches, possibly empty.
    """
    if not is_path(spec):
        return spec
    path = _compile(spec)
    found = path.findall(result)
    if not path.singular_query():
        return found
    if not found:
        raise OutputError(f"{spec} matches nothing in the result", hint=_shape(result))
    return found[0]


def _shape(result: Any) -> str:
    if isinstance(result, dict):
        keys = ", ".join(repr(key) for key in list(result)[:8])
        return f"the result has the keys {keys}" if result else "the result is an empty mapping"
    if isinstance(result, list):
        return f"the result is a list of {len(result)}"
    return f"the result is {'null' if result is None else type(result).__name__}"


@lru_cache(maxsize=1024)
def _compile(spec: str) -> Any:
    # Imported here: it costs as much as all else that a caller without paths needs.
    import jsonpath

    try:
        return _environment().compile(spec)
    except (jsonpath.JSONPathError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise OutputError(
            f"{spec!r} is not a JSONPath: {reason}",
            hint="for example $.data.items or $.items[*].id",
        ) from error


@lru_cache(maxsize=1)
def _environment() -> Any:
    import jsonpath

    return jsonpath.JSONPathEnvironment(strict=True)
