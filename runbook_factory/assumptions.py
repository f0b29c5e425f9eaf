"""Whether what a runbook assumes holds, before its first step."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from runbook_defs.execution import AssumptionResult, StepRecord
from runbook_defs.expressions import ExpressionError
from runbook_defs.model import Assumption, Probe
from runbook_defs.templates import compile_template
from runbook_factory.conditions import explained

# Asks the world what the probe of an assumption asks; gives the record of it and its result.
Ask = Callable[[Assumption], tuple[StepRecord, Any]]


def check_assumptions(
    assumptions: Sequence[Assumption],
    *,
    deny: Collection[str],
    stated: Mapping[str, bool] | None,
    actor: str,
    scope: Mapping[str, Any],
    ask: Ask,
) -> tuple[AssumptionResult, ...]:
    """Every assumption with its result; `stated` is what a fixture says, None for a live run.

    Starting a live run is the attestation, unless the one who starts it denies the assumption. The world
    is only asked when all that needs no asking is met: without that, those probes have no result.
    """
    results = {
        item.id: _known(item, deny, stated, actor, scope)
        for item in assumptions
        if item.probe is None or item.id in deny
    }
    if all(result.met for result in results.values()):
        results |= {item.id: _probed(item, item.probe, ask, scope) for item in assumptions if item.probe}
    return tuple(results[item.id] for item in assumptions if item.id in results)


def _known(
    item: Assumption,
    deny: Collection[str],
    stated: Mapping[str, bool] | None,
    actor: str,
    scope: Mapping[str, Any],
) -> AssumptionResult:
    if item.id in deny or item.check is None:
        return _attested(item, deny, stated, actor)
    return _checked(item, item.check, scope)


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


def _checked(item: Assumption, check: str, scope: Mapping[str, Any]) -> AssumptionResult:
    met, reason = _judged(check, scope)
    return AssumptionResult(id=item.id, met=met, how="checked", reason=reason)


def _probed(item: Assumption, probe: Probe, ask: Ask, scope: Mapping[str, Any]) -> AssumptionResult:
    record, response = ask(item)
    if record.failure is not None:
        reason = f"its probe failed: {record.failure['type']}: {record.failure['message']}"
        return AssumptionResult(id=item.id, met=False, how="probed", reason=reason)
    met, reason = _judged(probe.expect, {**scope, "response": response})
    return AssumptionResult(id=item.id, met=met, how="probed", reason=reason)


def _judged(text: str, scope: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the expression holds, and why not."""
    template = compile_template(text)
    try:
        met = bool(template.render(scope))
    except ExpressionError as error:
        return False, error.message
    return met, "" if met else "it is false: " + " | ".join(explained(template, scope))
