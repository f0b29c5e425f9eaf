"""Runbooks as they are loaded to run: checked, with their step types, files and compiled templates."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from runbook_defs.check import Checked, check_document
from runbook_defs.checks.steps import FILE_ENDINGS, resolve_inside
from runbook_defs.execution import PROBE
from runbook_defs.model import Runbook, Step
from runbook_defs.problems import Code, Problem, Severity, did_you_mean
from runbook_defs.source import load_document
from runbook_defs.templates import Template, compile_template
from runbook_factory.project import Project, ProjectError
from step_ops.registry import step_types
from step_ops.step_type import Effect, StepType


class InvalidRunbook(Exception):
    """A runbook that cannot run; `problems` say why."""

    def __init__(self, path: Path, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{path} has {len(problems)} problem(s)")
        self.path, self.problems = path, problems


@dataclass(frozen=True)
class LoadedRunbook:
    """A runbook without errors, in its project."""

    runbook: Runbook
    checked: Checked
    project: Project

    @property
    def id(self) -> str:
        """The runbook's id."""
        return self.runbook.id

    @property
    def folder(self) -> Path:
        """Where the files beside it lie."""
        return self.checked.folder

    @property
    def text(self) -> str:
        """The definition as written."""
        return self.checked.document.text

    @cached_property
    def steps(self) -> dict[str, tuple[int, Step]]:
        """Each step with its position in the definition."""
        return {step.id: (position, step) for position, step in enumerate(self.runbook.steps)}

    @cached_property
    def probes(self) -> dict[str, Step]:
        """What each probed assumption asks, as a step called `assumptions.<id>` that gives its result."""
        return {
            item.id: Step.model_construct(
                id=f"{PROBE}{item.id}",
                type=item.probe.type,
                inputs=item.probe.inputs,
                outputs={"response": "$"},
            )
            for item in self.runbook.assumptions
            if item.probe is not None
        }

    @property
    def _all_steps(self) -> list[Step]:
        return [*self.runbook.steps, *self.probes.values()]

    @cached_property
    def step_types(self) -> dict[str, StepType[Any]]:
        """The step type of each step and probe."""
        known = step_types()
        return {step.id: known[step.type] for step in self._all_steps}

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The files that steps name, by name."""
        found: dict[str, bytes] = {}
        for step in self._all_steps:
            for name, value in step.inputs.items():
                is_name = isinstance(value, str) and value.endswith(FILE_ENDINGS)
                if is_name and self.step_types[step.id].is_file((name,)):
                    path = resolve_inside(self.folder, value)
                    if path is not None and path.is_file():
                        found[value] = path.read_bytes()
        return found

    @cached_property
    def digest(self) -> str:
        """Names the definition: the same for the same text and the same files."""
        parts = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(self.files.items())}
        whole = json.dumps({"text": self.text, "files": parts}, sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    @cached_property
    def templates(self) -> dict[str, dict[str, Template]]:
        """For each step and probe, each input compiled."""
        return {
            step.id: {name: compile_template(value) for name, value in step.inputs.items()}
            for step in self._all_steps
        }

    @cached_property
    def _effects(self) -> dict[str, Effect]:
        return {step.id: self._effect(step) for step in self._all_steps}

    def effect(self, step: Step) -> Effect:
        """Whether the step changes the world: as stated, else as its type tells from its inputs."""
        return self._effects[step.id]

    def _effect(self, step: Step) -> Effect:
        if step.effect is not None:
            return Effect(step.effect.value)
        query = step.inputs.get("query", "")
        text = self.files[query].decode(errors="replace") if query in self.files else str(query)
        return self.step_types[step.id].effect_of(step.inputs, text)


def check_file(path: Path) -> Checked:
    """Everything about the runbook in the file at `path`, with the installed step types."""
    checked = check_document(load_document(path), step_types=step_types())
    return _with_pack_warning(checked)


def find_runbook(project: Project, runbook_id: str) -> Path:
    """The file of the runbook called `runbook_id`; raises `ProjectError` with the nearest name."""
    path = project.runbook_file(runbook_id)
    if not path.is_file():
        known = project.runbook_ids()
        hint = did_you_mean(runbook_id, known) or (
            f"there are: {', '.join(known)}" if known else f"there is none in {project.runbooks}"
        )
        raise ProjectError(f"no runbook {runbook_id!r} in {project.runbooks}", hint=hint)
    return path


def load_runbook(project: Project, runbook_id: str) -> LoadedRunbook:
    """The runbook called `runbook_id`; raises `ProjectError` or `InvalidRunbook`."""
    return loaded(check_file(find_runbook(project, runbook_id)), project)


def loaded(checked: Checked, project: Project) -> LoadedRunbook:
    """A checked runbook, ready to run; raises `InvalidRunbook` when it has errors."""
    if checked.runbook is None:
        raise InvalidRunbook(checked.document.path, checked.errors)
    return LoadedRunbook(checked.runbook, checked, project)


def load_all(
    project: Project, ids: Iterable[str] | None = None
) -> tuple[list[LoadedRunbook], Mapping[Path, tuple[Problem, ...]]]:
    """Every runbook of the project that can run, and the problems of those that cannot.

    With `ids` only those; raises `ProjectError` when there is none of such a name.
    """
    good: list[LoadedRunbook] = []
    broken: dict[Path, tuple[Problem, ...]] = {}
    for runbook_id in project.runbook_ids() if ids is None else ids:
        try:
            good.append(load_runbook(project, runbook_id))
        except InvalidRunbook as error:
            broken[error.path] = error.problems
    return good, broken


def _with_pack_warning(checked: Checked) -> Checked:
    path = checked.document.path
    root = path.parent.parent
    if path.name != "runbook.yaml" or root.name != "runbooks" or not checked.document.readable:
        return checked
    pack = Project(root.parent).pack(path.parent.name)
    if (pack / "acceptance.yml").is_file():
        return checked
    warning = Problem(
        code=Code.NO_PACK,
        message="the runbook has no acceptance pack",
        path=path,
        hint=f"make acceptance/{path.parent.name}/acceptance.yml",
        severity=Severity.WARNING,
    )
    return replace(checked, problems=(*checked.problems, warning))
