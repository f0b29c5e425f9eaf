"""The expressions that a step evaluates itself, made ready for it: it knows nothing of their language."""

from collections.abc import Mapping
from typing import Any

from runbook_defs.expressions import ExpressionError
from runbook_defs.templates import Template
from step_ops.condition import Condition
from step_ops.errors import ErrorType, StepError


def condition(text: str, template: Template, *, scope: Mapping[str, Any]) -> Condition:
    """The expression that is the whole of `text`, over `scope` and what the step adds to it."""

    def evaluate(learned: Mapping[str, Any]) -> Any:
        try:
            return template.render({**scope, **learned})
        except ExpressionError as error:
            hint = error.hint or ("default(..., null) takes what may not be there" if error.missing else "")
            raise StepError(ErrorType.EXPRESSION, f"{text}: {error.message}", hint=hint) from None

    def explain(learned: Mapping[str, Any]) -> list[str]:
        return explained(template, {**scope, **learned})

    names = {path for found in template.found for path in found.expression.names}
    return Condition(text=text, names=names, evaluate=evaluate, explain=explain)


def explained(template: Template, scope: Mapping[str, Any]) -> list[str]:
    """Each part of the expressions in `template` with its value, a line each, long values shortened."""
    lines = [line for found in template.found for line in found.expression.explain(scope).lines()]
    return [line.strip() for line in lines]


def written(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as the record holds them: an expression as its text."""
    return {name: value.text if isinstance(value, Condition) else value for name, value in inputs.items()}
