"""What expressions compute with: JSON data, how much of it, and never a secret."""

import json
import math
from collections.abc import Iterable
from typing import Any

from runbook_defs.expressions.errors import Refused

MAX_SIZE = 100_000  # characters of a text, or items of a list, that an expression makes or reads
MAX_BITS = 256  # of a whole number

NUMBER = (int, float)
LIST = (list, tuple)
CONTAINER = (list, tuple, dict)
JSON = (str, int, float, bool, type(None), list, dict, tuple)
_SECRET = "a secret can be passed on, but not computed with"  # noqa: S105 - a message


def is_opaque(value: Any) -> bool:
    """Whether `value` is no JSON data, so that it may only be passed on."""
    return not isinstance(value, JSON)


def check_plain(values: Iterable[Any]) -> None:
    """Refuses values with a secret among them."""
    for value in values:
        if not isinstance(value, JSON):
            raise Refused(_SECRET)


def kind_of(value: Any) -> str:
    """The plain words for the type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return "a secret"


def size(value: Any) -> int:
    """The characters of a text or the items of a list or mapping, not counting what they hold."""
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def weigh(value: Any, *, limit: int) -> int:
    """The size of `value` and of all it holds; refuses more than `limit`, and secrets inside."""
    weight, rest = 0, [value]
    while rest:
        item = rest.pop()
        if is_opaque(item):
            raise Refused(_SECRET)
        weight += 1 + size(item)
        if weight + len(rest) > limit:
            raise Refused("the value is too large")
        if isinstance(item, CONTAINER):
            rest.extend(item)
        if isinstance(item, dict):
            rest.extend(item.values())
    return weight


def bounded(value: Any) -> Any:
    """`value`, unless it is a number outside JSON and the bounds, or too long a text."""
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise Refused(f"the number has more than {MAX_BITS} bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Refused("the result is not a finite number")
    elif isinstance(value, str):
        check_length(len(value))
    return value


def check_length(length: int, *, limit: int = MAX_SIZE) -> None:
    """Refuses a text that has, or would have, too many characters."""
    if length > limit:
        raise Refused(f"the text would be longer than {limit:,} characters")


def text_of(value: Any, *, limit: int = MAX_SIZE) -> str:
    """How `value` reads inside a text: a string as it is, all else as compact JSON."""
    text = value
    if not isinstance(value, str):
        weigh(value, limit=limit)
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except (ValueError, TypeError, RecursionError):
            raise Refused(f"{kind_of(value)} cannot be written as JSON") from None
    check_length(len(text), limit=limit)
    return str(text)
