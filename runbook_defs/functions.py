"""What `${...}` expressions compute with: pure, on plain JSON data, bounded before the work."""

import json
import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

MAX_BITS = 256  # of a whole number
MAX_TEXT = 100_000  # characters a text made by an expression may have
MAX_ITEMS = 100_000  # items a list made or read by an expression may have
MAX_ROUNDING = 50  # digits, either way
MAX_DATE_FORMAT = 200  # characters

OPAQUE = "a secret can be passed on, but not computed with"
_TOO_LONG = f"the text would be longer than {MAX_TEXT:,} characters"
SCALARS = frozenset({str, int, float, bool, type(None)})  # types that hold no other values
_NUMBERS = frozenset({int, float})
_WEIGHTLESS = SCALARS - {str}  # one item each, nothing inside
_LISTS = (list, tuple)
_PLAIN = SCALARS | {dict, list, tuple}
_PLAIN_TUPLE = (str, int, float, bool, type(None), dict, list, tuple)


class Refused(Exception):  # noqa: N818 - an answer, which the expression gives a place
    """What cannot be computed, in words that hold type and key names but no data."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Missing(Refused):
    """A key or an item that is not there."""


def is_opaque(value: Any) -> bool:
    """Whether `value` is no JSON data, so that it may only be passed on."""
    return type(value) not in _PLAIN and not isinstance(value, _PLAIN_TUPLE)


def kind(value: Any) -> str:
    """The plain word for the type of a JSON value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list() | tuple():
            return "list"
        case dict():
            return "mapping"
        case _:
            return "secret"


def suggestion(word: str, known: Iterable[Any]) -> str:
    """The hint `did you mean ...?`, or nothing when no known word is close."""
    some = zip(known, range(500), strict=False)  # finding close words is slow
    names = {name.lower(): name for name, _ in some if _is_short(name)}
    close = get_close_matches(word.lower(), names, n=1) if _is_short(word) else []
    return f"did you mean {names[close[0]]!r}?" if close else ""


def _is_short(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= 60


def _listing(keys: Collection[Any]) -> str:
    """The first eight keys, each shortened, and how many more there are."""
    shown = [repr(str(key)[:60]) for key, _ in zip(keys, range(8), strict=False)]
    more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
    return ", ".join(shown) + more if shown else "none"


def weigh(value: Any, *, limit: int, what: str) -> int:
    """How many items and characters `value` holds, all levels counted.

    Refuses as soon as `limit` is passed, and when a secret is anywhere inside.
    """
    weight, rest = 0, [value]
    while rest:
        item = rest.pop()
        weight += 1
        if isinstance(item, str):
            weight += len(item)
        elif isinstance(item, dict):
            weight += sum(len(key) if isinstance(key, str) else 1 for key in item)
            rest.extend(item.values())
        elif isinstance(item, _LISTS):
            if weight + len(rest) + len(item) > limit:
                weight = limit + 1
            elif len(item) > 8 and set(map(type, item)) <= _WEIGHTLESS:
                weight += len(item)
            else:
                rest.extend(item)
        elif is_opaque(item):
            raise Refused(OPAQUE)
        if weight > limit:
            raise Refused(f"the value is too large to {what}")
    return weight


def text_of(value: Any, *, limit: int = MAX_TEXT) -> str:
    """How `value` reads inside a text: a string as it is, all else as compact JSON."""
    if isinstance(value, str):
        text = str.__str__(value)  # the text of an enum member, not its name
    else:
        weigh(value, limit=limit, what="be turned into text")
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except (ValueError, TypeError, RecursionError):
            raise Refused(f"the {kind(value)} cannot be written as JSON") from None
    if len(text) > limit:
        raise Refused(f"the text would be longer than {limit:,} characters")
    return text


# Looking things up


def look_up(value: Any, key: Any, *, show_key: bool) -> Any:
    """`value[key]`: a key of a mapping, or a position in a list or text.

    `show_key` is false for a computed key, which may be sensitive.
    """
    if isinstance(value, dict):
        return _key_of(value, key, show_key=show_key)
    if is_opaque(value) or is_opaque(key):
        raise Refused(OPAQUE)
    shown = f"key {key!r}" if show_key and isinstance(key, str) else "such key"
    if value is None:
        raise Missing(f"there is no {shown}, because the value before it is null")
    if not isinstance(value, list | tuple | str):
        raise Refused(f"a {kind(value)} has no keys or items")
    if isinstance(key, str):
        raise Refused(f"there is no {shown}: a {kind(value)} has no keys", hint="use [0], [1], ...")
    if isinstance(key, bool) or not isinstance(key, int):
        raise Refused(f"a position in a {kind(value)} must be a whole number, not a {kind(key)}")
    if not -len(value) <= key < len(value):
        raise Missing(f"the {kind(value)} has no item at that position")
    return value[key]


def _key_of(mapping: dict[Any, Any], key: Any, *, show_key: bool) -> Any:
    if is_opaque(key):
        raise Refused(OPAQUE)
    if not isinstance(key, str):
        raise Refused(f"a key must be text, not a {kind(key)}")
    if key in mapping:
        return mapping[key]
    shown = f"key {key[:60]!r}" if show_key else "such key"
    hint = suggestion(key, mapping) if show_key else ""
    raise Missing(f"there is no {shown}; the keys are: {_listing(mapping)}", hint=hint)


def unknown_name(name: str, known: Mapping[str, Any]) -> Refused:
    """The answer to a name that the scope does not have."""
    names = [key for key in known if key != "secret"]
    if name in FUNCTIONS or name == "default":
        return Refused(f"{name!r} is a function", hint=f"write {name}(...)")
    hint = suggestion(name, names)
    return Refused(f"there is no name {name!r}; the names are: {_listing(names)}", hint=hint)


# Arithmetic


def finite(value: Any) -> Any:
    """`value`, unless it is a number outside what JSON and the bounds can hold."""
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise Refused(f"the number has more than {MAX_BITS} bits")
    elif not math.isfinite(value):
        raise Refused("the result is not a finite number")
    return value


def _numbers(verb: str, *values: Any) -> None:
    if any(map(is_opaque, values)):
        raise Refused(OPAQUE)
    if not all(isinstance(value, int | float) for value in values):
        kinds = " and ".join(kind(value) for value in values)
        hint = "str(...) makes text of a number" if kinds in _TEXT_AND_NUMBER else ""
        raise Refused(f"cannot {verb} {kinds}", hint=hint)
    for value in values:
        if isinstance(value, int):
            finite(value)


_TEXT_AND_NUMBER = ("text and number", "number and text")


def add(left: Any, right: Any) -> Any:
    """`left + right`: numbers, two texts or two lists."""
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > MAX_TEXT:
            raise Refused(_TOO_LONG)
        return left + right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        if len(left) + len(right) > MAX_ITEMS:
            raise Refused(f"the list would have more than {MAX_ITEMS:,} items")
        return [*left, *right]
    _numbers("add", left, right)
    return finite(left + right)


def subtract(left: Any, right: Any) -> Any:
    """`left - right`."""
    _numbers("subtract", left, right)
    return finite(left - right)


def multiply(left: Any, right: Any) -> Any:
    """`left * right`: numbers, or a text repeated.

    Lists are not repeated: nested, they grow beyond any bound on one list.
    """
    text, times = (left, right) if isinstance(left, str) else (right, left)
    if isinstance(text, str) and isinstance(times, int):
        if len(text) * times > MAX_TEXT:
            raise Refused(_TOO_LONG)
        return text * times
    _numbers("multiply", left, right)
    return finite(left * right)


def _dividing(verb: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def divide(left: Any, right: Any) -> Any:
        _numbers(verb, left, right)
        if right == 0:
            raise Refused("division by zero", hint="test for 0 first: a / b if b else 0")
        return finite(compute(left, right))

    return divide


divide = _dividing("divide", operator.truediv)
floor_divide = _dividing("divide", operator.floordiv)
remainder = _dividing("take the remainder of", operator.mod)


def negative(value: Any) -> Any:
    """`-value`."""
    _numbers("negate", value)
    return finite(-value)


def positive(value: Any) -> Any:
    """`+value`."""
    _numbers("use + on", value)
    return finite(+value)


def truth(value: Any) -> bool:
    """Whether `value` counts as true: not null, false, 0, or empty."""
    if type(value) not in _PLAIN and is_opaque(value):
        raise Refused(OPAQUE)
    return bool(value)


# Comparison


def work_of_comparing(left: Any, right: Any, *, limit: int) -> int:
    """How much there is to look at in `left == right`; refuses secrets, also those inside."""
    if is_opaque(left) or is_opaque(right):
        raise Refused(OPAQUE)
    if not (isinstance(left, list | tuple | dict) and isinstance(right, list | tuple | dict)):
        return 0
    if len(left) != len(right):
        return 0
    work = weigh(left, limit=limit, what="compare")
    return work + weigh(right, limit=limit, what="compare")


def work_of_finding(item: Any, container: Any, *, limit: int) -> int:
    """How much there is to look at in `item in container`; refuses secrets, also those inside."""
    if not isinstance(container, list | tuple):
        return 0
    if not isinstance(item, list | tuple | dict):
        check_items(container)
        return len(container)
    work = weigh(item, limit=limit, what="compare")
    return work + weigh(container, limit=limit, what="search")


def equal(left: Any, right: Any) -> bool:
    """`left == right`."""
    return bool(left == right)


def ordering(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """The order `compare` for two numbers or two texts."""

    def ordered(left: Any, right: Any) -> bool:
        if not (type(left) in _NUMBERS and type(right) in _NUMBERS):
            _comparable((left, right))
        return compare(left, right)

    return ordered


def _comparable(values: Collection[Any]) -> None:
    samples = {type(value): value for value in values}.values()
    if any(map(is_opaque, samples)):
        raise Refused(OPAQUE)
    kinds = sorted({kind(value).replace("boolean", "number") for value in samples})
    if kinds not in (["number"], ["text"]):
        words = " and ".join(kinds) if len(kinds) > 1 else f"{kinds[0]} and {kinds[0]}"
        raise Refused(f"cannot put {words} in order")


def contains(item: Any, container: Any) -> bool:
    """`item in container`: a key of a mapping, an item of a list, a part of a text."""
    if is_opaque(item) or is_opaque(container):
        raise Refused(OPAQUE)
    if isinstance(container, list | tuple):
        return item in container
    if isinstance(container, str | dict):
        if not isinstance(item, str):
            raise Refused(f"cannot look for a {kind(item)} in a {kind(container)}")
        return item in container
    raise Refused(f"cannot look for anything in a {kind(container)}")


# Functions


def _items(name: str, value: Any) -> Collection[Any]:
    """The items of a list that is short enough to be read and holds no secret."""
    if not isinstance(value, list | tuple):
        raise Refused(f"{name} needs a list, not a {kind(value)}")
    if len(value) > MAX_ITEMS:
        raise Refused(f"{name} reads at most {MAX_ITEMS:,} items")
    check_items(value)
    return value


def check_items(items: Collection[Any]) -> None:
    """Refuses a list with a secret among its items."""
    if not set(map(type, items)) <= _PLAIN and any(map(is_opaque, items)):
        raise Refused(OPAQUE)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Refused(f"{name} needs text, not a {kind(value)}")
    if len(value) > MAX_TEXT:
        raise Refused(f"{name} reads at most {MAX_TEXT:,} characters")
    return value


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Refused(_TOO_LONG)
    return text


def _len(value: Any) -> int:
    if not isinstance(value, str | list | tuple | dict):
        raise Refused(f"a {kind(value)} has no length")
    return len(value)


def _sum(values: Any) -> Any:
    items = _items("sum", values)
    if not all(isinstance(item, int | float) for item in items):
        raise Refused("sum needs a list of numbers")
    # math.fsum gives the same digits on every Python; the built-in changed in 3.12.
    exact = all(isinstance(item, int) for item in items)
    return finite(sum(items) if exact else math.fsum(items))


def _extreme(name: str, pick: Callable[[Iterable[Any]], Any]) -> Callable[..., Any]:
    def extreme(*values: Any) -> Any:
        items = _items(name, values[0] if len(values) == 1 else values)
        if not items:
            raise Refused(f"{name} of an empty list", hint=f"{name}(...) if ... else 0")
        _comparable(items)
        return pick(items)

    return extreme


def _sorted(values: Any) -> list[Any]:
    items = _items("sorted", values)
    if items:
        _comparable(items)
    return sorted(items)


def _round(value: Any, digits: Any = None) -> Any:
    _numbers("round", value)
    if digits is None:
        return finite(round(value))
    if isinstance(digits, bool) or not isinstance(digits, int) or abs(digits) > MAX_ROUNDING:
        raise Refused(f"the digits of round are a whole number up to {MAX_ROUNDING}")
    return finite(round(value, digits))


def _abs(value: Any) -> Any:
    _numbers("take abs of", value)
    return abs(value)


def _parsed(to: Callable[[Any], Any], what: str) -> Callable[[Any], Any]:
    """The conversion `to` of a number or of short text."""

    def parse(value: Any) -> Any:
        if not isinstance(value, str | int | float):
            raise Refused(f"a {kind(value)} is not {what}")
        try:
            if isinstance(value, str) and len(value) > 100:
                raise ValueError
            return finite(to(value))
        except (ValueError, OverflowError):
            raise Refused(f"the {kind(value)} is not {what}") from None

    return parse


def _join(values: Any, separator: Any = "") -> str:
    items, between = _items("join", values), _text("join", separator)
    length = len(between) * len(items)
    texts = []
    for item in items:
        if type(item) not in SCALARS and not isinstance(item, str):
            raise Refused("join needs a list of texts or numbers")
        texts.append(text_of(item))
        length += len(texts[-1])
        if length > MAX_TEXT:
            raise Refused(_TOO_LONG)
    return between.join(texts)


def _mapping(name: str, value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise Refused(f"{name} needs a mapping, not a {kind(value)}")
    if len(value) > MAX_ITEMS:
        raise Refused(f"{name} reads at most {MAX_ITEMS:,} items")
    return value


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
# Not strftime: its widths (%999999999d) explode, and its words change with platform and locale.
_DATE_PARTS: dict[str, Callable[[datetime], str]] = {
    "Y": lambda time: f"{time.year:04}",
    "y": lambda time: f"{time.year % 100:02}",
    "m": lambda time: f"{time.month:02}",
    "d": lambda time: f"{time.day:02}",
    "H": lambda time: f"{time.hour:02}",
    "I": lambda time: f"{time.hour % 12 or 12:02}",
    "M": lambda time: f"{time.minute:02}",
    "S": lambda time: f"{time.second:02}",
    "f": lambda time: f"{time.microsecond:06}",
    "p": lambda time: "AM" if time.hour < 12 else "PM",
    "j": lambda time: f"{time.timetuple().tm_yday:03}",
    "a": lambda time: _DAYS[time.weekday()][:3],
    "A": lambda time: _DAYS[time.weekday()],
    "b": lambda time: _MONTHS[time.month - 1][:3],
    "B": lambda time: _MONTHS[time.month - 1],
    "G": lambda time: f"{time.isocalendar().year:04}",
    "V": lambda time: f"{time.isocalendar().week:02}",
    "u": lambda time: str(time.isoweekday()),
    "F": lambda time: time.date().isoformat(),
    "T": lambda time: time.time().isoformat("seconds"),
    "z": lambda time: time.isoformat()[-6:].replace(":", ""),
    "%": lambda time: "%",
}


def _format_date(moment: Any, pattern: Any) -> str:
    """`moment` (ISO 8601 text, or seconds since 1970) as `pattern`; without a zone it is UTC."""
    time = _moment(moment)
    if len(_text("format_date", pattern)) > MAX_DATE_FORMAT:
        raise Refused(f"a date format has at most {MAX_DATE_FORMAT} characters")

    def part(match: re.Match[str]) -> str:
        if match[1] not in _DATE_PARTS:
            known = " ".join(f"%{letter}" for letter in _DATE_PARTS)
            raise Refused("the date format has an unknown % code", hint=f"known are {known}")
        return _DATE_PARTS[match[1]](time)

    return re.sub(r"%(.?)", part, pattern, flags=re.DOTALL)


def _moment(moment: Any) -> datetime:
    try:
        if isinstance(moment, str) and len(moment) <= 64:
            time = datetime.fromisoformat(moment)
            offset = time.utcoffset() or timedelta()
            if offset % timedelta(minutes=1):
                raise ValueError
            return time if time.tzinfo else time.replace(tzinfo=UTC)
        if isinstance(moment, int | float) and not isinstance(moment, bool):
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)
    except (ValueError, OverflowError):
        pass
    hint = "ISO 8601 text such as 2025-11-29T09:00:00Z, or seconds since 1970"
    raise Refused(f"the {kind(moment)} is not a date", hint=hint)


@dataclass(frozen=True)
class Function:
    """A function an expression may call with `least` to `most` plain arguments.

    `reads` says that it looks at every item, which counts as work.
    """

    call: Callable[..., Any]
    least: int
    most: int
    reads: bool = True


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(_abs, 1, 1),
    "all": Function(lambda values: all(_items("all", values)), 1, 1),
    "any": Function(lambda values: any(_items("any", values)), 1, 1),
    "float": Function(_parsed(float, "a number"), 1, 1),
    "format_date": Function(_format_date, 2, 2),
    "int": Function(_parsed(int, "a whole number"), 1, 1),
    "join": Function(_join, 1, 2),
    "keys": Function(lambda value: list(_mapping("keys", value)), 1, 1),
    "len": Function(_len, 1, 1, reads=False),
    "lower": Function(lambda value: _bounded(_text("lower", value).lower()), 1, 1),
    "max": Function(_extreme("max", max), 1, 100),
    "min": Function(_extreme("min", min), 1, 100),
    "round": Function(_round, 1, 2),
    "sorted": Function(_sorted, 1, 1),
    "str": Function(text_of, 1, 1),
    "sum": Function(_sum, 1, 1),
    "upper": Function(lambda value: _bounded(_text("upper", value).upper()), 1, 1),
    "values": Function(lambda value: list(_mapping("values", value).values()), 1, 1),
}
