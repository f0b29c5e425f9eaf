"""What an acceptance pack expects of a value: a literal, or a small comparison such as `<= 300`."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ORDER = re.compile(rf"(<=|>=|==|!=|<|>)\s*({_NUMBER})")
_NEAR = re.compile(rf"~=\s*({_NUMBER})\s*(?:\+-|±)\s*({_NUMBER})")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


class ComparisonError(Exception):
    """A comparison that makes no sense."""


@dataclass(frozen=True)
class Comparison:
    """An expectation; `holds` tells whether a value meets it, `of_number` whether only numbers can."""

    text: str
    holds: Callable[[Any], bool]
    of_number: bool = False


def compile_comparison(spec: Any) -> Comparison:
    """The comparison that `spec` states; raises `ComparisonError`."""
    if not isinstance(spec, str):
        return Comparison(f"= {spec}", lambda value: same(spec, value), is_number(spec))
    text = spec.strip()
    if match := _ORDER.fullmatch(text):
        compare, limit = _OPERATORS[match[1]], _number(match[2], spec)
        return Comparison(text, lambda value: is_number(value) and compare(value, limit), True)
    if match := _NEAR.fullmatch(text):
        middle, reach = _number(match[1], spec), _number(match[2], spec)
        if reach < 0:
            raise ComparisonError(f"{spec!r} can hold for nothing: what follows +- is below 0")
        return Comparison(text, lambda value: is_number(value) and _near(value, middle, reach), True)
    if text == "matches":
        raise ComparisonError("'matches' needs a pattern")
    if text.startswith("matches "):
        try:
            pattern = re.compile(text.removeprefix("matches ").strip())
        except (re.error, OverflowError, RecursionError) as error:
            raise ComparisonError(f"{spec!r} has a pattern that does not compile: {error}") from None
        return Comparison(text, lambda value: isinstance(value, str) and bool(pattern.search(value)))
    if text[:1] in {"<", ">", "~", "=", "≤", "≥"} or text[:2] == "!=":
        raise ComparisonError(f"{spec!r} is not a comparison")
    return Comparison(f"= {spec!r}", lambda value: same(spec, value))


def same(expected: Any, value: Any) -> bool:
    """Whether two JSON values are equal, all the way down; true is not 1, and 1 is 1.0."""
    pairs = [(expected, value)]
    while pairs:
        one, two = pairs.pop()
        if isinstance(one, dict) and isinstance(two, dict):
            if one.keys() != two.keys():
                return False
            pairs.extend((one[key], two[key]) for key in one)
        elif isinstance(one, list) and isinstance(two, list):
            if len(one) != len(two):
                return False
            pairs.extend(zip(one, two, strict=True))
        elif isinstance(one, bool) or isinstance(two, bool):
            if one is not two:
                return False
        elif one != two:
            return False
    return True


def is_number(value: Any) -> bool:
    """Whether `value` is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(text: str, spec: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ComparisonError(f"{spec!r} has a number that is too large")
    return number


def _near(value: Any, middle: float, reach: float) -> bool:
    # 0.98 - 0.97 is a little more than 0.01, but 0.98 lies within 0.97 +- 0.01.
    away = abs(value - middle)
    return away <= reach or math.isclose(away, reach, rel_tol=1e-9)
