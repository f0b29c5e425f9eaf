"""What is being checked: the document, and as much of its steps as can be made out."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from runbook_defs.graph import leaves, upstream
from runbook_defs.model import NAME, Assumption, Runbook, Step, as_written
from runbook_defs.problems import Code, Problem, Severity, nearest
from runbook_defs.source import Document, Location
from runbook_defs.step_spec import StepSpec

MAX_COMPARISONS = 20_000  # of words for hints, at some microseconds each


@dataclass(frozen=True, kw_only=True)
class StepOutline:
    """A step as far as it can be read, however broken the rest of the file is."""

    location: Location  # where it stands in the document
    id: str
    type: str
    depends_on: tuple[str, ...]  # in the places of the file; empty where one is not text
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    raw: dict[str, Any]
    has_odd_inputs: bool = False  # the inputs are not a mapping


@dataclass
class Subject:
    """A document under check, with the step types it may use and the problems found so far."""

    document: Document
    step_types: Mapping[str, StepSpec]
    problems: list[Problem] = field(default_factory=list)
    comparisons: int = 0

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
                found.setdefault(raw["id"], _outline(("steps", index), raw))
        return list(found.values())

    @cached_property
    def probes(self) -> list[StepOutline]:
        """What assumptions ask the world, each like a step that has no id."""
        items = self.data.get("assumptions")
        found: list[StepOutline] = []
        for index, item in enumerate(items if isinstance(items, list) else []):
            probe = as_meant(item, Assumption.model_fields).get("probe") if isinstance(item, dict) else None
            if isinstance(probe, dict):
                found.append(_outline(("assumptions", index, "probe"), probe))
        return found

    def nearest(self, word: str, known: Collection[str]) -> str:
        """The one of `known` that is most like `word`; empty when none is, or too many were asked for."""
        self.comparisons += len(known)
        return nearest(word, known) if self.comparisons <= MAX_COMPARISONS else ""

    def did_you_mean(self, word: str, known: Collection[str]) -> str:
        """`did you mean 'x'?` for the nearest of `known`, else an empty text."""
        near = self.nearest(word, known)
        return f"did you mean {near!r}?" if near else ""

    @cached_property
    def has_all_steps(self) -> bool:
        """Whether every step could be made out, so that a name that is none of them is a mistake."""
        raw_steps = self.data.get("steps")
        return isinstance(raw_steps, list) and all(
            isinstance(raw, dict) and isinstance(raw.get("id"), str) for raw in raw_steps
        )

    @cached_property
    def ill_named(self) -> tuple[str, ...]:
        """The ids that no expression can name, such as `my-step`, which is a subtraction there."""
        return tuple(step.id for step in self.steps if step.id and not is_name(step.id))

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """The declared inputs."""
        declared = as_meant(self.data, Runbook.model_fields).get("inputs")
        return declared if isinstance(declared, dict) else {}

    @cached_property
    def edges(self) -> dict[str, tuple[str, ...]]:
        """For each step, the steps it says it depends on."""
        return {step.id: step.depends_on for step in self.steps}

    @cached_property
    def upstream(self) -> dict[str, frozenset[str]]:
        """For each step, all that is done before it; a misspelt dependency counts as what is meant."""
        return upstream(
            {
                step: [up if up in self.edges else self.nearest(up, self.edges) for up in ups]
                for step, ups in self.edges.items()
            }
        )

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
        if offset:
            place = self.document.place_inside(location, offset)
        else:
            place = self.document.place(location, key=key)
        self.problems.append(
            Problem(
                code=code,
                message=message,
                path=self.document.path,
                line=place.line,
                column=place.column,
                hint=hint,
                severity=severity,
            )
        )


def _outline(location: Location, raw: dict[str, Any]) -> StepOutline:
    meant = as_meant(raw, Step.model_fields)
    depends_on, inputs, outputs = (meant.get(key) for key in ("depends_on", "inputs", "outputs"))
    ups = [depends_on] if isinstance(depends_on, str) else depends_on
    return StepOutline(
        location=location,
        id=raw.get("id", ""),
        type=_text(meant.get("type")),
        depends_on=tuple(_text(up) for up in ups) if isinstance(ups, list) else (),
        inputs=inputs if isinstance(inputs, dict) else {},
        outputs=outputs if isinstance(outputs, dict) else {},
        raw=raw,
        has_odd_inputs="inputs" in meant and not isinstance(inputs, dict),
    )


def is_name(text: str) -> bool:
    """Whether an expression can name it behind a dot."""
    return re.fullmatch(NAME, text) is not None


def _text(value: Any) -> str:
    """`value` when it is text or a number that may stand for text, else nothing."""
    text = as_written(value)
    return text if isinstance(text, str) else ""


def known_keys(model: type[BaseModel]) -> list[str]:
    """The keys of a part of a runbook, as they are written."""
    return [field.alias or name for name, field in model.model_fields.items() if not name.startswith("__")]


def as_meant(raw: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """`raw` with each misspelt key under the name it was meant for, so that one slip is one problem."""
    if raw.keys() <= set(known):
        return raw
    meant = dict(raw)
    unknown = raw.keys() - set(known)
    for key in unknown if len(unknown) <= len(known) else ():  # so many are no slips
        near = nearest(key, known)
        if near and near not in raw:
            meant[near] = raw[key]
    return meant
