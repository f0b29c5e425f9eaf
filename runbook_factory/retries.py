"""When a failed attempt is made again, and after how long."""

from collections.abc import Callable
from typing import Any

from runbook_defs.model import Backoff, Retry
from step_ops.errors import ErrorType

# What may well go better a moment later; the rest fails the same way however often it is tried.
PASSING = frozenset(
    {ErrorType.CONNECTION, ErrorType.GRAPHQL, ErrorType.HTTP, ErrorType.SQL, ErrorType.TIMEOUT}
)
PASSING_STATUSES = frozenset({408, 425, 429})
NEVER = frozenset({ErrorType.CANCELLED, ErrorType.CASSETTE, ErrorType.INTERNAL})


def seconds_until_retry(
    retry: Retry | None, failure: dict[str, Any], *, attempt: int, chance: Callable[[], float]
) -> float | None:
    """How long to wait before the next attempt, None when there is to be none.

    The other side's Retry-After is kept, up to `max_delay_seconds`.
    """
    if retry is None or attempt >= retry.max_attempts or not _may_retry(retry, failure):
        return None
    match retry.backoff:
        case Backoff.CONSTANT:
            delay = retry.delay_seconds
        case Backoff.LINEAR:
            delay = retry.delay_seconds * attempt
        case Backoff.EXPONENTIAL:
            delay = retry.delay_seconds * 2.0 ** min(attempt - 1, 60)
    if retry.jitter:
        delay *= 1 + retry.jitter * (2 * chance() - 1)
    return float(min(max(delay, failure.get("retry_after") or 0.0), retry.max_delay_seconds))


def _may_retry(retry: Retry, failure: dict[str, Any]) -> bool:
    kind = failure["type"]
    status = failure.get("details", {}).get("status")
    if kind in NEVER:
        return False
    if retry.on is not None:
        return kind in retry.on or status in retry.on
    if status is not None and kind == ErrorType.HTTP:
        return status >= 500 or status in PASSING_STATUSES
    return kind in PASSING
