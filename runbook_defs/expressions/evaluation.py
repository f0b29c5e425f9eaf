"""One evaluation of an expression: what it may see, and the work it has left."""

from collections.abc import Mapping
from typing import Any

from runbook_defs.expressions.data import weigh
from runbook_defs.expressions.errors import Refused

MAX_WORK = 250_000  # items and characters that one evaluation may look at


class Evaluation:
    """A scope, and a budget that is spent by looking at data."""

    __slots__ = ("left", "scope")

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = scope
        self.left = MAX_WORK

    def spend(self, work: int) -> None:
        """Takes `work` from what is left."""
        self.left -= work
        if self.left < 0:
            raise Refused("the expression looks at too much data")

    def look_through(self, value: Any) -> None:
        """Pays for looking at all that `value` holds; refuses secrets inside."""
        self.spend(weigh(value, limit=self.left))
