"""What the checks need to know of a step type; `step_ops.step_type.StepType` fits without knowing it."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from runbook_defs.source import Location

# Where inside the step's inputs, what kind of thing is wrong, and the sentence. A fixed text may hold no
# expression.
InputProblem = tuple[Location, Literal["unknown", "missing", "wrong", "fixed"], str]


class StepSpec(Protocol):
    """A step type seen from the outside."""

    @property
    def name(self) -> str:
        """The name runbooks use."""
        ...

    @property
    def reports(self) -> tuple[str, ...]:
        """JSONPaths that its report line shows: outputs taken from them count as used."""
        ...

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of its inputs, for hints."""
        ...

    def names_at(self, location: Location) -> tuple[str, ...]:
        """The names that may stand in the mapping at this place of the inputs; none when it takes any."""
        ...

    def input_problems(self, inputs: Mapping[str, Any]) -> Iterable[InputProblem]:
        """What is wrong with these inputs as they stand; expressions appear as their text."""
        ...

    def effect_of(self, inputs: Mapping[str, Any], query_text: str) -> str:
        """`read`, `write` or `telemetry`, for these inputs and the text of their query file."""
        ...

    def is_secret(self, location: Location) -> bool:
        """Whether an undeclared UPPER_CASE name at this place is the name of a secret."""
        ...

    def is_file(self, location: Location) -> bool:
        """Whether the text at this place may name a file beside the runbook."""
        ...

    def is_expression(self, location: Location) -> bool:
        """Whether at this place stands an expression that the step evaluates itself, with `response`."""
        ...
