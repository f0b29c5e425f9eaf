"""What went wrong with a step, as the record and its readers hold it."""

import traceback
from typing import Any

from runbook_defs.expressions import ExpressionError
from runbook_defs.outputs import OutputError
from runbook_factory.for_each import ItemFailed
from step_ops.errors import ErrorType, StepError


def described(error: Exception) -> dict[str, Any]:
    """The type of the failure, a sentence, and what more is known."""
    match error:
        case ItemFailed():
            inner = described(error.error)
            return {**inner, "message": f"item {error.index}: {inner['message']}", "item": error.index}
        case StepError():
            return _parts(error.type, error.message, error.hint, error.details, error.retry_after)
        case ExpressionError():
            return _parts(ErrorType.EXPRESSION, error.message, error.hint)
        case OutputError():
            return _parts(ErrorType.DATA, error.message, error.hint)
        case _:
            # No step type should let this out: the record keeps where it came from.
            hint = "this is a fault of the step type, not of the runbook"
            details = {"traceback": traceback.format_exception(error)[-8:]}
            return _parts(ErrorType.INTERNAL, f"{type(error).__name__}: {error}", hint, details)


def _parts(
    kind: ErrorType,
    message: str,
    hint: str,
    details: dict[str, Any] | None = None,
    retry_after: float | None = None,
) -> dict[str, Any]:
    parts: dict[str, Any] = {"type": kind.value, "message": message, "failed": True}
    more = {"hint": hint, "details": details, "retry_after": retry_after}
    return parts | {name: value for name, value in more.items() if value}
