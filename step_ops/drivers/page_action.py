"""What is done on a page before it is photographed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageRequest
from step_ops.secrets import Secret


@dataclass(frozen=True, kw_only=True)
class PageAction:
    """A click, a wait for an element, or a value for a field."""

    verb: Literal["click", "fill", "wait_for"]
    selector: str
    value: Any = None


def parse_actions(request: PageRequest) -> list[PageAction]:
    """Its actions; raises `StepError` of type `config` for one that no page knows."""
    return [_parse(number, action) for number, action in enumerate(request.actions, 1)]


def _parse(number: int, action: Mapping[str, Any]) -> PageAction:
    match list(action.items()):
        case [("click" | "wait_for" as verb, str(selector))]:
            return PageAction(verb=verb, selector=selector)
        case [("fill", {"selector": str(selector), "value": value, **rest})] if not rest:
            if isinstance(value, str | int | float | Secret):
                return PageAction(verb="fill", selector=selector, value=value)
    raise StepError(
        ErrorType.CONFIG,
        f"action {number} ({', '.join(map(str, action)) or 'empty'}) cannot be done on a page",
        hint='write {"click": selector}, {"wait_for": selector} or '
        '{"fill": {"selector": selector, "value": text or number}}',
    )
