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
    """An expectation; `holds` tells whether a value meets it."""

    text: str
    holds: Callable[[Any], bool]


def compile_comparison(spec: Any) -> Comparison:
    """The comparison that `spec` states; raises `ComparisonError`."""
    if not isinstance(spec, str):
        return Comparison(f"= {spec}", lambda value: same(spec, value))
    text = spec.strip()
    if match := _ORDER.fullmatch(text):
        compare, limit = _OPERATORS[match[1]], float(match[2])
        return Comparison(text, lambda value: _is_number(value) and compare(value, limit))
    if match := _NEAR.fullmatch(text):
        middle, reach = float(match[1]), float(match[2])
        return Comparison(text, lambda value: _is_number(value) and _near(value, middle, reach))
    if text.startswith("matches "):
        try:
            pattern = re.compile(text.removeprefix("matches ").strip())
        except re.error as error:
            raise ComparisonError(f"{spec!r} has a pattern that does not compile: {error}") from None
        return Comparison(text, lambda value: isinstance(value, str) and bool(pattern.search(value)))
    if text[:1] in {"<", ">", "~"} or text[:2] in {"==", "!="}:
        raise ComparisonError(f"{spec!r} is not a comparison")
    return Comparison(f"= {spec!r}", lambda value: same(spec, value))


def _near(value: Any, middle: float, reach: float) -> bool:
    # 0.98 - 0.97 is a little more than 0.01, but 0.98 lies within 0.97 +- 0.01.
    away = abs(value - middle)
    return away <= reach or math.isclose(away, reach, rel_tol=1e-9)


def same(expected: Any, value: Any) -> bool:
    """Whether two JSON values are equal; true is not 1."""
    if isinstance(expected, bool) or isinstance(value, bool):
        return expected is value
    return bool(expected == value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
