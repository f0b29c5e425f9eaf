"""What the checks need to know of a step type; `step_ops.step_type.StepType` fits without knowing it."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from runbook_defs.source import Location

# Where inside the step's inputs, what kind of thing is wrong, and the sentence.
InputProblem = tuple[Location, Literal["unknown", "missing", "wrong"], str]


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

    def input_problems(self, inputs: Mapping[str, Any]) -> Iterable[InputProblem]:
        """What is wrong with these inputs as they stand; expressions appear as their text."""
        ...

    def is_secret(self, location: Location) -> bool:
        """Whether an undeclared UPPER_CASE name at this place is the name of a secret."""
        ...

    def is_file(self, location: Location) -> bool:
        """Whether the text at this place may name a file beside the runbook."""
        ...
