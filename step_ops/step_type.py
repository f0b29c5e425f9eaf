"""What a step type is: a name, the inputs it takes, and how it is run through the gate."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo

from step_ops.condition import Condition
from step_ops.errors import ErrorType, StepError
from step_ops.secrets import Secret

if TYPE_CHECKING:
    from step_ops.gate import Gate

Location = tuple[str | int, ...]
InputProblem = tuple[Location, Literal["unknown", "missing", "wrong", "fixed"], str]

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"})


class Mark(StrEnum):
    """What a field is, beyond its type."""

    SECRET = "secret"  # noqa: S105 - a name, not a value
    FILE = "file"
    HEADERS = "headers"
    EXPRESSION = "expression"


def _as_text(value: Any) -> Any:
    """A number from a YAML file as the text it was written as."""
    return getattr(value, "text", value)


def _text_or_secret(value: Any) -> Any:
    if value is None or isinstance(value, str | Secret):
        return value
    raise ValueError("should be text or a secret")


# How `input_problems` says to a validator that expressions still stand there as their text.
_AS_WRITTEN = {"as_written": True}


def _condition(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, Condition) or (isinstance(value, str) and info.context == _AS_WRITTEN):
        return value
    raise ValueError('should be an expression: "${...}"')


Text = Annotated[str, BeforeValidator(_as_text)]
SecretText = Annotated[Any, BeforeValidator(_text_or_secret), Mark.SECRET]
FileName = Annotated[Text, Mark.FILE]
Headers = Annotated[dict[str, Any], Mark.HEADERS]
# In a config a `Condition`, which the step evaluates itself.
ExpressionField = Annotated[Any, BeforeValidator(_condition), Mark.EXPRESSION]


class StepConfig(BaseModel):
    """The inputs of a step type; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Effect(StrEnum):
    """Whether a step changes the world; `telemetry` tells of it and counts as reading."""

    READ = "read"
    WRITE = "write"
    TELEMETRY = "telemetry"


@dataclass(frozen=True, kw_only=True)
class Records:
    """How many records a step checked, for the rates among the KPIs."""

    checked: int
    passed: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a step found: JSON that outputs are taken from, and counts where it checked records.

    `errors` are findings that did not fail the step.
    """

    value: Any
    records: Records | None = None
    errors: tuple[dict[str, Any], ...] = ()


Config = TypeVar("Config", bound=StepConfig)


def _no_summary(result: Result, outputs: Mapping[str, Any]) -> str:
    return "done"


@dataclass(frozen=True, kw_only=True)
class StepType(Generic[Config]):
    """A kind of step. `reports` are JSONPaths of the result that its report line shows."""

    name: str
    config: type[Config]
    run: Callable[[Config, "Gate"], Result]
    effect: Effect | Callable[[Mapping[str, Any], str], Effect]
    summary: Callable[[Result, Mapping[str, Any]], str] = _no_summary
    reports: tuple[str, ...] = ()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs, as runbooks write them."""
        return self.names_at(())

    def names_at(self, location: Location) -> tuple[str, ...]:
        """The names that may stand in the mapping at this place of the inputs; none when it takes any."""
        config = self.config_at(location)
        return tuple(str(name) for name in _fields(config)) if config else ()

    def config_at(self, location: Location) -> type[StepConfig] | None:
        """The mapping of inputs at this place, if there is one."""
        return _config_at(self.config, location)

    def effect_of(self, inputs: Mapping[str, Any], query_text: str) -> Effect:
        """The effect of a step with these inputs; `query_text` is that of its query file, if it has one."""
        return self.effect if isinstance(self.effect, Effect) else self.effect(inputs, query_text)

    def parse(self, inputs: Mapping[str, Any]) -> Config:
        """The config for resolved inputs; raises `StepError` of type `config` naming all that is wrong."""
        try:
            return self.config.model_validate(inputs)
        except ValidationError as error:
            problems = "; ".join(message for _, _, message in _problems(error, self.name))
            raise StepError(ErrorType.CONFIG, problems) from None

    def input_problems(self, inputs: Mapping[str, Any]) -> Iterator[InputProblem]:
        """What is wrong with these inputs as they stand in the file."""
        try:
            self.config.model_validate(inputs, context=_AS_WRITTEN)
        except ValidationError as error:
            yield from _problems(error, self.name)

    def is_secret(self, location: Location) -> bool:
        """Whether a name at this place of the inputs is the name of a secret."""
        if Mark.SECRET in _marks_at(self.config, location):
            return True
        *place, header = location or ("",)
        return str(header).lower() in SECRET_HEADERS and Mark.HEADERS in _marks_at(self.config, tuple(place))

    def is_file(self, location: Location) -> bool:
        """Whether the text at this place of the inputs may name a file beside the runbook."""
        return Mark.FILE in _marks_at(self.config, location)

    def is_expression(self, location: Location) -> bool:
        """Whether at this place of the inputs stands an expression that the step evaluates itself."""
        return len(location) == 1 and Mark.EXPRESSION in _marks_at(self.config, location)


@lru_cache(maxsize=1024)
def _config_at(config: type[StepConfig], location: Location) -> type[StepConfig] | None:
    """The mapping of inputs at `location`, if there is one: `config`, or that of one of its fields."""
    if not location:
        return config
    field = _fields(config).get(location[0])
    annotation = field.annotation if field else None
    of_union = get_origin(annotation) in (Union, UnionType)
    for part in get_args(annotation) if of_union else (annotation,):
        if isinstance(part, type) and issubclass(part, StepConfig):
            return _config_at(part, location[1:])
    return None


def _fields(config: type[StepConfig]) -> dict[str | int, FieldInfo]:
    """The fields by the names that runbooks write."""
    return {field.alias or name: field for name, field in config.model_fields.items()}


@lru_cache(maxsize=1024)
def _marks_at(config: type[StepConfig], location: Location) -> frozenset[Mark]:
    """The marks on the field at `location`."""
    parent = _config_at(config, location[:-1]) if location else None
    field = _fields(parent).get(location[-1]) if parent else None
    return frozenset(_marks(field.metadata, field.annotation)) if field else frozenset()


def _marks(metadata: list[Any], annotation: Any) -> set[Mark]:
    """The marks on a field, also on the options of a union such as `FileName | None`."""
    found = {item for item in metadata if isinstance(item, Mark)}
    for option in getattr(annotation, "__args__", ()):
        found |= _marks(list(getattr(option, "__metadata__", ())), None)
    return found


def _problems(error: ValidationError, type_name: str) -> Iterator[InputProblem]:
    for item in error.errors(include_url=False, include_input=True):
        location: Location = tuple(item["loc"])
        name = ".".join(str(part) for part in location)
        match item["type"]:
            case "extra_forbidden":
                yield location, "unknown", f"{type_name} has no input {name!r}"
            case "missing":
                yield location, "missing", f"{type_name} needs the input {name!r}"
            case "fixed_text":  # a validator found an expression where there may be none
                yield location, "fixed", f"input {name!r}: {item['msg']}"
            case _:
                message = item["msg"].removeprefix("Value error, ")
                prefix = f"input {name!r}: " if name else ""
                yield location, "wrong", prefix + message[:1].lower() + message[1:]
