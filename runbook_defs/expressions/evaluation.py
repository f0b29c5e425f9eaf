"""One evaluation of an expression: what it may see, and the work it has left."""

from collections.abc import Mapping
from typing import Any

from runbook_defs.expressions.data import LIST, MAX_SIZE, check_plain, size, weigh
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

    def read(self, value: Any) -> None:
        """Pays for reading each character or item of `value`; refuses secrets in a list."""
        if size(value) > MAX_SIZE:
            raise Refused(f"the value has more than {MAX_SIZE:,} items or characters")
        self.spend(size(value))
        if isinstance(value, LIST):
            check_plain(value)

    def look_through(self, value: Any) -> None:
        """Pays for looking at all that `value` holds; refuses secrets inside."""
        self.spend(weigh(value, limit=self.left))
