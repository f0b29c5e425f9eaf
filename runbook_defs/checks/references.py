"""Every `${...}`: does it compile, and does each name in it mean something where it stands?"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runbook_defs.checks.subject import StepOutline, Subject
from runbook_defs.expressions import Path
from runbook_defs.problems import Code, Severity, did_you_mean
from runbook_defs.source import Location
from runbook_defs.templates import compile_template

IMPLICIT = re.compile(r"[A-Z][A-Z0-9_]*")
EXECUTION = ("id", "started_at", "duration", "actor")


@dataclass
class Uses:
    """What the expressions of a runbook use."""

    inputs: dict[str, Location] = field(default_factory=dict)
    implicit: dict[str, Location] = field(default_factory=dict)
    secrets: dict[str, Location] = field(default_factory=dict)
    outputs: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class _Site:
    """A value that may hold expressions: where, and what may be named there."""

    location: Location
    value: Any
    reader: str  # how a sentence names what stands here
    reachable: frozenset[str]  # the steps whose outputs are there when it is evaluated
    step: StepOutline | None = None


def check_references(subject: Subject) -> Uses:
    """Notes names that mean nothing, and what is declared but never used."""
    uses = Uses()
    for site in _sites(subject):
        template = compile_template(site.value)
        for problem in template.problems:
            location = (*site.location, *problem.location)
            subject.add(
                Code.EXPRESSION, location, problem.message, hint=problem.hint, offset=problem.offset
            )
        for found in template.found:
            location = (*site.location, *found.location)
            for path in sorted(found.expression.names):
                offset = found.offset + found.expression.name_offsets.get(path, 0)
                _name(subject, site, path, location, offset, uses)
            for name in found.expression.secrets:
                uses.secrets.setdefault(name, location)
    _both(subject, uses)
    _unused(subject, uses)
    return uses


def _sites(subject: Subject) -> Iterator[_Site]:
    every = frozenset(subject.edges)
    for step in subject.steps:
        before = subject.upstream[step.id]
        for key in ("inputs", "when", "rollback"):
            if key in step.raw:
                yield _Site(
                    location=(*step.location, key),
                    value=step.raw[key],
                    reader=f"step {step.id!r}",
                    reachable=before,
                    step=step,
                )
        if "summary" in step.raw:
            yield _Site(
                location=(*step.location, "summary"),
                value=step.raw["summary"],
                reader=f"step {step.id!r}",
                reachable=before | {step.id},
                step=step,
            )
    kpis = subject.data.get("kpis")
    for name, kpi in (kpis if isinstance(kpis, dict) else {}).items():
        if isinstance(kpi, dict) and "value" in kpi:
            yield _Site(
                location=("kpis", name, "value"),
                value=kpi["value"],
                reader=f"KPI {name!r}",
                reachable=every,
            )
    assumptions = subject.data.get("assumptions")
    for index, item in enumerate(assumptions if isinstance(assumptions, list) else []):
        if isinstance(item, dict) and "check" in item:
            yield _Site(
                location=("assumptions", index, "check"),
                value=item["check"],
                reader="an assumption",
                reachable=frozenset(),
            )


def _name(
    subject: Subject, site: _Site, path: Path, location: Location, offset: int, uses: Uses
) -> None:
    match path[0]:
        case "steps":
            _step_name(subject, site, path, location, offset, uses)
        case "execution":
            if len(path) < 2 or path[1] not in EXECUTION:
                name = ".".join(path)
                hint = f"there are: {', '.join('execution.' + key for key in EXECUTION)}"
                message = f"{name!r} does not name anything"
                subject.add(Code.UNDEFINED_NAME, location, message, hint=hint, offset=offset)
        case "inputs":
            if len(path) > 1:
                _input_name(subject, site, path[1], location, offset, uses)
        case name:
            _input_name(subject, site, name, location, offset, uses)


def _input_name(
    subject: Subject, site: _Site, name: str, location: Location, offset: int, uses: Uses
) -> None:
    declared = subject.data.get("inputs")
    declared = declared if isinstance(declared, dict) else {}
    if name in declared:
        uses.inputs.setdefault(name, location)
    elif IMPLICIT.fullmatch(name):
        spec = subject.step_types.get(site.step.type) if site.step else None
        inside = location[3:] if location[2:3] == ("inputs",) else ()
        target = uses.secrets if spec and inside and spec.is_secret(inside) else uses.implicit
        target.setdefault(name, location)
    else:
        hint = did_you_mean(name, [*declared, "steps", "execution"])
        hint = hint or f"declare it under `inputs:` as `{name}: {{type: string}}`"
        message = f"{name!r} is not an input of this runbook"
        subject.add(Code.UNDEFINED_NAME, location, message, hint=hint, offset=offset)


def _step_name(
    subject: Subject, site: _Site, path: Path, location: Location, offset: int, uses: Uses
) -> None:
    if len(path) < 2:
        message = "'steps' alone does not name a value"
        hint = "write steps.<id>.outputs.<name>"
        subject.add(Code.UNDEFINED_NAME, location, message, hint=hint, offset=offset)
        return
    name = path[1]
    if name not in subject.edges:
        message = f"{site.reader} refers to step {name!r}, which does not exist"
        hint = did_you_mean(name, subject.edges) or f"steps are: {', '.join(subject.edges)}"
        subject.add(Code.UNKNOWN_STEP, location, message, hint=hint, offset=offset)
        return
    if name not in site.reachable:
        message = f"{site.reader} uses {'.'.join(path)}, but {name!r} is not done before it"
        hint = f"add {name!r} to depends_on" if site.step else "use it where the step is done"
        subject.add(Code.NOT_UPSTREAM, location, message, hint=hint, offset=offset)
    if len(path) < 3 or path[2] not in {"outputs", "status"}:
        message = f"{'.'.join(path)!r} does not name a value"
        hint = f"write steps.{name}.outputs.<name> or steps.{name}.status"
        subject.add(Code.UNDEFINED_NAME, location, message, hint=hint, offset=offset)
    elif path[2] == "outputs" and len(path) > 3:
        outputs = next(step.outputs for step in subject.steps if step.id == name)
        uses.outputs.add((name, path[3]))
        if path[3] not in outputs:
            message = f"step {name!r} has no output {path[3]!r}"
            hint = did_you_mean(path[3], outputs) or f"declare it under the outputs of {name!r}"
            subject.add(Code.UNDECLARED_OUTPUT, location, message, hint=hint, offset=offset)
    elif path[2] == "outputs":
        outputs = next(step.outputs for step in subject.steps if step.id == name)
        uses.outputs.update((name, output) for output in outputs)


def _both(subject: Subject, uses: Uses) -> None:
    for name in uses.secrets.keys() & uses.implicit.keys():
        line = subject.document.place(uses.secrets[name]).line
        subject.add(
            Code.SECRET_AND_INPUT,
            uses.implicit[name],
            f"{name!r} is a secret on line {line} and a plain input here",
            hint="inputs are stored and shown, secrets never are: give one of them another name",
        )


def _unused(subject: Subject, uses: Uses) -> None:
    declared = subject.data.get("inputs")
    for name in declared if isinstance(declared, dict) else ():
        if name not in uses.inputs:
            message = f"input {name!r} is never used"
            subject.add(
                Code.UNUSED_INPUT,
                ("inputs", name),
                message,
                hint=f"remove it, or use it as ${{{name}}}",
                key=True,
                severity=Severity.WARNING,
            )
    for step in subject.steps:
        spec = subject.step_types.get(step.type)
        for name, output in step.outputs.items():
            reported = spec is not None and output in spec.reports
            if step.id in subject.leaves or reported or (step.id, name) in uses.outputs:
                continue
            subject.add(
                Code.UNUSED_OUTPUT,
                (*step.location, "outputs", name),
                f"output {name!r} of step {step.id!r} is never used",
                hint="remove it; outputs of last steps count as the runbook's result",
                key=True,
                severity=Severity.WARNING,
            )
