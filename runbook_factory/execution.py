"""One execution of a runbook: what it was asked, how its steps stand, and its verdict."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from runbook_defs.execution import (
    Actor,
    AssumptionChecked,
    AssumptionResult,
    Event,
    ExecutionFinished,
    ExecutionRecord,
    KpiResult,
    Status,
    StepFinished,
    StepRecord,
    StepStarted,
    StepStatus,
)
from runbook_defs.expressions import ExpressionError
from runbook_defs.kpis import evaluate_kpis
from runbook_defs.model import Assumption, OnFailure, Step
from runbook_defs.templates import compile_template
from runbook_factory.assumptions import check_assumptions
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.failures import described
from runbook_factory.leases import Lease
from runbook_factory.recorder import Recorder, fingerprint
from runbook_factory.request import RunRequest
from runbook_factory.shelf import ExecutionShelf
from runbook_factory.step_run import Piece, StepRun
from step_ops.cassette import Cassette
from step_ops.connections import Connections
from step_ops.files import Folder
from step_ops.gate import Gate, Mode, Read, World
from step_ops.live import LiveWorld
from step_ops.playback import Playback
from step_ops.redaction import Redactor
from step_ops.secrets import SecretProvider
from step_ops.step_type import Effect

# Set by the executor for the threads of one run, so that an op finds what it belongs to.
current_execution: ContextVar["Execution"] = ContextVar("current_execution")

# Whoever starts a run in this process may listen to it.
listener: ContextVar["deque[Event] | None"] = ContextVar("listener", default=None)


class Aborted(Exception):
    """The execution ends here; the message is its reason."""


@dataclass(kw_only=True)
class Execution:
    """A running execution. Steps run in threads; each touches only its own entries here."""

    id: str
    runbook: LoadedRunbook
    request: RunRequest
    actor: Actor
    inputs: Mapping[str, Any]
    cassette: Cassette | None
    connections: Connections
    secrets: SecretProvider
    recorder: Recorder
    redactor: Redactor
    lease: Lease
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancelled: threading.Event = field(default_factory=threading.Event)
    records: dict[str, StepRecord] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
    # What expressions see of steps: filled as they end, so that no step costs more for those before it.
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    assumptions: tuple[AssumptionResult, ...] = ()
    probes: list[StepRecord] = field(default_factory=list)
    ready: float = 0.0  # when the first step may begin, on the virtual clock: after the probes
    # When the next attempt of a step begins, and the items of its `for_each` that are done.
    resumes: dict[str, float] = field(default_factory=dict)
    items: dict[str, dict[int, Piece]] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    @property
    def is_live(self) -> bool:
        """Whether the world is the real one."""
        return self.request.mode is Mode.LIVE

    def emit(self, event: Event) -> None:
        """Tells whoever listens in this process."""
        events = listener.get()
        if events is not None:
            events.append(event)

    def check_assumptions(self) -> None:
        """Looks at every assumption; raises `Aborted` when one is not met."""
        stated = self.cassette.fixture.assumptions if self.cassette else None
        found = check_assumptions(
            self.runbook.runbook.assumptions,
            deny=self.request.deny,
            stated=stated,
            actor=self.actor.name,
            scope=self._scope(duration=0.0),
            ask=self._ask,
        )
        # A reason may quote what the world answered.
        self.assumptions = tuple(replace(item, reason=self.redactor.text(item.reason)) for item in found)
        for result in self.assumptions:
            self.emit(AssumptionChecked(result=result))
        unmet = [result for result in self.assumptions if not result.met]
        if unmet:
            raise Aborted("; ".join(f"assumption {item.id!r} is not met: {item.reason}" for item in unmet))

    def _ask(self, item: Assumption) -> tuple[StepRecord, Any]:
        """What the world answers to the probe of an assumption, after those before it."""
        step = self.runbook.probes[item.id]
        position = len(self.probes) - len(self.runbook.probes)  # before the first step, in order
        gate = self._step_gate(step, None, self.ready)
        scope = self._scope(duration=self._duration(step, gate, self.ready), gate=gate)
        run = self._run_of(step, position=position, attempt=1, begins=self.ready)
        record, outputs = run.run(gate, scope)
        self.probes.append(record)
        self.ready += record.seconds
        return record, outputs["response"]

    def run_step(self, step_id: str, *, attempt: int) -> StepRecord:
        """Runs one attempt of a step, or skips it."""
        position, step = self.runbook.steps[step_id]
        begins = self.resumes.get(
            step.id, max((self.ends.get(up, 0.0) for up in step.depends_on), default=self.ready)
        )
        self.emit(StepStarted(step_id=step.id, type=step.type))
        gate = self._step_gate(step, None, begins)
        duration = self._duration(step, gate, begins)
        scope = self._scope(duration=duration, gate=gate)
        record = self._skipped(step, scope, attempt, begins)
        if record is None:
            run = self._run_of(step, position=position, attempt=attempt, begins=begins)
            record, outputs = run.run(gate, scope)
            self.measures.update(run.measures)
        else:
            outputs = dict.fromkeys(step.outputs)
            self.recorder.begin_step(record, position=position)
            self.recorder.finish_step(record)
        self.records[step.id] = record
        self.views[step.id] = {"outputs": outputs, "status": record.status.value}
        self.ends[step.id] = begins + record.seconds
        self.resumes[step.id] = self.ends[step.id] + (record.retry_in or 0.0)
        self.emit(StepFinished(record=record))
        return record

    def _run_of(self, step: Step, *, position: int, attempt: int, begins: float) -> StepRun:
        return StepRun(
            step=step,
            step_type=self.runbook.step_types[step.id],
            templates=self.runbook.templates[step.id],
            secrets=frozenset(self.runbook.checked.uses.secrets),
            gate_for=lambda item, later: self._step_gate(step, item, begins + later),
            recorder=self.recorder,
            redactor=self.redactor,
            position=position,
            attempt=attempt,
            begins=None if self.is_live else begins,
            done=self.items.setdefault(step.id, {}),
        )

    def finish(self, *, reason: str = "") -> ExecutionRecord:
        """Gives the verdict and notes it; `reason` says why the execution ended early, if it did."""
        reached = set(self.records)
        for step in self.runbook.runbook.steps:
            if step.id not in reached:
                missed = StepRecord(step_id=step.id, type=step.type, status=StepStatus.NOT_RUN)
                self.records[step.id] = missed
                self.emit(StepFinished(record=missed))
        steps = [self.records[step.id] for step in self.runbook.runbook.steps]
        duration = round(self._elapsed(), 6)
        kpis: tuple[KpiResult, ...] = ()
        if not reason:
            kpis = evaluate_kpis(
                self.runbook.runbook.kpis,
                steps=steps,
                duration=duration,
                scope=self._scope(duration=duration),
            )
            reason = self._shortfall(kpis)
            status = Status.FAILURE if reason else Status.SUCCESS
        else:
            status = Status.ABORTED
        record = ExecutionRecord(
            id=self.id,
            runbook_id=self.runbook.id,
            runbook_version=self.runbook.runbook.version,
            mode=self.request.mode.value,
            status=status,
            started_at=self.started_at,
            completed_at=datetime.now(UTC),
            actor=self.actor,
            reason=self.redactor.text(reason),
            duration_seconds=duration,
            assumptions=self.assumptions,
            kpis=kpis,
            measures=dict(self.measures),
            inputs=self.redactor.data(dict(self.inputs)),
            environment=dict(fingerprint()),
            steps=tuple(steps),
            probes=tuple(self.probes),
        )
        unreached = [(position, step) for position, step in enumerate(steps) if step.step_id not in reached]
        self.recorder.finish(record, unreached=unreached)
        self.lease.release()
        self.emit(ExecutionFinished(record=record))
        return record

    def _shortfall(self, kpis: tuple[KpiResult, ...]) -> str:
        """Why an execution that ran to its end is not a success; empty when it is."""
        missed = [kpi.name for kpi in kpis if not kpi.met]
        if missed:
            return f"missed {'KPI' if len(missed) == 1 else 'KPIs'} {', '.join(missed)}"
        left = self.cassette.unused() if self.cassette else []
        return "; ".join(
            f"the fixture has {count} exchange{'s' if count > 1 else ''} for step {step!r} that nobody used"
            for step, count in left
        )

    def _elapsed(self) -> float:
        if self.is_live:
            return time.monotonic() - self._began
        return max(self.ends.values(), default=self.ready)

    def gate(
        self, key: str, *, begins: float, effect: Effect = Effect.READ, timeout: float | None = None
    ) -> Gate:
        """A gate of this execution. `key` is what a cassette calls it: `step`, `step[0]`."""
        files = Folder(self.runbook.folder)
        world: World
        if self.cassette is not None:
            world = Playback(self.cassette, step=key, begins=begins, files=files)
        else:
            world = LiveWorld(
                connections=self.connections,
                secrets=self.secrets,
                files=files,
                cancelled=self.cancelled,
            )
        baselines = self.request.cassette.baselines if self.request.cassette else {}
        shelf = ExecutionShelf(
            self.runbook.project,
            runbook_id=self.runbook.id,
            execution_id=self.id,
            step_id=key,
            baselines=baselines,
        )
        return Gate(
            world,
            runbook=self.runbook.id,
            execution=self.id,
            redactor=self.redactor,
            shelf=shelf,
            effect=effect,
            timeout=timeout,
        )

    def _step_gate(self, step: Step, item: int | None, begins: float) -> Gate:
        key = step.id if item is None else f"{step.id}[{item}]"
        # What the items take is theirs: the timeout holds for each of them, not for their sum.
        own = item is not None or step.for_each is None
        timeout = step.timeout_seconds if own else None
        return self.gate(key, begins=begins, effect=self.runbook.effect(step), timeout=timeout)

    def _duration(self, step: Step, gate: Gate, begins: float) -> float:
        """Seconds since the start, as this step sees them; live, a recorded read when it is used."""
        if not self.is_live:
            return begins
        seconds = round(time.monotonic() - self._began, 6)
        templates = self.runbook.templates[step.id].values()
        names = {path for item in templates for found in item.found for path in found.expression.names}
        if ("execution", "duration") in names:
            gate.reads.append(Read(kind="clock", name="execution.duration", value=seconds))
        return seconds

    def _scope(self, *, duration: float, gate: Gate | None = None) -> dict[str, Any]:
        about = {
            "id": self.id,
            "started_at": self.started_at.isoformat(),
            "duration": duration,
            "actor": self.actor.name,
        }
        scope: dict[str, Any] = {
            **self.inputs,
            "inputs": self.inputs,
            "steps": self.views,
            "execution": about,
        }
        if gate is not None:
            scope["secret"] = gate.secret
        return scope

    def _skipped(
        self, step: Step, scope: Mapping[str, Any], attempt: int, begins: float
    ) -> StepRecord | None:
        """The record of a step that is not to run: its `when` is false, or what it needs was skipped."""
        why = ""
        failure: dict[str, Any] | None = None
        if step.when is not None:
            try:
                if not compile_template(step.when).render(scope):
                    why = "its `when` is false"
            except ExpressionError as error:
                failure = described(error)
        else:
            skipped = [up for up in step.depends_on if self.records[up].status is StepStatus.SKIPPED]
            why = f"{skipped[0]!r} was skipped" if skipped else ""
        if not why and failure is None:
            return None
        now = datetime.now(UTC)
        return StepRecord(
            step_id=step.id,
            type=step.type,
            status=StepStatus.FAILED if failure else StepStatus.SKIPPED,
            attempt=attempt,
            started_at=now,
            completed_at=now,
            started_virtual=None if self.is_live else begins,
            summary=why,
            outputs=dict.fromkeys(step.outputs),
            errors=(failure,) if failure else (),
        )


def aborts(step: Step, record: StepRecord) -> bool:
    """Whether this end of a step ends the execution."""
    return record.status is StepStatus.FAILED and step.on_failure is not OnFailure.LOG_AND_CONTINUE
