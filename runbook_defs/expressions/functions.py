"""The functions an expression may call: pure, on plain JSON data, bounded before the work."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from runbook_defs.expressions.data import (
    CONTAINER,
    JSON,
    LIST,
    NUMBER,
    bounded,
    check_length,
    kind_of,
    size,
    text_of,
)
from runbook_defs.expressions.dates import format_date
from runbook_defs.expressions.errors import Refused
from runbook_defs.expressions.evaluation import Evaluation
from runbook_defs.expressions.operators import check_comparable

MAX_ROUNDING = 50  # digits, either way
MAX_DIGITS = 100  # characters of a text that is read as a number


class Kind(NamedTuple):
    """What an argument must be, in words and in types; none is a secret."""

    words: str
    types: tuple[type, ...]


_VALUE = Kind("a value", JSON)
_NUMBER = Kind("a number", NUMBER)
_TEXT = Kind("text", (str,))
_LIST = Kind("a list", LIST)
_MAPPING = Kind("a mapping", (dict,))
_NUMBER_OR_TEXT = Kind("a number or text", (*NUMBER, str))
_SIZED = Kind("text, a list or a mapping", (str, *CONTAINER))


@dataclass(frozen=True)
class Function:
    """A pure function, the kinds of its arguments, and how many of those may be left out.

    `spreads` says that several arguments stand for one list of them; `reads` is false for a
    function that looks at no item, and so takes data of any size.
    """

    name: str
    compute: Callable[..., Any]
    takes: tuple[Kind, ...]
    optional: int = 0
    spreads: bool = False
    reads: bool = True

    def call(self, values: list[Any], evaluation: Evaluation) -> Any:
        """What it makes of `values`, with the work counted and the result bounded."""
        if self.spreads and len(values) > 1:
            values = [values]
        for value, kind in zip(values, self.takes, strict=False):
            if not isinstance(value, kind.types):
                raise Refused(f"{self.name} needs {kind.words}, not {kind_of(value)}")
        if not self.reads:
            return self.compute(*values)
        for value in values:
            evaluation.read(value)
        result = bounded(self.compute(*values))
        evaluation.spend(size(result))
        return result


def _sum(values: list[Any]) -> Any:
    # math.fsum gives the same digits on every Python; the built-in changed in 3.12.
    return sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)


def _in_order(pick: Callable[[Iterable[Any]], Any]) -> Callable[[list[Any]], Any]:
    """`pick` for a list of numbers or of texts."""

    def picked(values: list[Any]) -> Any:
        check_comparable(values)
        return pick(values)

    return picked


def _round(value: Any, digits: Any = None) -> Any:
    if digits is not None and (type(digits) is not int or abs(digits) > MAX_ROUNDING):
        raise Refused(f"the digits of round are a whole number up to {MAX_ROUNDING}")
    return round(value, digits)


def _parsed(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The conversion `parse` of a number or of short text."""

    def convert(value: Any) -> Any:
        check_length(size(value), limit=MAX_DIGITS)
        return parse(value)

    return convert


def _join(values: list[Any], separator: str = "") -> str:
    texts, length = [], 0
    for value in values:
        if isinstance(value, CONTAINER):
            raise Refused("join needs a list of texts or numbers")
        texts.append(text_of(value))
        length += len(texts[-1]) + len(separator)
        check_length(length)
    return separator.join(texts)


_ALL = (
    Function("abs", abs, (_NUMBER,)),
    Function("all", all, (_LIST,)),
    Function("any", any, (_LIST,)),
    Function("float", _parsed(float), (_NUMBER_OR_TEXT,)),
    Function("format_date", format_date, (_NUMBER_OR_TEXT, _TEXT)),
    Function("int", _parsed(int), (_NUMBER_OR_TEXT,)),
    Function("join", _join, (_LIST, _TEXT), optional=1),
    Function("keys", list, (_MAPPING,)),
    Function("len", len, (_SIZED,), reads=False),
    Function("lower", str.lower, (_TEXT,)),
    Function("max", _in_order(max), (_LIST,), spreads=True),
    Function("min", _in_order(min), (_LIST,), spreads=True),
    Function("round", _round, (_NUMBER, _NUMBER), optional=1),
    Function("sorted", _in_order(sorted), (_LIST,)),
    Function("str", text_of, (_VALUE,)),
    Function("sum", _sum, (_LIST,)),
    Function("upper", str.upper, (_TEXT,)),
    Function("values", lambda mapping: list(mapping.values()), (_MAPPING,)),
)
FUNCTIONS: Mapping[str, Function] = {function.name: function for function in _ALL}
