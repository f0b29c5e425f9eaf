"""What two values that are not the same can still have in common: a form, or nearly the same size."""

import math
from typing import Any

from runbook_defs.comparisons import is_number
from runbook_defs.model import Likeness, Numeric
from runbook_defs.wellknown import is_digits, is_timestamp, is_uuid


def form(value: Any, likeness: Likeness) -> str:
    """The form that `value` has of those that `likeness` asks for; empty when it has none."""
    match likeness:
        case Likeness.UUID:
            looks_so = isinstance(value, str) and is_uuid(value)
        case Likeness.TIMESTAMP:
            looks_so = isinstance(value, str) and is_timestamp(value)
        case Likeness.DIGITS if isinstance(value, str):
            looks_so = is_digits(value)
        case Likeness.DIGITS:
            looks_so = isinstance(value, int) and not isinstance(value, bool)
    return f"{likeness} as {type(value).__name__}" if looks_so else ""


def near(one: Any, two: Any, numeric: Numeric) -> bool:
    """Whether both are numbers and no farther apart than one of the limits; a limit is included."""
    if not (is_number(one) and is_number(two)):
        return False
    try:
        away = abs(one - two)
        if not math.isfinite(away):
            return False
        if numeric.abs is not None and _reaches(numeric.abs, away):
            return True
        return numeric.rel is not None and _reaches(numeric.rel * max(abs(one), abs(two)), away)
    except OverflowError:
        return False  # a whole number too large to be set beside one with a fraction


def _reaches(limit: float, away: float) -> bool:
    # 0.98 - 0.97 is a little more than 0.01, but lies within it.
    return away <= limit or math.isclose(away, limit, rel_tol=1e-9)
