"""Keys, positions and names: what they lead to, and what to say when they lead nowhere."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from runbook_defs.expressions.data import LIST, check_plain, kind_of
from runbook_defs.expressions.errors import Refused
from runbook_defs.problems import did_you_mean

MAX_NAME = 60  # characters of a name that a message shows


def look_up(value: Any, key: Any) -> Any:
    """`value[key]` for a computed key, which no message shows as it may be sensitive."""
    check_plain([value, key])
    if value is None or (isinstance(value, dict) and isinstance(key, str)):
        if value and key in value:
            return value[key]
        raise Refused(f"there is no such key in {kind_of(value)}", missing=True)
    if not isinstance(value, (*LIST, str)) or isinstance(key, bool) or not isinstance(key, int):
        raise Refused(f"{kind_of(key)} is no key or position in {kind_of(value)}")
    if not -len(value) <= key < len(value):
        raise Refused(f"{kind_of(value)} has no item at that position", missing=True)
    return value[key]


def unknown_key(value: Any, key: str) -> Refused:
    """The answer to a written-out key that `value` does not have."""
    what = f"there is no key {_short(key)!r}"
    if isinstance(value, dict):
        message = f"{what}; the keys are: {listing(value)}"
        return Refused(message, hint=nearest(key, value), missing=True)
    if value is None:
        return Refused(f"{what}, because the value before it is null", missing=True)
    return Refused(f"{what}: {kind_of(value)} has no keys")


def unknown_name(name: str, scope: Mapping[str, Any]) -> Refused:
    """The answer to a name that the scope does not have."""
    names = [key for key in scope if key != "secret"]
    message = f"there is no name {_short(name)!r}; the names are: {listing(names)}"
    return Refused(message, hint=nearest(name, names))


def nearest(word: str, known: Collection[Any]) -> str:
    """The hint `did you mean ...?`, which looks at some hundred short names only, as it is slow."""
    names = (name for name in islice(known, 300) if isinstance(name, str) and len(name) < MAX_NAME)
    return did_you_mean(word[:MAX_NAME], names)


def listing(keys: Collection[Any]) -> str:
    """The first eight keys, each shortened, and how many more there are."""
    shown = [repr(_short(str(key))) for key in islice(keys, 8)]
    more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
    return ", ".join(shown) + more if shown else "none"


def _short(name: str) -> str:
    """What a message shows of a name; the mark at its end also tells who masks secrets that it was cut."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
