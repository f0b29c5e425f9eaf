"""Values of a database as JSON, and JSON as values that can be bound."""

import base64
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from psycopg2.extras import Json

_LARGEST = 2**63


def as_json(value: Any) -> Any:
    """`value` as JSON: exact, or else as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(Decimal(value))
        case Decimal():
            return _number(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
        case Mapping():
            return {str(key): as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [as_json(item) for item in value]
        case _:  # UUIDs, ranges, addresses
            return str(value)


def _number(value: Decimal) -> int | float | str:
    if value.is_finite() and abs(value) < _LARGEST:
        if value == value.to_integral_value():
            return int(value)
        if Decimal(repr(float(value))) == value:
            return float(value)
    return str(value)


def bound(value: Any, *, lists: bool) -> Any:
    """A parameter as clients take it; a list is an array where the database has `lists`, else JSON text."""
    match value:
        case None | bool():
            return value
        case str():
            return str(value)
        case int():
            return int(value)  # a number of a runbook may be of a class that remembers how it was written
        case float():
            return float(value)
        case list() | tuple() if lists and not any(isinstance(item, list | tuple | dict) for item in value):
            return [bound(item, lists=lists) for item in value]
        case _:
            text = json.dumps(value)
            return Json(value, dumps=lambda _: text) if lists else text
