"""The original of a replay, as the execution that does it again sees it."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from runbook_defs.execution import Status, StepRecord, StepStatus
from runbook_defs.model import Runbook
from runbook_factory.replay.format_1 import seen_start
from runbook_factory.replay.recording import Recording
from runbook_factory.step_run import RecordedItems
from step_ops.errors import ErrorType
from step_ops.files import Folder
from step_ops.gate import TOOK_TOO_LONG, Mode
from step_ops.redaction import Redactor
from step_ops.replayed import Attempt, ReplayedWorld


@dataclass(frozen=True, kw_only=True)
class Original:
    """The recording that a replay is held against, and the definition that is run.

    With `redraws`, pages are drawn again from what they were made of. `live` asks the world, but not
    for the steps that are `answered` by the record.
    """

    recording: Recording
    runbook: Runbook
    definition: str
    files: Mapping[str, bytes]
    digest: str
    redraws: bool = True
    live: bool = False
    answered: frozenset[str] = frozenset()
    writes: bool = False  # whether it changes the world, and so has a name of its own there

    @property
    def id(self) -> str:
        """The id of the recorded execution."""
        return self.recording.record.id

    @cached_property
    def started_at(self) -> datetime:
        """When it started, as its steps saw it."""
        record = self.recording.record
        return record.clock or seen_start(record) or record.started_at

    @property
    def actor(self) -> str:
        """Who started it."""
        actor = self.recording.record.actor
        return actor.name if actor else "unknown"

    @property
    def lasted(self) -> float:
        """How long it took, in seconds on its own clock."""
        return self.recording.record.duration_seconds or 0.0

    @property
    def aborted(self) -> bool:
        """Whether it ended before all of its steps could run."""
        return self.recording.record.status is Status.ABORTED

    @property
    def stated(self) -> Mapping[str, bool] | None:
        """What the fixture of a recorded test stated of its assumptions; None of a live execution."""
        if self.recording.record.mode != Mode.TEST:
            return None
        return {item.id: item.met for item in self.recording.record.assumptions if item.how == "fixture"}

    @property
    def denied(self) -> tuple[str, ...]:
        """The assumptions that were denied by whoever started it."""
        found = self.recording.record.assumptions
        return tuple(item.id for item in found if item.how == "attested" and not item.met)

    def ran(self, step: str, attempt: int) -> bool:
        """Whether this attempt of the step began, or was skipped: not, when the execution ended before it."""
        recorded = self._attempt(step, attempt)
        return recorded is not None and recorded.status is not StepStatus.NOT_RUN

    def duration(self, step: str, attempt: int) -> float | None:
        """How long the execution had run, as this attempt of the step saw it."""
        recorded = self._attempt(step, attempt)
        if recorded is None:
            return None
        seen = [read["value"] for read in recorded.reads if read["name"] == "execution.duration"]
        return float(seen[0]) if seen else recorded.started_virtual

    def baseline(self, step: str, name: str) -> bytes | None:
        """The approved picture that the step was compared with."""
        reads = [read for each in self.recording.steps.get(step, ()) for read in each.reads]
        known = [read["value"] for read in reads if read["kind"] == "baseline" and read["name"] == name]
        return self.recording.bodies.get(known[0]) if known and known[0] else None

    def items(self, step: str, attempt: int) -> RecordedItems:
        """Which items of a `for_each` the recorded attempt did."""
        asked: dict[int, set[int]] = {}
        for each in self.recording.steps.get(step, ()):
            asked[each.attempt] = {said["item"] for said in each.exchanges if "item" in said}
        later = set().union(*(items for number, items in asked.items() if number > attempt))
        recorded = self._attempt(step, attempt)
        failure = (recorded.failure if recorded else None) or {}
        began = failure.get("began")
        return RecordedItems(
            began=None if began is None else frozenset(began),
            later=frozenset(later - asked.get(attempt, set())),
            failed=failure.get("item"),
        )

    def world(
        self,
        step: str,
        attempt: int,
        item: int | None,
        *,
        files: Folder,
        redactor: Redactor,
        cancelled: threading.Event,
    ) -> ReplayedWorld:
        """The world as the recorded attempt of the step, or of one item of it, saw it."""
        return ReplayedWorld(
            self._told(step, attempt, item),
            bodies=self.recording.bodies.__getitem__,
            files=files,
            redactor=redactor,
            cancelled=cancelled,
        )

    def _told(self, step: str, attempt: int, item: int | None) -> Attempt:
        name = step if item is None else f"{step}[{item}]"
        recorded = self._attempt(step, attempt)
        secrets = self.recording.secrets
        if recorded is None:
            return Attempt(step=name, started_at=self.started_at, secrets=secrets)
        return Attempt(
            step=name,
            started_at=recorded.started_at or self.started_at,
            exchanges=[said for said in recorded.exchanges if said.get("item") == item],
            reads=[read for read in recorded.reads if read.get("item") == item],
            secrets=secrets,
            overran=_overran(recorded, item),
            refused=_refused(recorded, item),
            redraws=self.redraws,
        )

    def _attempt(self, step: str, number: int) -> StepRecord | None:
        attempts = self.recording.steps.get(step, ())
        return next((each for each in attempts if each.attempt == number), None)


def _refused(step: StepRecord, item: int | None) -> str:
    """Why a recorded attempt got no secret; empty when it did not fail for that."""
    failure = step.failure or {}
    if failure.get("type") != ErrorType.SECRET or failure.get("item") != item:
        return ""
    message: str = failure["message"]
    return message if item is None else message.removeprefix(f"item {item}: ")


def _overran(step: StepRecord, item: int | None) -> float | None:
    """The seconds of a recorded attempt that ran into its timeout, None when it kept to it.

    Of a `for_each` one item says why the attempt failed; the record has a list of all that were late.
    """
    failure = step.failure
    if failure is None:
        return None
    if item is not None and "overran" in failure:
        return step.seconds if item in failure["overran"] else None
    late = TOOK_TOO_LONG in failure["message"] and failure.get("item") == item
    return step.seconds if late else None
