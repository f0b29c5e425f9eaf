"""A load test at its end: lines for the terminal, and data for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.reporters.style import plain, tick

if TYPE_CHECKING:
    from runbook_factory.loadtest.k6 import Tested
    from runbook_factory.loadtest.summary import Verdict

FORMAT = 1
_PERCENTILES = (("p50", "med"), ("p95", "p(95)"), ("p99", "p(99)"))
_MOST_WARNINGS = 10


@dataclass(frozen=True, kw_only=True)
class LoadTest:
    """A load test that was made: of which runbook, where, by which command, and what k6 said of it."""

    runbook_id: str
    server: str
    generated_by: str
    load: str
    started_at: datetime
    seconds: float
    tested: "Tested"

    @property
    def good(self) -> bool:
        """Whether it ran to its end, and no threshold was crossed."""
        return self.tested.summary.good and not self.tested.aborted and not self.tested.stopped

    @property
    def word(self) -> str:
        """PASS or FAIL, or that there is neither."""
        if self.tested.aborted or self.tested.stopped:
            return "ABORTED" if self.tested.aborted else "STOPPED"
        return "PASS" if self.good else "FAIL"


def lines(test: LoadTest) -> Iterator[str]:
    """The verdict on each threshold, and the figures behind it."""
    summary = test.tested.summary
    for item in summary.thresholds:
        yield f"{tick(item.good)} {verdict_line(item)}"
    for words, times in list(test.tested.warnings.items())[:_MOST_WARNINGS]:
        yield f"{times}x warned: {plain(words)[:300]}"
    for name, value in figures(test).items():
        yield f"{name}: {value}"


def verdict_line(verdict: "Verdict") -> str:
    """Such as `http_req_duration p(95)<2000 (412 ms)`."""
    return f"{verdict.metric} {verdict.limit} ({_measured(verdict)})"


def figures(test: LoadTest) -> dict[str, str]:
    """What was measured, each figure in words."""
    summary = test.tested.summary
    told = {
        "requests": f"{summary.requests}, {summary.requests_per_second:.1f}/s, {summary.failed:.2%} failed"
    }
    if summary.requests:
        told["a request took"] = _times(summary.request_times)
    if summary.execution_times and sum(summary.executions.values()):
        told["an execution took"] = _times(summary.execution_times)
    counts = ", ".join(f"{count} {status}" for status, count in summary.executions.items())
    return {**told, "executions": counts or "none"}


def as_data(test: LoadTest) -> dict[str, Any]:
    """The load test for programs, with all that k6 exported."""
    summary = test.tested.summary
    return {
        "format": FORMAT,
        "runbook": test.runbook_id,
        "server": test.server,
        "generated_by": test.generated_by,
        "load": test.load,
        "started_at": test.started_at.isoformat(),
        "seconds": round(test.seconds, 3),
        "verdict": test.word,
        "reason": test.tested.aborted,
        "thresholds": [vars(item) for item in summary.thresholds],
        "requests": summary.requests,
        "requests_per_second": summary.requests_per_second,
        "failed": summary.failed,
        "request_milliseconds": dict(summary.request_times),
        "execution_milliseconds": dict(summary.execution_times),
        "executions": dict(summary.executions),
        "warnings": dict(test.tested.warnings),
        "k6": test.tested.exported,
    }


def _times(times: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_milliseconds(times[key])}" for name, key in _PERCENTILES if key in times)


def _measured(verdict: "Verdict") -> str:
    if verdict.measured is None:
        return "not measured"
    if verdict.metric.endswith("_duration"):
        return _milliseconds(verdict.measured)
    if verdict.limit.lstrip().startswith("rate"):
        return f"{verdict.measured:.2%}"
    return f"{verdict.measured:g}"


def _milliseconds(value: float) -> str:
    return f"{value / 1000:.2f} s" if value >= 10_000 else f"{value:.0f} ms"
