"""What k6 says of a test at its end, as plain data with a verdict."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATUSES = ("success", "failure", "aborted", "unfinished", "refused", "unanswered")
_LIMIT = re.compile(r"\s*([a-z]+(?:\([0-9.]+\))?)\s*(?:<=|>=|===|==|!=|<|>)")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One threshold: the metric, the limit as k6 writes it, what was measured, and whether that is within."""

    metric: str
    limit: str
    measured: float | None
    good: bool


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A test at its end. Times are in milliseconds, `failed` is a share of the requests."""

    thresholds: tuple[Verdict, ...]
    requests: int
    requests_per_second: float
    failed: float
    request_times: Mapping[str, float]  # min, med, avg, max, p(90), p(95), p(99)
    execution_times: Mapping[str, float]  # by the executions' own records; empty when there were none
    executions: Mapping[str, int]  # by status, those that there were

    @property
    def good(self) -> bool:
        """Whether no threshold was crossed."""
        return all(item.good for item in self.thresholds)


def read_summary(exported: Mapping[str, Any]) -> Summary:
    """What k6 has written for `--summary-export`."""
    metrics: Mapping[str, Mapping[str, Any]] = exported.get("metrics", {})
    requests = metrics.get("http_reqs", {})
    counts = {status: int(metrics.get(f"executions_{status}", {}).get("count", 0)) for status in STATUSES}
    return Summary(
        thresholds=tuple(
            _verdict(name, limit, crossed, figures)
            for name, figures in sorted(metrics.items())
            for limit, crossed in figures.get("thresholds", {}).items()
        ),
        requests=int(requests.get("count", 0)),
        requests_per_second=float(requests.get("rate", 0.0)),
        failed=float(metrics.get("http_req_failed", {}).get("value", 0.0)),
        request_times=_times(metrics.get("http_req_duration", {})),
        execution_times=_times(metrics.get("execution_duration", {})),
        executions={status: count for status, count in counts.items() if count},
    )


def _verdict(metric: str, limit: str, crossed: bool, figures: Mapping[str, Any]) -> Verdict:
    found = _LIMIT.match(limit)
    name = found[1] if found else ""
    # Of a share, k6 calls the figure `value`; of a counter `rate` is how many there were in a second.
    measured = figures.get("value") if name == "rate" and "value" in figures else figures.get(name)
    return Verdict(metric=metric, limit=limit, measured=measured, good=not crossed)


def _times(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
