"""Every `${...}`: does it compile, and does each name in it mean something where it stands?"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runbook_defs.checks.subject import StepOutline, Subject, is_name
from runbook_defs.expressions import Path
from runbook_defs.problems import Code, Severity, listed
from runbook_defs.source import Location
from runbook_defs.step_spec import StepSpec
from runbook_defs.templates import Template, compile_template

IMPLICIT = re.compile(r"[A-Z][A-Z0-9_]*")
RESERVED = frozenset({"steps", "execution", "inputs", "item", "response", "secret", "true", "false", "null"})
EXECUTION = ("id", "started_at", "duration", "actor")


class Use(NamedTuple):
    """Where a name is used: the place of a text, and how many characters into it."""

    location: Location
    offset: int


@dataclass
class Uses:
    """What the expressions of a runbook use, each name with its first use."""

    inputs: dict[str, Use] = field(default_factory=dict)
    implicit: dict[str, Use] = field(default_factory=dict)
    secrets: dict[str, Use] = field(default_factory=dict)
    outputs: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class _Site:
    """A value that may hold expressions: where, and what may be named there."""

    location: Location
    value: Any
    reader: str  # how a sentence names what stands here
    reachable: frozenset[str]  # the steps whose outputs are there when it is evaluated
    step: StepOutline | None = None
    condition: str = ""  # how a sentence names it, where a value decides or is measured
    has_response: bool = False


@dataclass(frozen=True)
class _Named:
    """A name such as `steps.fetch.outputs.items`, and where each part of it stands."""

    path: Path
    location: Location
    offsets: list[int]

    def part(self, number: int = 0) -> Use:
        """Where a part stands; the whole, when it has not so many."""
        return Use(self.location, self.offsets[number if number < len(self.offsets) else 0])


def _part_offsets(text: str, start: int, path: Path) -> Iterator[int]:
    for part in path:
        start = max(start, text.find(part, start))
        yield start
        start += len(part)


def check_references(subject: Subject) -> Uses:
    """Notes names that mean nothing, and what is declared but never used."""
    uses = Uses()
    unclear: list[str] = []
    for site in _sites(subject):
        template = compile_template(site.value)
        for problem in template.problems:
            location = (*site.location, *problem.location)
            unclear.append(str(subject.document.get(location)))
            subject.add(Code.EXPRESSION, location, problem.message, hint=problem.hint, offset=problem.offset)
        for found in template.found:
            text = found.expression.text
            if any(f"steps.{name}" in text for name in subject.ill_named):
                unclear.append(text)
                continue
            location = (*site.location, *found.location)
            for path in sorted(found.expression.names):
                start = found.expression.name_offsets.get(path, 0)
                offsets = [found.offset + place for place in _part_offsets(text, start, path)]
                _name(subject, site, _Named(path, location, offsets), uses)
            for name in found.expression.secrets:
                uses.secrets.setdefault(name, Use(location, found.offset))
        if site.condition and not template.problems:
            _condition(subject, site, template)
    _both(subject, uses)
    _unused(subject, uses, unclear)
    return uses


def _condition(subject: Subject, site: _Site, template: Template) -> None:
    """Notes a condition or figure that is a text, which is always true and never a number."""
    if not isinstance(site.value, str):
        return
    text = site.value.strip()
    whole = len(template.found) == 1 and text == "${" + template.found[0].expression.text + "}"
    if not whole:
        message = f"{site.condition} is text with expressions in it, not one expression"
        if not template.found:
            message = f"{site.condition} is the fixed text {text[:40]!r}, not an expression"
        code = Code.KPI if site.location[0] == "kpis" else Code.EXPRESSION
        code = Code.ASSUMPTION if site.location[0] == "assumptions" else code
        subject.add(code, site.location, message, hint='put all of it into one "${...}"')


def _sites(subject: Subject) -> Iterator[_Site]:
    every = frozenset(subject.edges)
    for step in subject.steps:
        before = subject.upstream[step.id]
        yield from _input_sites(subject, step, f"step {step.id!r}", before)
        for key in ("when", "for_each", "rollback"):
            if key in step.raw:
                yield _Site(
                    location=(*step.location, key),
                    value=step.raw[key],
                    reader=f"step {step.id!r}",
                    reachable=before,
                    step=step,
                    condition=f"'when' of step {step.id!r}" if key == "when" else "",
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
                condition=f"the value of KPI {name!r}",
            )
    assumptions = subject.data.get("assumptions")
    for index, item in enumerate(assumptions if isinstance(assumptions, list) else []):
        if isinstance(item, dict) and "check" in item:
            yield _Site(
                location=("assumptions", index, "check"),
                value=item["check"],
                reader="an assumption",
                reachable=frozenset(),
                condition=f"the check of assumption {item.get('id')!r}",
            )
    for probe in subject.probes:
        yield from _input_sites(subject, probe, "an assumption", frozenset())
        if "expect" in probe.raw:
            yield _Site(
                location=(*probe.location, "expect"),
                value=probe.raw["expect"],
                reader="an assumption",
                reachable=frozenset(),
                step=probe,
                condition="what a probe expects",
                has_response=True,
            )


def _input_sites(
    subject: Subject, step: StepOutline, reader: str, reachable: frozenset[str]
) -> Iterator[_Site]:
    """The inputs of a step; those that it evaluates itself each by itself, as they see more."""
    if "inputs" not in step.raw:
        return
    spec = subject.step_types.get(step.type)
    inputs = step.raw["inputs"]
    location = (*step.location, "inputs")
    for name, value in list(inputs.items()) if spec and isinstance(inputs, dict) else ():
        if not _is_expression(subject, spec, name):
            continue
        inputs = {key: item for key, item in inputs.items() if key != name}
        yield _Site(
            location=(*location, name),
            value=value,
            reader=reader,
            reachable=reachable,
            step=step,
            condition=f"the input {name!r}",
            has_response=True,
        )
    # What a step type that nobody knows evaluates itself, nobody knows either.
    unknown = spec is None
    yield _Site(
        location=location, value=inputs, reader=reader, reachable=reachable, step=step, has_response=unknown
    )


def _is_expression(subject: Subject, spec: StepSpec | None, name: str) -> bool:
    """Whether the input, or the one that is meant by its name, is evaluated by the step itself."""
    if spec is None:
        return False
    meant = name if name in spec.input_names else subject.nearest(name, spec.input_names)
    return spec.is_expression((meant,))


def _name(subject: Subject, site: _Site, named: _Named, uses: Uses) -> None:
    path = named.path
    match path[0]:
        case "steps":
            _step_name(subject, site, named, uses)
        case "execution":
            if len(path) < 2 or path[1] not in EXECUTION:
                name = ".".join(path)
                known = [f"execution.{key}" for key in EXECUTION]
                hint = subject.did_you_mean(name, known) or f"there are: {', '.join(known)}"
                _undefined(subject, named.part(1), f"{name!r} does not name anything", hint)
        case "item":
            step = site.step
            if step is None or "for_each" not in step.raw or site.location[2:3] != ("inputs",):
                message = "'item' is only there in the inputs of a step with `for_each`"
                hint = "add for_each to the step, or name the value itself"
                _undefined(subject, named.part(), message, hint)
        case "response":
            if not site.has_response:
                message = "'response' is only there in expressions that a step evaluates itself"
                hint = "such as `until` of a `wait`, or `expect` of a probe"
                _undefined(subject, named.part(), message, hint)
        case "inputs":
            if len(path) > 1:
                _input_name(subject, site, path[1], named.part(1), uses)
            else:
                uses.inputs.update(dict.fromkeys(subject.inputs, named.part()))
        case name:
            _input_name(subject, site, name, named.part(), uses)


def _undefined(subject: Subject, use: Use, message: str, hint: str) -> None:
    subject.add(Code.UNDEFINED_NAME, use.location, message, hint=hint, offset=use.offset)


def _input_name(subject: Subject, site: _Site, name: str, use: Use, uses: Uses) -> None:
    if name in subject.inputs:
        uses.inputs.setdefault(name, use)
    elif IMPLICIT.fullmatch(name):
        spec = subject.step_types.get(site.step.type) if site.step else None
        if site.step and spec is None:
            return  # whether it is a secret is for the step type to say
        before = len(site.step.location) if site.step else 0
        inside = use.location[before + 1 :] if use.location[before : before + 1] == ("inputs",) else ()
        target = uses.secrets if spec and inside and spec.is_secret(inside) else uses.implicit
        target.setdefault(name, use)
    else:
        answer = ["response"] if site.has_response and site.condition else []
        near = subject.nearest(name, [*subject.inputs, "steps", "execution", *answer])
        uses.inputs.setdefault(near, use)
        hint = f"did you mean {near!r}?" if near else ""
        hint = hint or ("what came back is called 'response'" if answer else "")
        hint = hint or f"declare it under `inputs:` as `{name}: {{type: string}}`"
        _undefined(subject, use, f"{name!r} is not an input of this runbook", hint)


def _step_name(subject: Subject, site: _Site, named: _Named, uses: Uses) -> None:
    path, use = named.path, named.part(1)
    if len(path) < 2:
        hint = "write steps.<id>.outputs.<name>"
        _undefined(subject, use, "'steps' alone does not name a value", hint)
        return
    name = path[1]
    if name not in subject.edges:
        if subject.has_all_steps:
            message = f"{site.reader} refers to step {name!r}, which does not exist"
            hint = subject.did_you_mean(name, subject.edges) or f"steps are: {listed(subject.edges)}"
            subject.add(Code.UNKNOWN_STEP, use.location, message, hint=hint, offset=use.offset)
        near = subject.nearest(name, subject.edges)
        uses.outputs.update((step, output) for step in [near] for output in path[3:4] if step)
        return
    if name not in site.reachable:
        _not_upstream(subject, site, named)
    if len(path) < 3 or path[2] not in {"outputs", "status"}:
        hint = f"write steps.{name}.outputs.<name> or steps.{name}.status"
        _undefined(subject, named.part(2), f"{'.'.join(path)!r} does not name a value", hint)
        uses.outputs.update((name, output) for output in path[2:])
    elif path[2] == "outputs":
        _output_name(subject, name, path[3:4], named.part(3), uses)


def _not_upstream(subject: Subject, site: _Site, named: _Named) -> None:
    path, use = named.path, named.part()
    name = path[1]
    message = f"{site.reader} uses {'.'.join(path)}, but {name!r} is not done before it"
    if site.step is None or site.step in subject.probes:
        hint = "assumptions are checked before the first step: check it in a `when` or a KPI"
    elif name == site.step.id:
        hint = f"use it in a step that depends on {name!r}"
    elif site.step.id in subject.upstream[name]:
        hint = f"{name!r} itself depends on {site.step.id!r}: check the order of the steps"
    else:
        hint = f"add {name!r} to depends_on"
    subject.add(Code.NOT_UPSTREAM, use.location, message, hint=hint, offset=use.offset)


def _output_name(subject: Subject, step_id: str, wanted: tuple[str, ...], use: Use, uses: Uses) -> None:
    outputs = next(step.outputs for step in subject.steps if step.id == step_id)
    uses.outputs.update((step_id, output) for output in wanted or outputs)
    for name in wanted:
        if name not in outputs:
            # One of the others may be meant, so none of them is called unused.
            uses.outputs.update((step_id, output) for output in outputs)
            hint = subject.did_you_mean(name, outputs)
            hint = hint or f"declare it under the outputs of {step_id!r}"
            message = f"step {step_id!r} has no output {name!r}"
            subject.add(Code.UNDECLARED_OUTPUT, use.location, message, hint=hint, offset=use.offset)


def _both(subject: Subject, uses: Uses) -> None:
    for name in uses.secrets.keys() & uses.implicit.keys():
        line = subject.document.place(uses.secrets[name].location).line
        subject.add(
            Code.SECRET_AND_INPUT,
            uses.implicit[name].location,
            f"{name!r} is a secret on line {line} and a plain input here",
            hint="inputs are stored and shown, secrets never are: give one of them another name",
            offset=uses.implicit[name].offset,
        )


def _unused(subject: Subject, uses: Uses, unclear: Sequence[str]) -> None:
    """Notes what is declared and never used; `unclear` are texts that may use anything they name."""

    def may_be_used(name: str) -> bool:
        return any(name in text for text in unclear)

    for name in subject.inputs:
        if name in RESERVED or not is_name(name):
            continue
        if name not in uses.inputs and not may_be_used(name):
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
            used = (step.id, name) in uses.outputs or may_be_used(name)
            used = used or step.id in subject.upstream[step.id]  # a circle has no last step
            if step.id in subject.leaves or reported or used:
                continue
            subject.add(
                Code.UNUSED_OUTPUT,
                (*step.location, "outputs", name),
                f"output {name!r} of step {step.id!r} is never used",
                hint="remove it; outputs of last steps count as the runbook's result",
                key=True,
                severity=Severity.WARNING,
            )
