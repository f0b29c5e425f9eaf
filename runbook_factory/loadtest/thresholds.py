"""What a load test asks for: the figures that all have, and the runbook's own key figures."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runbook_defs.comparisons import is_number
from runbook_defs.model import Kpis, OwnKpi
from runbook_factory.loadtest.options import Api

SUCCEEDED = "execution succeeded"  # what the check is called
PREFIX = "kpi_"


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A limit as k6 writes it, on a metric of k6's or of the script's, and why."""

    metric: str
    limit: str
    why: str


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A key figure that k6 cannot hold to a limit, and why."""

    name: str
    why: str


def thresholds_of_all(api: Api) -> list[Threshold]:
    """Those that every load test has."""
    found = [
        Threshold(metric="http_req_duration", limit="p(95)<2000", why="95% under 2s"),
        Threshold(metric="http_req_failed", limit="rate<0.05", why="<5% errors"),
        Threshold(
            metric=f"checks{{check:{SUCCEEDED}}}",
            limit="rate>0.95",
            why="an execution that fails is no HTTP error: the same for those",
        ),
        Threshold(metric="executions_success", limit="count>0", why="nothing done is nothing shown"),
    ]
    if api is Api.GRAPHQL:
        why = "from asking for an execution to its end: a request is only part of that"
        found.insert(1, Threshold(metric="iteration_duration", limit="p(95)<2000", why=why))
    return found


def thresholds_of_kpis(kpis: Kpis) -> tuple[list[Threshold], list[LeftOut]]:
    """Those of the runbook's key figures: no execution may miss one, under load either."""
    found: list[Threshold] = []
    if kpis.max_duration_seconds is not None:
        found.append(_kpi("max_duration_seconds", "max<=", kpis.max_duration_seconds))
    if kpis.min_success_rate is not None:
        found.append(_kpi("min_success_rate", "min>=", kpis.min_success_rate))
    if kpis.max_error_rate is not None:
        found.append(_kpi("max_error_rate", "max<=", kpis.max_error_rate))
    left: list[LeftOut] = []
    for name, own in kpis.own.items():
        found.extend(_own(name, own))
        if own.equals is not None and not is_number(own.equals):
            left.append(
                LeftOut(name=name, why="not a number; an execution that misses it fails, which counts")
            )
    return found, left


def kpi_metric(name: str) -> str:
    """What the metric of a key figure is called: k6 takes letters, digits and underscores."""
    return PREFIX + re.sub(r"[^A-Za-z0-9_]", "_", name)[:100]


def _own(name: str, kpi: OwnKpi) -> Iterator[Threshold]:
    if kpi.min is not None:
        yield _kpi(name, "min>=", kpi.min)
    if kpi.max is not None:
        yield _kpi(name, "max<=", kpi.max)
    if kpi.equals is not None and is_number(kpi.equals):
        yield _kpi(name, "min>=", kpi.equals)
        yield _kpi(name, "max<=", kpi.equals)


def _kpi(name: str, bound: str, limit: float) -> Threshold:
    return Threshold(metric=kpi_metric(name), limit=f"{bound}{_plain(limit)}", why="")


def _plain(limit: float) -> str:
    """The number as k6 reads it, which knows no exponents."""
    return f"{limit:.12f}".rstrip("0").rstrip(".")
