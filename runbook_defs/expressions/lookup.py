"""Keys, positions and names: what they lead to, and what to say when they lead nowhere."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from runbook_defs.expressions.data import LIST, check_plain, kind
from runbook_defs.expressions.errors import Refused
from runbook_defs.problems import did_you_mean

MAX_NAME = 60  # characters of a name that a message shows


def look_up(value: Any, key: Any) -> Any:
    """`value[key]` for a computed key, which no message shows as it may be sensitive."""
    if isinstance(key, str):
        return look_up_key(value, key, shown="such key", hint="")
    check_plain([value, key])
    if value is None:
        raise Refused("null has no items", missing=True)
    if not isinstance(value, (*LIST, str)):
        raise Refused(f"{kind(key)} is no key or position in {kind(value)}")
    if isinstance(key, bool) or not isinstance(key, int):
        raise Refused(f"a position in {kind(value)} must be a whole number, not {kind(key)}")
    if not -len(value) <= key < len(value):
        raise Refused(f"{kind(value)} has no item at that position", missing=True)
    return value[key]


def look_up_key(value: Any, key: str, *, shown: str = "", hint: str | None = None) -> Any:
    """`value.key`; a message calls the key `shown`, and suggests another unless it has a `hint`."""
    shown = shown or f"key {key[:MAX_NAME]!r}"
    if isinstance(value, dict):
        if key in value:
            return value[key]
        hint = nearest(key, value) if hint is None else hint
        raise Refused(
            f"there is no {shown}; the keys are: {listing(value)}", hint=hint, missing=True
        )
    check_plain([value])
    if value is None:
        raise Refused(
            f"there is no {shown}, because the value before it is null", missing=True
        )
    raise Refused(f"there is no {shown}: {kind(value)} has no keys")


def unknown_name(name: str, scope: Mapping[str, Any]) -> Refused:
    """The answer to a name that the scope does not have."""
    names = [key for key in scope if key != "secret"]
    message = f"there is no name {name[:MAX_NAME]!r}; the names are: {listing(names)}"
    return Refused(message, hint=nearest(name, names))


def nearest(word: str, known: Collection[Any]) -> str:
    """The hint `did you mean ...?`, which looks at some hundred short names only, as it is slow."""
    names = (name for name in islice(known, 300) if isinstance(name, str) and len(name) < MAX_NAME)
    return did_you_mean(word[:MAX_NAME], names)


def listing(keys: Collection[Any]) -> str:
    """The first eight keys, each shortened, and how many more there are."""
    shown = [repr(str(key)[:MAX_NAME]) for key in islice(keys, 8)]
    more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
    return ", ".join(shown) + more if shown else "none"
