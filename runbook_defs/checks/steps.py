"""The steps and the graph they make: ids, types, dependencies, cycles, the inputs of each type."""

import json
import keyword
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from runbook_defs.checks.subject import StepOutline, Subject, as_meant, is_name
from runbook_defs.graph import find_cycles
from runbook_defs.outputs import OutputError, check_path, is_path
from runbook_defs.problems import Code, listed
from runbook_defs.source import Location
from runbook_defs.step_spec import InputProblem, StepSpec

FILE_ENDINGS = (".json", ".graphql", ".gql", ".sql")
_INPUT_CODES = {
    "unknown": Code.UNKNOWN_STEP_INPUT,
    "missing": Code.MISSING_STEP_INPUT,
    "wrong": Code.WRONG_STEP_INPUT,
    "fixed": Code.WRONG_STEP_INPUT,
}


def check_steps(subject: Subject) -> None:
    """Notes what is wrong with each step and with the graph."""
    _ids(subject)
    for step in subject.steps:
        _dependencies(subject, step)
        _type(subject, step)
        _outputs(subject, step)
    for probe in subject.probes:
        _type(subject, probe)
        _only_reads(subject, probe)
    for cycle in find_cycles(subject.edges):
        names = " -> ".join([*cycle, cycle[0]])
        first = next(step for step in subject.steps if step.id == cycle[0])
        position = first.depends_on.index(cycle[1 % len(cycle)])
        subject.add(
            Code.CYCLE,
            (*first.location, "depends_on", position),
            f"steps depend on each other in a circle: {names}",
            hint="remove one of these dependencies",
        )


def _ids(subject: Subject) -> None:
    first: dict[str, int] = {}
    raw_steps = subject.data.get("steps")
    for index, raw in enumerate(raw_steps if isinstance(raw_steps, list) else []):
        step_id = raw.get("id") if isinstance(raw, dict) else None
        if not isinstance(step_id, str):
            continue
        location = ("steps", index, "id")
        if step_id in first:
            line = subject.document.place(("steps", first[step_id], "id")).line
            message = f"step id {step_id!r} is already used on line {line}"
            subject.add(Code.DUPLICATE_STEP, location, message, hint="ids are unique in a runbook")
        first.setdefault(step_id, index)
        if keyword.iskeyword(step_id):
            message = f"step id {step_id!r} is a word that expressions keep for themselves"
            subject.add(Code.WRONG_VALUE, location, message, hint=f"for example {step_id}_step")


def _dependencies(subject: Subject, step: StepOutline) -> None:
    seen: set[str] = set()
    for position, up in enumerate(step.depends_on):
        location = (*step.location, "depends_on", position)
        if not up:
            continue
        if up == step.id:
            message = f"step {step.id!r} depends on itself"
            subject.add(Code.SELF_DEPENDENCY, location, message, hint="remove it")
        elif up not in subject.edges:
            if not subject.has_all_steps:
                continue
            message = f"step {step.id!r} depends on {up!r}, which is not a step"
            hint = subject.did_you_mean(up, subject.edges) or f"steps are: {listed(subject.edges)}"
            subject.add(Code.UNKNOWN_DEPENDENCY, location, message, hint=hint)
        elif up in seen:
            message = f"step {step.id!r} names {up!r} twice in depends_on"
            subject.add(Code.DUPLICATE_DEPENDENCY, location, message, hint="once is enough")
        seen.add(up)


def _type(subject: Subject, step: StepOutline) -> None:
    if not step.type:
        return
    try:
        spec = subject.step_types[step.type]
    except KeyError as error:
        _unusable_type(subject, step, error)
        return
    meant = as_meant(step.inputs, spec.input_names)
    for problem in () if step.has_odd_inputs else spec.input_problems(step.inputs):
        location, kind, _ = problem
        if kind == "missing" and location[-1] in meant and len(location) == 1:
            continue  # it is there, misspelt
        _input_problem(subject, step, spec, problem)
    for location, text in _texts(step.inputs, ()):
        if spec.is_file(location) and text.endswith(FILE_ENDINGS) and "${" not in text:
            _file(subject, (*step.location, "inputs", *location), text)


def _unusable_type(subject: Subject, step: StepOutline, error: KeyError) -> None:
    location = (*step.location, "type")
    if step.type in subject.step_types:  # installed, but the registry cannot give it
        hint = getattr(error, "hint", "")
        subject.add(Code.BROKEN_STEP_TYPE, location, str(error), hint=hint)
        return
    hint = subject.did_you_mean(step.type, subject.step_types)
    known = f"known types: {', '.join(sorted(subject.step_types))}"
    subject.add(Code.UNKNOWN_STEP_TYPE, location, f"unknown step type {step.type!r}", hint=hint or known)


def _only_reads(subject: Subject, probe: StepOutline) -> None:
    spec = subject.step_types.get(probe.type)
    if spec is None:
        return
    effect = spec.effect_of(probe.inputs, query_text(subject, probe))
    if effect != "read":
        message = f"a probe only asks, but with these inputs {spec.name} has the effect {effect}"
        hint = "ask with a GET or a query, or make it a step"
        subject.add(Code.ASSUMPTION, (*probe.location, "type"), message, hint=hint)


def query_text(subject: Subject, step: StepOutline) -> str:
    """The text of the query that a step sends: that of the file it names, or what it says itself."""
    query = step.inputs.get("query")
    if not isinstance(query, str):
        return ""
    path = resolve_inside(subject.folder, query) if query.endswith(FILE_ENDINGS) else None
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path and _is_file(path) else query
    except OSError:
        return query


def _input_problem(subject: Subject, step: StepOutline, spec: StepSpec, problem: InputProblem) -> None:
    location, kind, message = problem
    if kind == "wrong" and _decided_later(step.inputs, location):
        return
    place = (*step.location, "inputs", *location)
    name = str(location[-1]) if location else ""
    match kind:
        case "unknown":
            known = spec.names_at(location[:-1])
            of = ".".join([spec.name, *(str(part) for part in location[:-1])])
            hint = subject.did_you_mean(name, known) or f"inputs of {of}: {', '.join(known)}"
            subject.add(_INPUT_CODES[kind], place, message, hint=hint, key=True)
        case "missing":
            subject.add(_INPUT_CODES[kind], place[:-1], message, hint=f"add `{name}:`", key=True)
        case "wrong":
            subject.add(_INPUT_CODES[kind], place, message)
        case "fixed":
            text = subject.document.get(place)
            offset = text.find("${") if isinstance(text, str) else 0
            subject.add(_INPUT_CODES[kind], place, message, offset=offset)


def _decided_later(inputs: dict[str, Any], location: Location) -> bool:
    """Whether an expression, known only when the step runs, decides what stands at `location`."""
    value: Any = inputs
    for part in location:
        if isinstance(value, str):
            break
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            break  # a part of the check's own, such as the option of a union
    return isinstance(value, str) and "${" in value


def _outputs(subject: Subject, step: StepOutline) -> None:
    for name, spec in step.outputs.items():
        location = (*step.location, "outputs", name)
        if not is_name(name):
            message = f"output {name!r} cannot be named in an expression"
            subject.add(
                Code.WRONG_VALUE, location, message, hint="use the letters a-z, digits and _", key=True
            )
        if is_path(spec):
            try:
                check_path(spec)
            except OutputError as error:
                subject.add(Code.JSONPATH, location, error.message, hint=error.hint)
        elif isinstance(spec, str) and "${" in spec:
            message = f"output {name!r} is an expression, but outputs come from the step's result"
            hint = "write a JSONPath such as $.items, or a fixed value"
            subject.add(Code.JSONPATH, location, message, hint=hint)


def _texts(value: Any, location: Location) -> Iterator[tuple[Location, str]]:
    match value:
        case str():
            yield location, value
        case dict():
            for key, item in value.items():
                yield from _texts(item, (*location, key))
        case list():
            for index, item in enumerate(value):
                yield from _texts(item, (*location, index))


def _file(subject: Subject, location: Location, name: str) -> None:
    path = resolve_inside(subject.folder, name)
    if path is None:
        message = f"the file {name!r} is not inside the runbook's folder"
        subject.add(Code.FILE_OUTSIDE, location, message, hint="copy it beside the runbook")
        return
    if not _is_file(path):
        beside = sorted(item.name for item in subject.folder.iterdir() if item.suffix in FILE_ENDINGS)
        hint = subject.did_you_mean(name, beside) or "put it beside the runbook"
        subject.add(Code.MISSING_FILE, location, f"the file {name!r} is not there", hint=hint)
        return
    if path.suffix == ".json":
        try:
            json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            nested = isinstance(error, RecursionError)
            reason = "nested too deeply" if nested else str(error)
            message = f"the file {name!r} is not JSON: {reason}"
            subject.add(Code.BROKEN_FILE, location, message, hint="mend the file, not the runbook")
        except OSError as error:
            message = f"the file {name!r} cannot be read: {error.strerror}"
            subject.add(Code.BROKEN_FILE, location, message, hint="check who may read it")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name longer than the file system takes
        return False


def resolve_inside(folder: Path, name: str) -> Path | None:
    """The file called `name` in `folder`, or None when the name or a link leads out of it."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or "\\" in name or "\0" in name:
        return None
    path = folder / relative
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return None
    return path if inside else None
