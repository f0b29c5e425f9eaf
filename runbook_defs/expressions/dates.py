"""Dates in expressions."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from runbook_defs.expressions.data import kind_of
from runbook_defs.expressions.errors import Refused

MAX_PATTERN = 200  # characters
_CODES = "AaBbdFfGHIjMmpSTuVYyz"
# Bare codes only: strftime obeys widths such as %999999999d, and each platform has more of its own.
_PATTERN = re.compile(rf"(?:[^%]|%[{_CODES}%])*")


def format_date(moment: Any, pattern: str) -> str:
    """`moment` (ISO 8601 text, or seconds since 1970) as `pattern`; without a zone it is UTC."""
    time = _parse(moment)
    if len(pattern) > MAX_PATTERN:
        raise Refused(f"a date format has at most {MAX_PATTERN} characters")
    if not _PATTERN.fullmatch(pattern):
        known = " ".join(f"%{code}" for code in _CODES)
        raise Refused("the date format has an unknown % code", hint=f"known are {known}")
    return time.strftime(pattern)


def _parse(moment: Any) -> datetime:
    try:
        if isinstance(moment, str) and len(moment) <= 64:
            time = datetime.fromisoformat(moment)
            return time if time.tzinfo else time.replace(tzinfo=UTC)
        if isinstance(moment, int | float) and not isinstance(moment, bool):
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)
    except (ValueError, OverflowError):
        pass
    hint = "write ISO 8601 text such as 2025-11-29T09:00:00Z, or seconds since 1970"
    raise Refused(f"{kind_of(moment)} is not a date here", hint=hint)
