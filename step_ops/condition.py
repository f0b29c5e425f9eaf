"""An expression that a step evaluates itself, as often as it likes: the `until` of a `wait`."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A compiled expression over what the step could see when it began, and what it learned since.

    `text` is as the runbook has it; `names` are those used, such as `("response", "status")`.
    """

    text: str
    names: Collection[tuple[str, ...]]
    evaluate: Callable[[Mapping[str, Any]], Any]
    explain: Callable[[Mapping[str, Any]], list[str]]

    def __call__(self, learned: Mapping[str, Any]) -> Any:
        """Its value with the names in `learned`; raises `StepError` of type `expression`."""
        return self.evaluate(learned)

    def uses(self, *path: str) -> bool:
        """Whether it looks at what `path` names, or at something around or inside it."""
        return any(name[: len(path)] == path[: len(name)] for name in self.names)
