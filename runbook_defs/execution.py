"""What an execution is: plain data, the same for the log, the terminal and every other reader."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from runbook_defs.replay import ReplayReport


class Status(StrEnum):
    """How an execution stands."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    ABORTED = "aborted"


CANCELLED = "cancelled"  # the reason of an execution that was told to stop
PROBE = "assumptions."  # how the name of what an assumption asks begins, in records and cassettes


class StepStatus(StrEnum):
    """How a step stands; `unknown` is a step whose process was lost after its effect may have happened."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_RUN = "not_run"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who started an execution."""

    id: str
    name: str
    kind: str = "user"


@dataclass(frozen=True, kw_only=True)
class AssumptionResult:
    """Whether an assumption was met, how that is known, and why not."""

    id: str
    met: bool
    how: str  # attested, checked, probed, stated by the fixture
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class KpiResult:
    """A key figure beside its limit; `bound` is max, min or equals, or empty for a figure without one."""

    name: str
    value: Any
    bound: str = ""
    limit: Any = None
    met: bool = True
    unit: str = ""
    explanation: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One attempt of one step. `started_virtual` and `seconds` are on the clock of the mode."""

    step_id: str
    type: str
    status: StepStatus
    attempt: int = 1
    started_at: datetime | None = None
    completed_at: datetime | None = None
    started_virtual: float | None = None
    seconds: float = 0.0
    summary: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    errors: tuple[dict[str, Any], ...] = ()
    records: dict[str, int] | None = None
    pictures: tuple[dict[str, Any], ...] = ()
    exchanges: tuple[dict[str, Any], ...] = ()
    reads: tuple[dict[str, Any], ...] = ()

    @property
    def failure(self) -> dict[str, Any] | None:
        """The error that failed the step, if one did."""
        return next((error for error in self.errors if error.get("failed")), None)

    @property
    def retry_in(self) -> float | None:
        """Seconds until the next attempt, when this one failed and there is to be one."""
        return self.failure.get("retry_in") if self.failure else None


@dataclass(frozen=True, kw_only=True)
class ExecutionRecord:
    """One execution of a runbook, with its steps in the order of the definition.

    `probes` is what its assumptions asked the world; they are no steps of the runbook.
    """

    id: str
    runbook_id: str
    runbook_version: str
    mode: str
    status: Status
    started_at: datetime
    clock: datetime | None = None  # when it started, as its steps saw it
    completed_at: datetime | None = None
    actor: Actor | None = None
    reason: str = ""
    duration_seconds: float | None = None
    assumptions: tuple[AssumptionResult, ...] = ()
    kpis: tuple[KpiResult, ...] = ()
    measures: dict[str, float] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)  # the pseudonym of each that was read
    definition_digest: str | None = None
    parent_id: str | None = None  # of a replay, what it replays
    replay: dict[str, Any] | None = None  # of a replay, its verdict and how it came to it
    format_version: int | None = None
    steps: tuple[StepRecord, ...] = ()
    probes: tuple[StepRecord, ...] = ()

    @property
    def short_name(self) -> str:
        """Such as exec-2025-11-29-abc123."""
        return short_name(self.id, self.started_at)


def short_name(execution_id: str, started_at: datetime) -> str:
    """The name people use for an execution: its date and the first six characters of its id."""
    return f"exec-{started_at:%Y-%m-%d}-{execution_id[:6]}"


# What happens while an execution runs, in the order it happens.


@dataclass(frozen=True, kw_only=True)
class AssumptionChecked:
    """An assumption was looked at."""

    result: AssumptionResult


@dataclass(frozen=True, kw_only=True)
class StepStarted:
    """A step began."""

    step_id: str
    type: str


@dataclass(frozen=True, kw_only=True)
class StepFinished:
    """A step ended, was skipped, or will not run."""

    record: StepRecord


@dataclass(frozen=True, kw_only=True)
class ExecutionFinished:
    """The execution has its verdict; a replay has been held against its original."""

    record: ExecutionRecord
    report: ReplayReport | None = None


Event = AssumptionChecked | StepStarted | StepFinished | ExecutionFinished
