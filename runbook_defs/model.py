"""The shape of a runbook: plain, frozen data, with unknown keys refused."""

import keyword
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

ID = r"[a-z0-9]+(-[a-z0-9]+)*"
STEP_ID = r"[a-z][a-z0-9_]*"
VERSION = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+][0-9A-Za-z.+-]+)?"
NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# A job of Dagster's has the id for its name, and must not be called like a word of Python or one of these.
_RESERVED = {
    *keyword.kwlist,
    *("arg_dict", "bool", "conf", "config", "context", "dict", "float", "input", "input_arg_dict", "int"),
    *("meta", "output", "output_arg_dict", "str", "type"),
}
_NOT_RESERVED = {"not": {"enum": sorted(word.replace("_", "-") for word in _RESERVED)}}


def as_written(value: Any) -> Any:
    """A number from a YAML file as the text it was written as."""
    return getattr(value, "text", value)


Text = Annotated[str, BeforeValidator(as_written)]
Filled = Annotated[str, BeforeValidator(as_written), StringConstraints(strip_whitespace=True, min_length=1)]
Number = Annotated[float, Strict()]
Count = Annotated[int, Strict(), Field(ge=1)]
Flag = Annotated[bool, Strict()]
Seconds = Annotated[float, Strict(), Field(gt=0)]


class OnFailure(StrEnum):
    """What a failed step does to the execution."""

    ABORT = "abort"
    LOG_AND_CONTINUE = "log_and_continue"
    ROLLBACK = "rollback"


class Effect(StrEnum):
    """Whether a step changes the world."""

    READ = "read"
    WRITE = "write"


class Backoff(StrEnum):
    """How the wait between attempts grows: d, d, d; d, 2d, 3d; or d, 2d, 4d."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Part(BaseModel):
    """A part of a runbook."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(Part):
    """A value the caller gives."""

    type: Literal["string", "integer", "number", "boolean", "list", "object"] = "string"
    default: Any = None
    required: Flag | None = None
    sensitive: Flag = False
    description: Text = ""

    @field_validator("default")
    @classmethod
    def _of_its_type(cls, default: Any, info: ValidationInfo) -> Any:
        return as_written(default) if info.data.get("type") == "string" else default

    @property
    def is_required(self) -> bool:
        """Whether a run without it is refused: as stated, else when there is no default."""
        if self.required is not None:
            return self.required
        return "default" not in self.model_fields_set


class Probe(Part):
    """A question to the world before step one; `expect` is an expression over its `response`."""

    type: Filled
    inputs: dict[str, Any] = {}
    expect: Filled


class Assumption(Part):
    """Something that must hold before step one: attested by whoever starts the run, checked, or asked for."""

    id: Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
    description: Text = ""
    attested: Flag | None = None
    check: Filled | None = None
    probe: Probe | None = None


class OwnKpi(Part):
    """A key figure of the runbook's own, with inclusive limits."""

    value: Filled
    min: Number | None = None
    max: Number | None = None
    equals: Any = None
    unit: Text = ""


class Kpis(BaseModel):
    """How well the runbook must go: three figures every runbook has, and its own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, OwnKpi]

    max_duration_seconds: Number | None = None
    min_success_rate: Number | None = None
    max_error_rate: Number | None = None

    @property
    def own(self) -> dict[str, OwnKpi]:
        """The runbook's own figures, in the order written."""
        return self.__pydantic_extra__ or {}


class Retry(Part):
    """Attempts in all, the wait between them in seconds, and which failures are tried again.

    `jitter` is the share of the wait, 0 to 1, by which chance may shorten or lengthen it; `on` lists
    error types and HTTP statuses, without it those that may pass by themselves.
    """

    max_attempts: Annotated[int, Strict(), Field(ge=1, le=100)]
    backoff: Backoff = Backoff.CONSTANT
    delay_seconds: Annotated[float, Strict(), Field(ge=0, le=86_400)] = 1.0
    max_delay_seconds: Annotated[float, Strict(), Field(ge=0, le=86_400)] = 300.0
    jitter: Annotated[float, Strict(), Field(ge=0, le=1)] = 0.0
    on: list[str | int] | None = None


class Defaults(Part):
    """What every step has that does not say otherwise."""

    on_failure: OnFailure | None = None
    retry: Retry | None = None
    timeout_seconds: Seconds | None = None


class Step(Part):
    """One node of the graph."""

    id: Annotated[str, StringConstraints(pattern=rf"^{STEP_ID}$")]
    type: Filled
    description: Text = ""
    depends_on: list[Text] = []
    when: Filled | None = None
    for_each: Any = None
    max_parallel: Count | None = None
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    on_failure: OnFailure = OnFailure.ABORT
    retry: Retry | None = None
    timeout_seconds: Seconds | None = None
    rollback: dict[str, Any] | None = None
    effect: Effect | None = None
    summary: Text | None = None


class Compared(StrEnum):
    """What of a step a replay compares."""

    REQUEST = "request"
    RESPONSE = "response"
    INPUTS = "inputs"
    OUTPUTS = "outputs"


class Likeness(StrEnum):
    """What both of two values must look like."""

    UUID = "uuid"
    TIMESTAMP = "timestamp"
    DIGITS = "digits"


class Numeric(Part):
    """How far apart two numbers may be: by `abs`, or by `rel`, a share of the larger one."""

    abs: Annotated[float, Strict(), Field(ge=0)] | None = None
    rel: Annotated[float, Strict(), Field(ge=0)] | None = None


def _true_or_key(value: Any) -> Any:
    text = as_written(value)
    if isinstance(value, bool) or (isinstance(text, str) and text.strip()):
        return text
    raise PydanticCustomError("true_or_key", "should be true or the name of a key")


class Tolerance(Part):
    """Differences that a replay allows: where, and by which one of four rules.

    `unordered` is true for lists that may be in any order, or the key by which their items are paired.
    """

    step: Filled | None = None
    parts: Annotated[list[Compared], Field(min_length=1)] | None = Field(default=None, alias="in")
    path: Filled
    ignore: Flag = False
    any: Likeness | None = None
    numeric: Numeric | None = None
    unordered: Annotated[bool | str, BeforeValidator(_true_or_key)] = False

    def __str__(self) -> str:
        """Such as `$..at: any timestamp, in response of ingest`."""
        where = [f"in {' and '.join(self.parts)}"] if self.parts else []
        where += [f"of {self.step}"] if self.step else []
        return f"{self.path}: {self._rule()}" + (f", {' '.join(where)}" if where else "")

    def _rule(self) -> str:
        if self.any:
            return f"any {self.any}"
        if self.numeric:
            limits = self.numeric.model_dump(exclude_none=True).items()
            return f"numeric, {' or '.join(f'{name} {limit:g}' for name, limit in limits)}"
        if self.unordered:
            return "unordered" if self.unordered is True else f"unordered, by {self.unordered}"
        return "ignored"


class Overlap(StrEnum):
    """What happens when a schedule fires while the run that it started before still goes on."""

    SKIP = "skip"
    QUEUE = "queue"


class Schedule(Part):
    """When a runbook runs by itself, and with which inputs."""

    cron: Filled
    timezone: Filled = "UTC"
    inputs: dict[str, Any] = {}
    overlap: Overlap = Overlap.SKIP


def _unreserved(value: str) -> str:
    if value.replace("-", "_") in _RESERVED:
        raise PydanticCustomError("reserved", "should be more than one word that Dagster keeps for itself")
    return value


class Runbook(Part):
    """An operational procedure: a graph of steps with its assumptions, legal basis and key figures."""

    id: Annotated[
        str,
        StringConstraints(pattern=rf"^{ID}$", max_length=80),
        AfterValidator(_unreserved),
        Field(json_schema_extra=_NOT_RESERVED),
    ]
    name: Filled
    version: Annotated[str, BeforeValidator(as_written), StringConstraints(pattern=rf"^{VERSION}$")]
    owner: Filled
    legal_basis: Filled
    description: Text = ""
    tags: list[Text] = []
    inputs: dict[Annotated[str, StringConstraints(pattern=rf"^{NAME}$")], Input] = {}
    assumptions: list[Assumption] = []
    kpis: Kpis = Field(default_factory=lambda: Kpis.model_validate({}))
    defaults: Defaults = Defaults()
    schedule: Schedule | None = None
    tolerances: list[Tolerance] = []
    steps: Annotated[list[Step], Field(min_length=1)]


def with_defaults(runbook: Runbook) -> Runbook:
    """The runbook with its `defaults` written into each step that does not say otherwise."""
    stated = {name: getattr(runbook.defaults, name) for name in runbook.defaults.model_fields_set}
    if not stated:
        return runbook
    steps = [
        step.model_copy(
            update={name: value for name, value in stated.items() if name not in step.model_fields_set}
        )
        for step in runbook.steps
    ]
    return runbook.model_copy(update={"steps": steps})


def normalized(data: dict[str, Any]) -> dict[str, Any]:
    """`data` with its short forms written out: an assumption `- name: true` gets an `id`."""
    assumptions = data.get("assumptions")
    if not isinstance(assumptions, list):
        return data
    return {**data, "assumptions": [_assumption(item) for item in assumptions]}


def _assumption(item: Any) -> Any:
    if isinstance(item, dict) and len(item) == 1 and "id" not in item:
        ((name, attested),) = item.items()
        return {"id": name, "attested": attested}
    if isinstance(item, str):
        return {"id": item, "attested": True}
    return item
