"""Keys and types: does the file have the shape of a runbook?"""

from typing import Any

from pydantic import BaseModel, ValidationError

from runbook_defs.checks.subject import Subject, as_meant, known_keys
from runbook_defs.model import (
    Assumption,
    Defaults,
    Input,
    Kpis,
    Numeric,
    OwnKpi,
    Probe,
    Retry,
    Runbook,
    Schedule,
    Step,
    Tolerance,
    as_written,
    normalized,
    with_defaults,
)
from runbook_defs.problems import Code, did_you_mean
from runbook_defs.source import Location

_SENTENCES = {
    "bool_type": "should be true or false",
    "dict_type": "should be a mapping",
    "float_type": "should be a number",
    "int_type": "should be a whole number",
    "list_type": "should be a list",
    "model_type": "should be a mapping",
    "string_type": "should be text",
}

_PATTERNS = {
    "id": ("lower case letters, digits and dashes", "rb-001-entity-enrichment"),
    "version": ("a semantic version", "1.0.0"),
    "step": ("lower case letters, digits and underscores", "fetch_items"),
    "name": ("letters, digits and underscores", "report_day"),
}


def check_shape(subject: Subject) -> Runbook | None:
    """Notes every unknown key and wrong value; gives the runbook when there is none."""
    _not_built(subject)
    try:
        return with_defaults(Runbook.model_validate(normalized(subject.data)))
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=True):
            _report(subject, item)
        return None


def _report(subject: Subject, item: Any) -> None:
    location: Location = tuple(part for part in item["loc"] if part != "[key]")
    location = _as_written(subject, location)
    name = str(location[-1]) if location else "the file"
    match item["type"]:
        case "extra_forbidden":
            hint = subject.did_you_mean(name, _known_keys(location[:-1]))
            known = ", ".join(_known_keys(location[:-1]))
            subject.add(
                Code.UNKNOWN_KEY,
                location,
                f"unknown key {name!r}",
                hint=hint or f"known: {known}",
                key=True,
            )
        case "missing":
            mapping = subject.document.get(location[:-1])
            if name in as_meant(mapping, _known_keys(location[:-1])):
                return  # it is there, misspelt
            parent = f"{_title(subject, location[:-1])} has no {name!r}"
            subject.add(Code.MISSING_KEY, location[:-1], parent, hint=f"add `{name}:`")
        case "model_type" if location[:1] == ("kpis",) and len(location) == 2:
            near = subject.did_you_mean(name, known_keys(Kpis))
            hint = near or 'an own KPI is a mapping: {value: "${...}", max: 10}'
            subject.add(Code.UNKNOWN_KEY, location, f"unknown KPI {name!r}", hint=hint, key=True)
        case _:
            message, hint = wrong_value(item, location)
            key = item["loc"][-1:] == ("[key]",)
            subject.add(Code.WRONG_VALUE, location, message, hint=hint, key=key)


def _as_written(subject: Subject, location: Location) -> Location:
    """The place of a short assumption `- name: true`, which is checked as if written out."""
    match location:
        case ("assumptions", int(), "id" | "attested"):
            item = subject.document.get(location[:2])
            if isinstance(item, dict) and len(item) == 1 and "id" not in item:
                return (*location[:2], next(iter(item)))
    return location


def wrong_value(item: Any, location: Location) -> tuple[str, str]:
    """A sentence and a hint for one error of pydantic's about a value."""
    name = str(location[-1]) if location else "the file"
    kind, context = item["type"], item.get("ctx", {})
    if isinstance(location[-1] if location else None, int):
        name = f"item {int(location[-1]) + 1} of {location[-2]!r}" if len(location) > 1 else name
    else:
        name = repr(name)
    if kind == "string_pattern_mismatch":
        rule, example = _pattern(location)
        found = "" if item["input"] == location[-1] else f", not {item['input']!r}"
        return f"{name} should be {rule}{found}", f"for example {example}"
    if kind in {"enum", "literal_error"}:
        expected = context.get("expected", "")
        options = [option.strip(" '") for option in expected.replace(" or ", ", ").split(",")]
        near = did_you_mean(str(item["input"]), options)
        return f"{name} is {item['input']!r}, which is none of {expected}", near
    if kind in {"string_too_short", "too_short"}:
        return f"{name} should not be empty", "" if len(location) > 1 else "every runbook has one"
    told = item["msg"].removeprefix("Input ")
    sentence = _SENTENCES.get(kind, told[:1].lower() + told[1:])
    return f"{name} {sentence}, not {_kind(item['input'])}", _hint(kind, item["input"], location)


def _hint(kind: str, value: Any, location: Location) -> str:
    match kind, value:
        case _, None:
            return "give it a value, or remove the key"
        case "bool_type", "yes" | "on" | "Yes" | "On" | "YES" | "ON":
            return "write true"
        case "bool_type", "no" | "off" | "No" | "Off" | "NO" | "OFF":
            return "write false"
        case "list_type", str() | int() | float() if location[-1] in {"depends_on", "tags", "in"}:
            return f"write [{as_written(value)}]"
        case "list_type", dict() if location in {("steps",), ("assumptions",)}:
            return "start each item with a dash: `- id: ...`"
        case "list_type", dict() if location == ("tolerances",):
            return "start each item with a dash: `- path: ...`"
        case "model_type", str() if location == ("schedule",):
            return f"write {{cron: {value!r}}}"
        case "string_type", _ if location[-1] in {"when", "check", "expect", "value"}:
            return 'use an expression: "${...}"'
    return ""


def _pattern(location: Location) -> tuple[str, str]:
    match location:
        case ("id",) | ("version",):
            return _PATTERNS[str(location[0])]
        case ("steps", _, "id"):
            return _PATTERNS["step"]
        case _:
            return _PATTERNS["name"]


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {value[:40]!r}" if value.strip() else "an empty text"
        case int() | float():
            return f"the number {getattr(value, 'text', value)}"
        case dict():
            return "a mapping"
        case []:
            return "an empty list"
        case _:
            return "a list"


def _title(subject: Subject, location: Location) -> str:
    match location:
        case ():
            return "the runbook"
        case ("steps", int(index)):
            step_id = subject.document.get((*location, "id"))
            return f"step {step_id!r}" if isinstance(step_id, str) else f"step number {index + 1}"
        case ("assumptions", int(index), "probe"):
            name = subject.document.get(("assumptions", index, "id"))
            return f"the probe of assumption {name!r}" if isinstance(name, str) else "the probe"
        case ("schedule",):
            return "the schedule"
        case ("tolerances", int(index)):
            return f"tolerance number {index + 1}"
        case _:
            return ".".join(str(part) for part in location)


def _known_keys(location: Location) -> list[str]:
    model: type[BaseModel]
    match location:
        case ("steps", _):
            model = Step
        case ("steps", _, "retry") | ("defaults", "retry"):
            model = Retry
        case ("defaults",):
            model = Defaults
        case ("assumptions", _):
            model = Assumption
        case ("assumptions", _, "probe"):
            model = Probe
        case ("inputs", _):
            model = Input
        case ("kpis", _):
            model = OwnKpi
        case ("schedule",):
            model = Schedule
        case ("tolerances", _):
            model = Tolerance
        case ("tolerances", _, "numeric"):
            model = Numeric
        case _:
            model = Runbook
    return known_keys(model)


def _not_built(subject: Subject) -> None:
    hint = "remove it for now: running without it would not do what the file says"
    for step in subject.steps:
        if step.raw.get("rollback") is not None:
            location: Location = (*step.location, "rollback")
            subject.add(Code.NOT_BUILT, location, "'rollback' is not built yet", hint=hint, key=True)
        if step.raw.get("on_failure") == "rollback":
            location = (*step.location, "on_failure")
            subject.add(Code.NOT_BUILT, location, "'on_failure: rollback' is not built yet", hint=hint)
    inputs = subject.data.get("inputs")
    for name, spec in (inputs if isinstance(inputs, dict) else {}).items():
        if not isinstance(spec, dict) or spec.get("sensitive") is not True:
            continue
        if isinstance(spec.get("type"), str) and spec["type"] != "string":
            message = f"'sensitive: true' is not built yet for an input of type {spec['type']}"
            hint = "make it a string: what is masked is found by its text"
            subject.add(Code.NOT_BUILT, ("inputs", name, "sensitive"), message, hint=hint)
