"""The operators: pure, on plain JSON data, bounded before the work."""

import ast
import operator
from collections.abc import Callable, Collection
from typing import Any

from runbook_defs.expressions.data import (
    CONTAINER,
    LIST,
    MAX_SIZE,
    NUMBER,
    bounded,
    check_length,
    check_plain,
    kind_of,
)
from runbook_defs.expressions.errors import Refused
from runbook_defs.expressions.evaluation import Evaluation


def _arithmetic(verb: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    """`compute` for numbers only."""

    def calculate(*values: Any) -> Any:
        for value in values:
            if not isinstance(value, NUMBER):
                check_plain(values)
                raise Refused(f"cannot {verb} {' and '.join(map(kind_of, values))}")
            bounded(value)
        try:
            return bounded(compute(*values))
        except ZeroDivisionError:
            hint = "test for 0 first: a / b if b else 0"
            raise Refused("division by zero", hint=hint) from None

    return calculate


_add_numbers = _arithmetic("add", operator.add)
_multiply_numbers = _arithmetic("multiply", operator.mul)


def add(left: Any, right: Any) -> Any:
    """`left + right`: numbers, two texts or two lists."""
    if isinstance(left, str) and isinstance(right, str):
        check_length(len(left) + len(right))
        return left + right
    if isinstance(left, LIST) and isinstance(right, LIST):
        if len(left) + len(right) > MAX_SIZE:
            raise Refused(f"the list would have more than {MAX_SIZE:,} items")
        return [*left, *right]
    return _add_numbers(left, right)


def multiply(left: Any, right: Any) -> Any:
    """`left * right`: numbers, or a text repeated.

    Lists are not repeated: nested, they grow beyond any bound on one list.
    """
    text, times = (left, right) if isinstance(left, str) else (right, left)
    if isinstance(text, str) and isinstance(times, int):
        check_length(len(text) * times)
        return text * times
    return _multiply_numbers(left, right)


def truth(value: Any) -> bool:
    """Whether `value` counts as true: not null, false, 0, or empty."""
    check_plain([value])
    return bool(value)


def equal(left: Any, right: Any, evaluation: Evaluation) -> bool:
    """`left == right`."""
    check_plain([left, right])
    if isinstance(left, CONTAINER) and isinstance(right, CONTAINER) and len(left) == len(right):
        evaluation.look_through(left)
        evaluation.look_through(right)
    return bool(left == right)


def contains(item: Any, container: Any, evaluation: Evaluation) -> bool:
    """`item in container`: a key of a mapping, an item of a list, a part of a text."""
    check_plain([item, container])
    if isinstance(container, LIST):
        if isinstance(item, CONTAINER):
            evaluation.look_through(item)
            evaluation.look_through(container)
        else:
            evaluation.spend(len(container))
            check_plain(container)
    elif not (isinstance(container, str | dict) and isinstance(item, str)):
        raise Refused(f"cannot look for {kind_of(item)} in {kind_of(container)}")
    return item in container


def check_comparable(values: Collection[Any]) -> None:
    """Refuses values that have no order: only numbers, or only texts, have one."""
    check_plain(values)
    types = set(map(type, values))
    if not any(all(issubclass(each, sort) for each in types) for sort in (NUMBER, str)):
        kinds = sorted({kind_of(value) for value in values})
        raise Refused(f"cannot put {' and '.join(kinds)} in order")


def _ordering(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Evaluation], bool]:
    def ordered(left: Any, right: Any, evaluation: Evaluation) -> bool:
        if not (isinstance(left, NUMBER) and isinstance(right, NUMBER)):
            check_comparable((left, right))
        return compare(left, right)

    return ordered


OPERATORS: dict[type[ast.operator | ast.unaryop], Callable[..., Any]] = {
    ast.Add: add,
    ast.Sub: _arithmetic("subtract", operator.sub),
    ast.Mult: multiply,
    ast.Div: _arithmetic("divide", operator.truediv),
    ast.FloorDiv: _arithmetic("divide", operator.floordiv),
    ast.Mod: _arithmetic("take the remainder of", operator.mod),
    ast.USub: _arithmetic("negate", operator.neg),
    ast.Not: lambda value: not truth(value),
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any, Evaluation], bool]] = {
    ast.Eq: equal,
    ast.NotEq: lambda left, right, evaluation: not equal(left, right, evaluation),
    ast.Lt: _ordering(operator.lt),
    ast.LtE: _ordering(operator.le),
    ast.Gt: _ordering(operator.gt),
    ast.GtE: _ordering(operator.ge),
    ast.In: contains,
    ast.NotIn: lambda left, right, evaluation: not contains(left, right, evaluation),
}
