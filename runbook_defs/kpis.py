"""Key figures held against their limits."""

from collections.abc import Mapping, Sequence
from typing import Any

from runbook_defs.comparisons import same
from runbook_defs.execution import KpiResult, StepRecord, StepStatus
from runbook_defs.expressions import ExpressionError
from runbook_defs.model import Kpis, OwnKpi
from runbook_defs.templates import compile_template


def evaluate_kpis(
    kpis: Kpis, *, steps: Sequence[StepRecord], duration: float, scope: Mapping[str, Any]
) -> tuple[KpiResult, ...]:
    """Every figure the runbook sets a limit to, in the order of its kinds; `duration` in seconds."""
    results: list[KpiResult] = []
    success, error = _rates(steps)
    if kpis.max_duration_seconds is not None:
        results.append(_most("max_duration_seconds", duration, kpis.max_duration_seconds, unit="s"))
    if kpis.min_success_rate is not None:
        results.append(_least("min_success_rate", success, kpis.min_success_rate))
    if kpis.max_error_rate is not None:
        results.append(_most("max_error_rate", error, kpis.max_error_rate))
    for name, kpi in kpis.own.items():
        results.extend(_own(name, kpi, scope))
    return tuple(results)


def _rates(steps: Sequence[StepRecord]) -> tuple[float, float]:
    """Shares of success and of errors: of the records that steps checked, else of the steps run."""
    checked = [step.records for step in steps if step.records]
    total = sum(item["checked"] for item in checked)
    if total:
        passed = sum(item["passed"] for item in checked)
        failed = sum(item["failed"] for item in checked)
        return passed / total, failed / total
    run = [step for step in steps if step.status in {StepStatus.SUCCESS, StepStatus.FAILED}]
    if checked or not run:
        # Nothing was checked: no record was wrong, and no step failed.
        return 1.0, 0.0
    done = sum(step.status is StepStatus.SUCCESS for step in run)
    return done / len(run), (len(run) - done) / len(run)


def _most(name: str, value: float, limit: float, *, unit: str = "") -> KpiResult:
    return KpiResult(name=name, value=value, bound="max", limit=limit, met=value <= limit, unit=unit)


def _least(name: str, value: float, limit: float) -> KpiResult:
    return KpiResult(name=name, value=value, bound="min", limit=limit, met=value >= limit)


def _own(name: str, kpi: OwnKpi, scope: Mapping[str, Any]) -> list[KpiResult]:
    template = compile_template(kpi.value)
    tree = tuple(line for found in template.found for line in found.expression.explain(scope).lines())
    try:
        value = template.render(scope)
    except ExpressionError as error:
        return [_unmet(name, None, kpi, (error.message, *tree))]
    results: list[KpiResult] = []
    for bound, limit in (("min", kpi.min), ("max", kpi.max)):
        if limit is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            return [_unmet(name, value, kpi, ("the value is not a number", *tree))]
        met = value >= limit if bound == "min" else value <= limit
        results.append(
            KpiResult(
                name=name, value=value, bound=bound, limit=limit, met=met, unit=kpi.unit, explanation=tree
            )
        )
    if kpi.equals is not None:
        results.append(
            KpiResult(
                name=name,
                value=value,
                bound="equals",
                limit=kpi.equals,
                met=same(kpi.equals, value),
                unit=kpi.unit,
                explanation=tree,
            )
        )
    return results


def _unmet(name: str, value: Any, kpi: OwnKpi, explanation: tuple[str, ...]) -> KpiResult:
    bound = "max" if kpi.max is not None else "min" if kpi.min is not None else "equals"
    limit = getattr(kpi, bound)
    return KpiResult(
        name=name, value=value, bound=bound, limit=limit, met=False, unit=kpi.unit, explanation=explanation
    )
