"""What a step type is: a name, the inputs it takes, and how it is run through the gate."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from step_ops.errors import ErrorType, StepError
from step_ops.secrets import Secret

if TYPE_CHECKING:
    from step_ops.gate import Gate

Location = tuple[str | int, ...]
InputProblem = tuple[Location, Literal["unknown", "missing", "wrong"], str]

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"})


class Mark(StrEnum):
    """What a field is, beyond its type."""

    SECRET = "secret"  # noqa: S105 - a name, not a value
    FILE = "file"
    HEADERS = "headers"


def _as_text(value: Any) -> Any:
    """A number from a YAML file as the text it was written as."""
    return getattr(value, "text", value)


def _text_or_secret(value: Any) -> Any:
    if value is None or isinstance(value, str | Secret):
        return value
    raise ValueError("should be text or a secret")


Text = Annotated[str, BeforeValidator(_as_text)]
SecretText = Annotated[Any, BeforeValidator(_text_or_secret), Mark.SECRET]
FileName = Annotated[Text, Mark.FILE]
Headers = Annotated[dict[str, Any], Mark.HEADERS]


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
        return tuple(field.alias or name for name, field in self.config.model_fields.items())

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
            self.config.model_validate(inputs)
        except ValidationError as error:
            yield from _problems(error, self.name)

    def is_secret(self, location: Location) -> bool:
        """Whether a name at this place of the inputs is the name of a secret."""
        if len(location) == 1:
            return location[0] in self._marked[Mark.SECRET]
        return (
            len(location) == 2
            and location[0] in self._marked[Mark.HEADERS]
            and str(location[1]).lower() in SECRET_HEADERS
        )

    def is_file(self, location: Location) -> bool:
        """Whether the text at this place of the inputs may name a file beside the runbook."""
        return len(location) == 1 and location[0] in self._marked[Mark.FILE]

    @cached_property
    def _marked(self) -> dict[Mark, frozenset[str]]:
        fields = self.config.model_fields.items()
        return {
            mark: frozenset(
                field.alias or name
                for name, field in fields
                if mark in _marks(field.metadata, field.annotation)
            )
            for mark in Mark
        }


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
            case _:
                message = item["msg"].removeprefix("Value error, ")
                prefix = f"input {name!r}: " if name else ""
                yield location, "wrong", prefix + message[:1].lower() + message[1:]
