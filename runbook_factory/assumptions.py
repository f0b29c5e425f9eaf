"""Whether what a runbook assumes holds, before its first step."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from runbook_defs.execution import AssumptionResult
from runbook_defs.expressions import ExpressionError
from runbook_defs.model import Assumption
from runbook_defs.templates import compile_template


def check_assumptions(
    assumptions: Sequence[Assumption],
    *,
    deny: Collection[str],
    stated: Mapping[str, bool] | None,
    actor: str,
    scope: Mapping[str, Any],
) -> tuple[AssumptionResult, ...]:
    """Every assumption with its result; `stated` is what a fixture says, None for a live run.

    Starting a live run is the attestation, unless the one who starts it denies the assumption.
    """
    return tuple(
        _checked(item, scope) if item.check is not None else _attested(item, deny, stated, actor)
        for item in assumptions
    )


def _attested(
    item: Assumption, deny: Collection[str], stated: Mapping[str, bool] | None, actor: str
) -> AssumptionResult:
    if item.id in deny:
        return AssumptionResult(id=item.id, met=False, how="attested", reason=f"denied by {actor}")
    if stated is None:
        return AssumptionResult(id=item.id, met=True, how="attested")
    if item.id not in stated:
        reason = "the fixture does not state it"
        return AssumptionResult(id=item.id, met=False, how="fixture", reason=reason)
    reason = "" if stated[item.id] else "the fixture says it is false"
    return AssumptionResult(id=item.id, met=stated[item.id], how="fixture", reason=reason)


def _checked(item: Assumption, scope: Mapping[str, Any]) -> AssumptionResult:
    template = compile_template(item.check)
    try:
        met = bool(template.render(scope))
    except ExpressionError as error:
        return AssumptionResult(id=item.id, met=False, how="checked", reason=error.message)
    tree = [line for found in template.found for line in found.expression.explain(scope).lines()]
    reason = "" if met else "it is false: " + " | ".join(line.strip() for line in tree)
    return AssumptionResult(id=item.id, met=met, how="checked", reason=reason)
