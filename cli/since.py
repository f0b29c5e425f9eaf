"""`--since`: a moment, told as a time back from now, or as a date."""

import re
from datetime import datetime, timedelta

from cli.errors import Stop

_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

_EXAMPLES = "for example 30m, 2h, 7d, 1h30m, 2025-11-29, 2025-11-29T09:00, 2025-11-29T09:00:00Z"


def parse_since(text: str, *, now: datetime) -> datetime:
    """The moment that `text` means, with its zone: so long before `now`, or a date or time of its own, in
    local time unless it has a zone. Raises `Stop`.
    """
    asked = text.strip()
    try:
        if _DURATION.fullmatch(asked):
            return now - timedelta(
                seconds=sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(asked))
            )
        if _MOMENT.fullmatch(asked):
            return datetime.fromisoformat(asked).astimezone()
    except (OverflowError, ValueError):
        raise Stop(f"--since {text!r} is not in the calendar", hint=_EXAMPLES) from None
    raise Stop(f"--since {text!r} is neither a time back from now nor a date", hint=_EXAMPLES)
