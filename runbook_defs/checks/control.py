"""Repeating steps: does a `retry` or a `for_each` make sense where it stands?"""

from typing import Any

from runbook_defs.checks.steps import query_text
from runbook_defs.checks.subject import StepOutline, Subject
from runbook_defs.error_types import ERROR_TYPES
from runbook_defs.problems import Code, Severity, did_you_mean
from runbook_defs.source import Location


def check_control(subject: Subject) -> None:
    """Notes retries and repetitions that cannot do what they say, or may do harm."""
    defaults = subject.data.get("defaults")
    if isinstance(defaults, dict):
        _retry_on(subject, ("defaults", "retry", "on"), defaults.get("retry"))
    for step in subject.steps:
        _retry_on(subject, (*step.location, "retry", "on"), step.raw.get("retry"))
        _unsafe_retry(subject, step)
        _for_each(subject, step)


def _retry_on(subject: Subject, location: Location, retry: Any) -> None:
    on = retry.get("on") if isinstance(retry, dict) else None
    for index, kind in enumerate(on if isinstance(on, list) else []):
        if isinstance(kind, str) and kind not in ERROR_TYPES:
            known = ", ".join(sorted(ERROR_TYPES))
            message = f"{kind!r} is no type of error, so it is never tried again"
            hint = did_you_mean(kind, ERROR_TYPES) or f"types are: {known}; or an HTTP status"
            subject.add(Code.WRONG_VALUE, (*location, index), message, hint=hint)


def _unsafe_retry(subject: Subject, step: StepOutline) -> None:
    spec = subject.step_types.get(step.type)
    retry = step.raw.get("retry")
    if spec is None or not isinstance(retry, dict) or retry.get("max_attempts") == 1:
        return
    stated = step.raw.get("effect")
    effect = stated if isinstance(stated, str) else spec.effect_of(step.inputs, query_text(subject, step))
    if effect == "write":
        subject.add(
            Code.UNSAFE_RETRY,
            (*step.location, "retry"),
            f"step {step.id!r} writes, and a retry may write twice",
            hint="narrow `retry.on` to failures that come before the work, if repeating is not safe",
            key=True,
            severity=Severity.WARNING,
        )


def _for_each(subject: Subject, step: StepOutline) -> None:
    over = step.raw.get("for_each")
    if over is None:
        if "max_parallel" in step.raw:
            message = f"step {step.id!r} has max_parallel, but no for_each to make parallel"
            hint = "steps that do not depend on each other run in parallel anyway"
            subject.add(Code.FOR_EACH, (*step.location, "max_parallel"), message, hint=hint, key=True)
        return
    is_expression = isinstance(over, str) and over.startswith("${") and over.endswith("}")
    if not isinstance(over, list) and not is_expression:
        message = f"for_each of step {step.id!r} is neither a list nor an expression that gives one"
        hint = 'for example "${steps.fetch.outputs.items}"'
        subject.add(Code.FOR_EACH, (*step.location, "for_each"), message, hint=hint)
