"""What is being checked: the document, and as much of its steps as can be made out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from runbook_defs.graph import leaves, upstream
from runbook_defs.problems import Code, Problem, Severity
from runbook_defs.source import Document, Location
from runbook_defs.step_spec import StepSpec


@dataclass(frozen=True, kw_only=True)
class StepOutline:
    """A step as far as it can be read, however broken the rest of the file is."""

    index: int
    id: str
    type: str
    depends_on: tuple[str, ...]
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    raw: dict[str, Any]

    @property
    def location(self) -> Location:
        """Where the step stands in the document."""
        return ("steps", self.index)


@dataclass
class Subject:
    """A document under check, with the step types it may use and the problems found so far."""

    document: Document
    step_types: Mapping[str, StepSpec]
    problems: list[Problem] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where the files beside the runbook lie."""
        return self.document.path.parent

    @property
    def data(self) -> dict[str, Any]:
        """The document's data."""
        return self.document.data

    @cached_property
    def steps(self) -> list[StepOutline]:
        """The steps that have at least an id, in the order of the file; of two with one id, the first."""
        found: dict[str, StepOutline] = {}
        raw_steps = self.data.get("steps")
        for index, raw in enumerate(raw_steps if isinstance(raw_steps, list) else []):
            if isinstance(raw, dict) and isinstance(raw.get("id"), str):
                found.setdefault(raw["id"], _outline(index, raw))
        return list(found.values())

    @cached_property
    def edges(self) -> dict[str, tuple[str, ...]]:
        """For each step, the steps it says it depends on."""
        return {step.id: step.depends_on for step in self.steps}

    @cached_property
    def upstream(self) -> dict[str, frozenset[str]]:
        """For each step, all that is done before it."""
        return upstream(self.edges)

    @cached_property
    def leaves(self) -> frozenset[str]:
        """The steps that nothing depends on."""
        return leaves(self.edges)

    def add(
        self,
        code: Code,
        location: Location,
        message: str,
        *,
        hint: str = "",
        key: bool = False,
        offset: int = 0,
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Notes a problem at `location`: at its key with `key`, else `offset` characters into its value."""
        place = self.document.place(location, key=key)
        self.problems.append(
            Problem(
                code=code,
                message=message,
                path=self.document.path,
                line=place.line,
                column=place.column + (self._shift(location, offset) if offset else 0),
                hint=hint,
                severity=severity,
            )
        )

    def _shift(self, location: Location, offset: int) -> int:
        # Columns inside a value are true for what stands on one line; a block starts on the next.
        value = self.document.get(location)
        place = self.document.place(location)
        lines = self.document.text.splitlines()
        start = lines[place.line - 1][place.column - 1 :] if place.line <= len(lines) else ""
        if not isinstance(value, str):
            return 0
        if start[:1] in {"'", '"'}:
            return offset + 1 if value[:offset] == start[1 : offset + 1] else 0
        return offset if value[:offset] == start[:offset] else 0


def _outline(index: int, raw: dict[str, Any]) -> StepOutline:
    depends_on, inputs, outputs = raw.get("depends_on"), raw.get("inputs"), raw.get("outputs")
    return StepOutline(
        index=index,
        id=raw["id"],
        type=raw["type"] if isinstance(raw.get("type"), str) else "",
        depends_on=tuple(
            up for up in (depends_on if isinstance(depends_on, list) else []) if isinstance(up, str)
        ),
        inputs=inputs if isinstance(inputs, dict) else {},
        outputs=outputs if isinstance(outputs, dict) else {},
        raw=raw,
    )
