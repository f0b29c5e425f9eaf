"""What a replay found: its verdict, each step with what deviated and why, as plain data."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

REPORT_FORMAT = 1


class Verdict(StrEnum):
    """The answer to one question: would this do the same again?"""

    VERIFIED = "verified"
    DEVIATED = "deviated"
    NOT_REPLAYABLE = "not_replayable"


class Cause(StrEnum):
    """Why a step deviated: each has one cause, the first of these that applies; or it only follows from
    another step that did.
    """

    DEFINITION = "definition"  # the runbook, or a file beside it, is another
    AVAILABILITY = "availability"  # the other side gave no answer, or gives one now
    SCHEMA = "schema"  # its answer is built another way
    DATA = "data"  # its answer is built the same way and says something else
    TIMING = "timing"  # it took too long
    ENVIRONMENT = "environment"  # asked and answered the same, this program made something else of it
    DOWNSTREAM = "downstream"


class Part(StrEnum):
    """What of a step differs."""

    PATH = "path"  # whether it ran, how often it was tried, how it ended
    INPUTS = "inputs"
    REQUEST = "request"
    CALL = "call"  # one more, or one less
    UNRECORDED = "unrecorded"  # one more, to which no answer is recorded
    RESPONSE = "response"
    OUTPUTS = "outputs"
    PICTURE = "picture"
    KPI = "kpi"
    STATUS = "status"


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One thing that is not as it was, in a sentence, and where exactly it differs."""

    part: Part
    what: str
    details: tuple[str, ...] = ()
    cause: Cause | None = None  # what it points to by itself


@dataclass(frozen=True, kw_only=True)
class Screenshot:
    """A picture taken again; `change` is the share of pixels that differ, 0 to 1, None if not drawn again."""

    name: str
    change: float | None
    diff_path: str | None = None


@dataclass(frozen=True, kw_only=True)
class StepComparison:
    """A step beside its original. `because` is the evidence for the cause; `outputs` names them, ids and
    times apart, by a digest.
    """

    step: str
    status: str
    summary: str = ""
    attempts: int = 1
    exchanges: int = 0
    outputs: str = ""
    screenshots: tuple[Screenshot, ...] = ()
    cause: Cause | None = None
    follows: str = ""  # the step it is downstream of
    because: tuple[str, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    answered: bool = False  # in a live replay: by the record, not by the world


@dataclass(frozen=True, kw_only=True)
class Tolerated:
    """A tolerance of the runbook, and how many differences it took away."""

    rule: str
    fired: int


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """The outcome of a replay; `at` is the step it deviated at, `reason` why there is no verdict."""

    verdict: Verdict
    runbook: str
    version: str
    live: bool = False
    at: str = ""
    reason: str = ""
    status: str = ""
    steps: tuple[StepComparison, ...] = ()
    deviations: tuple[Deviation, ...] = ()  # of the execution as a whole
    cause: Cause | None = None  # of those
    kpis: dict[str, bool] = field(default_factory=dict)
    exchanges: int = 0  # told again, or asked again
    recorded: int = 0
    ids: int = 0
    times: int = 0
    tolerances: tuple[Tolerated, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The report as data without ids and times of its own: the same for every replay that finds the
        same.
        """
        parts = asdict(self)
        del parts["notes"]
        return {"format": REPORT_FORMAT, **parts}
