"""The functions an expression may call: pure, on plain JSON data, bounded before the work."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runbook_defs.expressions.data import (
    CONTAINER,
    LIST,
    MAX_SIZE,
    NUMBER,
    bounded,
    check_length,
    check_plain,
    kind,
    size,
    text_of,
)
from runbook_defs.expressions.dates import format_date
from runbook_defs.expressions.errors import Refused
from runbook_defs.expressions.evaluation import Evaluation
from runbook_defs.expressions.operators import check_comparable

MAX_ROUNDING = 50  # digits, either way
MAX_DIGITS = 100  # characters of a text that is read as a number

_KINDS: Mapping[str, tuple[type, ...]] = {
    "a value": (object,),
    "a number": NUMBER,
    "text": (str,),
    "a number or text": (*NUMBER, str),
    "a list": LIST,
    "a mapping": (dict,),
    "text, a list or a mapping": (str, *LIST, dict),
}


@dataclass(frozen=True)
class Function:
    """A pure function, the kinds of its arguments, and how many of those may be left out.

    `spreads` says that several arguments stand for one list of them; `reads` is false for a
    function that looks at no item, and so takes data of any size.
    """

    compute: Callable[..., Any]
    takes: tuple[str, ...]
    optional: int = 0
    spreads: bool = False
    reads: bool = True

    def call(self, values: list[Any], evaluation: Evaluation) -> Any:
        """What it makes of `values`, with the work counted and the result bounded."""
        check_plain(values)
        if self.spreads and len(values) > 1:
            values = [values]
        for value, wanted in zip(values, self.takes, strict=False):
            if not isinstance(value, _KINDS[wanted]):
                raise Refused(f"this needs {wanted}, not {kind(value)}")
            if self.reads:
                self._pay(value, wanted, evaluation)
        result = bounded(self.compute(*values))
        if self.reads:
            evaluation.spend(size(result))
        return result

    def _pay(self, value: Any, wanted: str, evaluation: Evaluation) -> None:
        if size(value) > MAX_SIZE:
            raise Refused(f"this reads at most {MAX_SIZE:,} items or characters")
        evaluation.spend(size(value))
        if wanted == "a list":
            check_plain(value)


def _sum(values: list[Any]) -> Any:
    if not all(isinstance(value, NUMBER) for value in values):
        raise Refused("sum needs a list of numbers")
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
    return round(bounded(value), digits)


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


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(abs, ("a number",)),
    "all": Function(all, ("a list",)),
    "any": Function(any, ("a list",)),
    "float": Function(_parsed(float), ("a number or text",)),
    "format_date": Function(format_date, ("a number or text", "text")),
    "int": Function(_parsed(int), ("a number or text",)),
    "join": Function(_join, ("a list", "text"), optional=1),
    "keys": Function(list, ("a mapping",)),
    "len": Function(len, ("text, a list or a mapping",), reads=False),
    "lower": Function(str.lower, ("text",)),
    "max": Function(_in_order(max), ("a list",), spreads=True),
    "min": Function(_in_order(min), ("a list",), spreads=True),
    "round": Function(_round, ("a number", "a number"), optional=1),
    "sorted": Function(_in_order(sorted), ("a list",)),
    "str": Function(text_of, ("a value",)),
    "sum": Function(_sum, ("a list",)),
    "upper": Function(str.upper, ("text",)),
    "values": Function(lambda mapping: list(mapping.values()), ("a mapping",)),
}
