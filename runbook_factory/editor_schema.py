"""JSON Schemas of what authors write, for editors and other validators.

They come from the models that `rb validate` uses, and from the inputs of every installed step type. A
schema sees one file and its shape; what a name refers to, only `rb validate` knows.
"""

import keyword
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import BeforeValidatorFunctionSchema

from runbook_defs.checks.references import RESERVED
from runbook_defs.cron import NICKNAMES
from runbook_defs.error_types import ERROR_TYPES
from runbook_defs.model import (
    NAME,
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
)
from runbook_defs.pack import Pack
from runbook_factory.key_sentences import KEYS
from step_ops.cassette import Fixture
from step_ops.registry import StepTypeError
from step_ops.step_type import StepType

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

# Whose keys have a sentence each.
_PARTS = (Input, Assumption, Kpis, OwnKpi, Probe, Step, Retry, Defaults, Schedule, Tolerance, Numeric)

_EXPRESSION = {"type": "string", "pattern": r"\$\{"}
_ONE_EXPRESSION = r"^\s*\$\{[\s\S]*\}\s*$"
_TYPES = {"string": ["string", "number"], "list": ["array"]}  # where JSON Schema says it otherwise


class Subject(StrEnum):
    """The kinds of file that have a schema."""

    RUNBOOK = "runbook"
    PACK = "pack"
    FIXTURE = "fixture"


def build_schema(subject: Subject, *, step_types: Mapping[str, StepType[Any]]) -> Schema:
    """The JSON Schema (2020-12) of a kind of file, as JSON."""
    match subject:
        case Subject.RUNBOOK:
            schema = _runbook(step_types)
        case Subject.PACK:
            schema = _of_model(Pack)
        case Subject.FIXTURE:
            schema = _fixture()
    return {"$schema": DIALECT, **schema}


class _AsWritten(GenerateJsonSchema):
    """Knows that a field for text also takes a number, which is kept as it was written."""

    def function_before_schema(self, schema: BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        inner = super().function_before_schema(schema)
        return {**inner, "type": ["string", "number"]} if inner.get("type") == "string" else inner


def _of_model(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema(schema_generator=_AsWritten)
    _tidy(schema)
    return schema


def _fixture() -> Schema:
    one = TypeAdapter(Fixture).json_schema(schema_generator=_AsWritten)
    _tidy(one)
    parts = one.pop("$defs", {})
    several = {
        "type": "object",
        "properties": {"scenarios": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Fixture"}}},
        "required": ["scenarios"],
        "additionalProperties": False,
    }
    return {
        "$defs": {**parts, "Fixture": one},
        "title": "Fixture",
        "if": {"required": ["scenarios"]},
        "then": several,
        "else": {"$ref": "#/$defs/Fixture"},
    }


def _tidy(schema: Any) -> None:
    """Takes out what only repeats the name of a key, and defaults that say nothing."""
    if isinstance(schema, list):
        for item in schema:
            _tidy(item)
    elif isinstance(schema, dict):
        for key, item in schema.items():
            if key in {"properties", "$defs"}:
                for part in item.values():
                    part.pop("title", None)
                    _tidy(part)
            elif key not in {"default", "enum", "const"}:
                _tidy(item)
        if schema.get("default", ...) in (None, "", [], {}):
            del schema["default"]


# The runbook


def _runbook(step_types: Mapping[str, StepType[Any]]) -> Schema:
    schema = _of_model(Runbook)
    parts = schema["$defs"]
    for model in _PARTS:
        _explain(parts[model.__name__], model)
    _explain(schema, Runbook)
    schema["properties"]["inputs"] = _named(
        schema["properties"]["inputs"], {"$ref": "#/$defs/Input"}, besides=sorted(RESERVED)
    )
    schema["properties"]["assumptions"]["items"] = _assumption()
    _inputs(parts["Input"])
    _goals(parts)
    _schedule(parts["Schedule"])
    _tolerances(parts)
    _steps(parts, step_types)
    return schema


def _explain(schema: Schema, model: type[BaseModel]) -> None:
    """Adds a sentence to each key, and the patterns that pydantic leaves out."""
    for name, sentence in KEYS[model.__name__].items():
        if name in schema["properties"]:
            schema["properties"][name]["description"] = sentence
    _patterns(schema, model)


def _patterns(schema: Schema, model: type[BaseModel], parts: Schema | None = None) -> None:
    """Adds the patterns of a model's texts; with `parts`, also those of the models inside it."""
    for name, field in model.model_fields.items():
        written = schema["properties"].get(field.alias or name)
        pattern = _pattern(field)
        for option in written.get("anyOf", [written]) if written and pattern else ():
            if "string" in option.get("type", ()):
                option.update(type="string", pattern=pattern)
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if parts and isinstance(inner, type) and inner.__name__ in parts and issubclass(inner, BaseModel):
                _patterns(parts[inner.__name__], inner, parts)


def _pattern(field: FieldInfo) -> str | None:
    """The pattern of a field of text, also of the options of a union such as `Text | None`."""
    metadata = [*field.metadata]
    for option in getattr(field.annotation, "__args__", ()):
        metadata += getattr(option, "__metadata__", ())
    inside = [part for item in metadata for part in (item, *getattr(item, "metadata", ()))]
    found = (getattr(item, "pattern", None) for item in inside)
    return next((pattern for pattern in found if isinstance(pattern, str)), None)


def _named(schema: Schema, value: Schema, *, besides: list[str]) -> Schema:
    """A mapping whose keys expressions can name."""
    kept = {key: item for key, item in schema.items() if key != "patternProperties"}
    names = {"pattern": f"^{NAME}$", "not": {"enum": besides}} if besides else {"pattern": f"^{NAME}$"}
    return {**kept, "propertyNames": names, "additionalProperties": value}


def _assumption() -> Schema:
    short = {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME}$"},
        "additionalProperties": {"const": True},
        "minProperties": 1,
    }
    return {
        "if": {"type": "object", "maxProperties": 1, "not": {"required": ["id"]}},
        "then": {"description": "`- name: true`: whoever starts the run states that this holds.", **short},
        "else": {
            "if": {"type": "string"},
            "then": {"pattern": f"^{NAME}$"},
            "else": {"$ref": "#/$defs/Assumption"},
        },
    }


def _inputs(schema: Schema) -> None:
    """The default of an input is of the input's type."""
    schema["allOf"] = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"properties": {"default": {"type": [*_TYPES.get(name, [name]), "null"]}}},
        }
        for name in schema["properties"]["type"]["enum"]
    ]
    not_stated = {"if": {"not": {"required": ["type"]}}, "then": schema["allOf"][0]["then"]}
    schema["allOf"].append(not_stated)


def _goals(parts: Schema) -> None:
    kpis, own, assumption = (parts[name] for name in ("Kpis", "OwnKpi", "Assumption"))
    for name in ("min_success_rate", "max_error_rate"):
        kpis["properties"][name].update(minimum=0, maximum=1)
    kpis["properties"]["max_duration_seconds"].update(exclusiveMinimum=0)
    own["properties"]["value"].update(type="string", pattern=_ONE_EXPRESSION)
    own["anyOf"] = [{"required": [name]} for name in ("min", "max", "equals")]
    assumption["properties"]["check"].update(pattern=_ONE_EXPRESSION)
    assumption["oneOf"] = [{"required": [name]} for name in ("attested", "check", "probe")]


def _schedule(schema: Schema) -> None:
    """Five fields, or a name for them."""
    names = "|".join(NICKNAMES)
    schema["properties"]["cron"].update(type="string", pattern=rf"^\s*({names}|[^@\s]\S*(\s+\S+){{4}})\s*$")


def _tolerances(parts: Schema) -> None:
    """Each has one of four rules; what tolerates nothing is refused."""
    tolerance, numeric = parts["Tolerance"], parts["Numeric"]
    keys = tolerance["properties"]
    keys["path"].update(type="string", pattern=r"^\s*\$")
    told = keys["ignore"]["description"]
    keys["ignore"] = {"const": True, "description": told}
    told = keys["unordered"]["description"]
    key = {"type": ["string", "number"], "pattern": r"\S"}
    keys["unordered"] = {"anyOf": [{"const": True}, key], "description": told}
    tolerance["oneOf"] = [{"required": [name]} for name in ("ignore", "any", "numeric", "unordered")]
    numeric["anyOf"] = [{"required": [name]} for name in ("abs", "rel")]


def _steps(parts: Schema, step_types: Mapping[str, StepType[Any]]) -> None:
    keys = parts["Step"]["properties"]
    keys["id"]["not"] = {"enum": [word for word in keyword.kwlist if word.islower()]}
    keys["depends_on"]["uniqueItems"] = True
    keys["when"]["pattern"] = _ONE_EXPRESSION
    keys["outputs"] = _named(keys["outputs"], {"not": _EXPRESSION}, besides=[])
    parts["Probe"]["properties"]["expect"].update(type="string", pattern=_ONE_EXPRESSION)
    failures = {"anyOf": [{"enum": sorted(ERROR_TYPES)}, {"type": "integer"}]}
    parts["Retry"]["properties"]["on"]["anyOf"][0]["items"] = failures
    rules = []
    for name, step_type in _usable(step_types):
        parts[f"{name}.inputs"] = inputs = _step_inputs(step_type, parts)
        then: Schema = {"properties": {"inputs": {"$ref": f"#/$defs/{name}.inputs"}}}
        if inputs.get("required"):
            then["required"] = ["inputs"]
        when = {"properties": {"type": {"const": name}}, "required": ["type"]}
        rules.append({"if": when, "then": then})
    for part in (parts["Step"], parts["Probe"]):
        told = part["properties"]["type"]["description"]
        part["properties"]["type"] = {"enum": list(step_types), "description": told}
        part["allOf"] = rules


def _usable(step_types: Mapping[str, StepType[Any]]) -> Iterator[tuple[str, StepType[Any]]]:
    """The step types that can be loaded; of another, the name is all that is known."""
    for name in step_types:
        with suppress(StepTypeError):
            yield name, step_types[name]


def _step_inputs(step_type: StepType[Any], parts: Schema) -> Schema:
    """The inputs of a step type, each value also as an expression; its own parts go to `parts`."""
    schema = _of_model(step_type.config)
    _patterns(schema, step_type.config, schema.get("$defs"))
    for name, part in schema.pop("$defs", {}).items():
        parts[f"{step_type.name}.{name}"] = _with_expressions(_renamed(part, step_type.name))
    schema = _renamed(schema, step_type.name)
    for name, field in schema["properties"].items():
        if step_type.is_secret((name,)):
            field.update(type=["string", "null"], description="A secret: ${NAME}, or text with it.")
        elif step_type.is_expression((name,)):
            field.update(type="string", pattern=_ONE_EXPRESSION)
        elif step_type.is_file((name,)):
            field.setdefault("description", "A file beside the runbook.")
    schema.pop("title", None)
    return _inside(schema)


def _renamed(schema: Any, owner: str) -> Any:
    """`schema` with its references to parts of its own pointing to where they are kept."""
    match schema:
        case {"$ref": str(ref), **rest}:
            name = ref.removeprefix("#/$defs/")
            return {"$ref": f"#/$defs/{owner}.{name}", **rest}
        case dict():
            return {key: _renamed(item, owner) for key, item in schema.items()}
        case list():
            return [_renamed(item, owner) for item in schema]
        case _:
            return schema


def _with_expressions(schema: Any) -> Any:
    """`schema`, or a text with an expression in it; and so for all that is inside."""
    if not isinstance(schema, dict) or _takes_any_text(schema):
        return schema
    schema = _inside(schema)
    about = {key: schema.pop(key) for key in ("description", "default", "title") if key in schema}
    options = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    return {**about, "anyOf": [*options, _EXPRESSION]}


def _inside(schema: Schema) -> Schema:
    """`schema` with expressions allowed for what it holds, but not for itself."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {key: _with_expressions(item) for key, item in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            schema[key] = _with_expressions(schema[key])
    if "anyOf" in schema:
        schema["anyOf"] = [_inside(option) for option in schema["anyOf"]]
    return schema


def _takes_any_text(schema: Schema) -> bool:
    if not {"type", "anyOf", "allOf", "oneOf", "$ref", "enum", "const"} & schema.keys():
        return True
    if any(_takes_any_text(option) for option in schema.get("anyOf", ())):
        return True
    free = not {"pattern", "minLength", "maxLength", "enum", "const", "format"} & schema.keys()
    return "string" in schema.get("type", ()) and free
