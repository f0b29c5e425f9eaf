"""One execution of a runbook: what it was asked, how its steps stand, and its verdict."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from runbook_defs.execution import (
    CANCELLED,
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
from runbook_defs.replay import ReplayReport
from runbook_defs.templates import compile_template
from runbook_factory.assumptions import check_assumptions
from runbook_factory.audit.executions import end_of
from runbook_factory.bodies import Bodies
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.failures import described
from runbook_factory.leases import Lease
from runbook_factory.recorder import Recorder, fingerprint
from runbook_factory.replay.comparison import compare
from runbook_factory.replay.original import Original
from runbook_factory.request import RunRequest
from runbook_factory.shelf import ExecutionShelf, baseline_of
from runbook_factory.step_run import Piece, StepRun, expression_reads
from step_ops.cassette import Cassette
from step_ops.connections import Connections
from step_ops.files import Folder
from step_ops.gate import Gate, Mode, Read, World
from step_ops.live import LiveWorld
from step_ops.offline import network_closed
from step_ops.playback import Playback
from step_ops.recording import record_read
from step_ops.redaction import Redactor
from step_ops.secrets import Secret, SecretProvider
from step_ops.step_type import Effect

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
    lease: Lease | None
    clock: datetime  # when it starts, as its steps see it
    original: Original | None = None  # of a replay, what it does again
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancelled: threading.Event = field(default_factory=threading.Event)
    records: dict[str, StepRecord] = field(default_factory=dict)
    attempts: list[StepRecord] = field(default_factory=list)
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
        """Whether it runs in real time."""
        return self.request.asks_the_world

    def emit(self, event: Event) -> None:
        """Tells whoever listens in this process."""
        events = listener.get()
        if events is not None:
            events.append(event)

    def check_assumptions(self) -> None:
        """Looks at every assumption; raises `Aborted` when one is not met."""
        told = self.original
        stated = self.cassette.fixture.assumptions if self.cassette else told.stated if told else None
        found = check_assumptions(
            self.runbook.runbook.assumptions,
            deny=told.denied if told else self.request.deny,
            stated=stated,
            actor=told.actor if told else self.actor.name,
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
        gate = self._step_gate(step, None, self.ready, 1)
        scope = self._scope(duration=self._duration(step, gate, self.ready, 1), gate=gate)
        run = self._run_of(step, position=position, attempt=1, begins=self.ready)
        with self._network(step):
            record, outputs = run.run(gate, scope)
        self.probes.append(record)
        self.attempts.append(record)
        self.ready += record.seconds
        return record, outputs["response"]

    def run_step(self, step_id: str, *, attempt: int) -> StepRecord:
        """Runs one attempt of a step, or skips it."""
        position, step = self.runbook.steps[step_id]
        begins = self.resumes.get(
            step.id, max((self.ends.get(up, 0.0) for up in step.depends_on), default=self.ready)
        )
        self.emit(StepStarted(step_id=step.id, type=step.type))
        gate = self._step_gate(step, None, begins, attempt)
        duration = self._duration(step, gate, begins, attempt)
        scope = self._scope(duration=duration, gate=gate)
        record = self._skipped(step, scope, gate, attempt, begins)
        if record is None:
            run = self._run_of(step, position=position, attempt=attempt, begins=begins)
            with self._network(step):
                record, outputs = run.run(gate, scope)
            self.measures.update(run.measures)
        else:
            outputs = dict.fromkeys(step.outputs)
            self.recorder.begin_step(record, position=position, effect=Effect.READ)
            self.recorder.finish_step(record, Bodies())
        self.records[step.id] = record
        self.attempts.append(record)
        self.views[step.id] = {"outputs": outputs, "status": record.status.value}
        self.ends[step.id] = begins + record.seconds
        self.resumes[step.id] = self.ends[step.id] + (record.retry_in or 0.0)
        self.emit(StepFinished(record=record))
        return record

    def _run_of(self, step: Step, *, position: int, attempt: int, begins: float) -> StepRun:
        original = self.original
        return StepRun(
            step=step,
            step_type=self.runbook.step_types[step.id],
            templates=self.runbook.templates[step.id],
            secrets=frozenset(self.runbook.checked.uses.secrets),
            gate_for=lambda item, later: self._step_gate(step, item, begins + later, attempt),
            recorder=self.recorder,
            redactor=self.redactor,
            position=position,
            attempt=attempt,
            begins=None if self.is_live else begins,
            done=self.items.setdefault(step.id, {}),
            recorded=original.items(step.id, attempt) if original and self._from_record(step) else None,
        )

    def finish(self, *, reason: str = "") -> ExecutionRecord:
        """Gives the verdict and notes it; `reason` says why the execution ended early, if it did."""
        reached = set(self.records)
        self._pass_over_the_rest()
        record = self._record(reason)
        unreached = [
            (position, step) for position, step in enumerate(record.steps) if step.step_id not in reached
        ]
        report = None
        if self.original is not None and reason != CANCELLED:
            report = self._held_against(self.original, record)
            record = replace(record, replay=report.as_json(), parent_id=self.original.id)
        try:
            entry = end_of(self.runbook, self.request, record)
            self.recorder.finish(record, unreached=unreached, entry=entry)
        finally:
            if self.lease is not None:
                self.lease.release()
        self.emit(ExecutionFinished(record=record, report=report))
        return record

    def _pass_over_the_rest(self) -> None:
        """Gives each step that did not begin its record."""
        for step in self.runbook.runbook.steps:
            if step.id not in self.records:
                missed = StepRecord(step_id=step.id, type=step.type, status=StepStatus.NOT_RUN)
                self.records[step.id] = missed
                self.emit(StepFinished(record=missed))

    def _record(self, reason: str) -> ExecutionRecord:
        """The record as it ends here, with nothing secret in it."""
        steps = tuple(self.records[step.id] for step in self.runbook.runbook.steps)
        duration = round(self._elapsed(), 6)
        status, reason, kpis = self._verdict(reason, steps, duration)
        return ExecutionRecord(
            id=self.id,
            runbook_id=self.runbook.id,
            runbook_version=self.runbook.runbook.version,
            mode=self.request.mode.value,
            status=status,
            started_at=self.started_at,
            clock=self.clock,
            completed_at=datetime.now(UTC),
            actor=self.actor,
            reason=self.redactor.text(reason),
            duration_seconds=duration,
            assumptions=self.assumptions,
            kpis=tuple(self._masked(kpi) for kpi in kpis),
            measures=self.redactor.data(self.measures),
            inputs=self.redactor.data(dict(self.inputs)),
            environment=dict(fingerprint()),
            secrets=self._pseudonyms(),
            steps=steps,
            probes=tuple(self.probes),
        )

    def _verdict(
        self, reason: str, steps: tuple[StepRecord, ...], duration: float
    ) -> tuple[Status, str, tuple[KpiResult, ...]]:
        """How it ended, why, and its key figures, which one that ended early has none of."""
        if reason:
            return Status.ABORTED, reason, ()
        limits, scope = self.runbook.runbook.kpis, self._scope(duration=duration)
        kpis = evaluate_kpis(limits, steps=steps, duration=duration, scope=scope)
        missed = self._shortfall(kpis)
        return Status.FAILURE if missed else Status.SUCCESS, missed, kpis

    def _held_against(self, original: Original, record: ExecutionRecord) -> ReplayReport:
        """What a replay did otherwise than its original."""
        return compare(
            original,
            record,
            self.attempts,
            bodies=self.recorder.bodies,
            keep=lambda step, name, data: self._shelf(step).keep(f"{name}-replay-diff.png", data),
        )

    def _masked(self, kpi: KpiResult) -> KpiResult:
        """The figure as readers may see it: what steps got may be a secret, in text and in digits."""
        shown = self.redactor.data([kpi.value, list(kpi.explanation)])
        return replace(kpi, value=shown[0], explanation=tuple(shown[1]))

    def _pseudonyms(self) -> dict[str, str]:
        """What stands for each secret that was read, and for each sensitive input."""
        given = {
            name: self.redactor.pseudonym(name, value.reveal())
            for name, value in self.inputs.items()
            if isinstance(value, Secret)
        }
        reads = (read for attempt in self.attempts for read in attempt.reads)
        return given | {read["name"]: read["value"] for read in reads if read["kind"] == "secret"}

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
        if self.original is not None:
            return self.original.lasted
        return max(self.ends.values(), default=self.ready)

    def gate(
        self, key: str, world: World, *, effect: Effect = Effect.READ, timeout: float | None = None
    ) -> Gate:
        """A gate of this execution. `key` is what a cassette calls it: `step`, `step[0]`."""
        return Gate(
            world,
            runbook=self.runbook.id,
            execution=self._told_id,
            redactor=self.redactor,
            shelf=self._shelf(key),
            effect=effect,
            timeout=timeout,
        )

    def _shelf(self, key: str) -> ExecutionShelf:
        return ExecutionShelf(
            self.runbook.project,
            execution_id=self.id,
            step_id=key,
            baseline=partial(self._baseline, key),
            writes=self.request.mode is not Mode.BACKTEST,
        )

    def _baseline(self, key: str, name: str) -> bytes | None:
        if self.original is not None:
            return self.original.baseline(key.partition("[")[0], name)
        named = self.request.cassette.baselines if self.request.cassette else {}
        return baseline_of(self.runbook.project.pack(self.runbook.id), named, name)

    def _step_gate(self, step: Step, item: int | None, begins: float, attempt: int) -> Gate:
        key = step.id if item is None else f"{step.id}[{item}]"
        # What the items take is theirs: the timeout holds for each of them, not for their sum.
        own = item is not None or step.for_each is None
        timeout = step.timeout_seconds if own else None
        world = self._world(step, key, item, begins, attempt)
        return self.gate(key, world, effect=self.runbook.effect(step), timeout=timeout)

    def _world(self, step: Step, key: str, item: int | None, begins: float, attempt: int) -> World:
        files = Folder(self.runbook.folder)
        if self.cassette is not None:
            return Playback(self.cassette, step=key, begins=begins, files=files)
        if self._from_record(step) and self.original is not None:
            return self.original.world(
                step.id, attempt, item, files=files, redactor=self.redactor, cancelled=self.cancelled
            )
        return LiveWorld(
            connections=self.connections, secrets=self.secrets, files=files, cancelled=self.cancelled
        )

    def _from_record(self, step: Step) -> bool:
        """Whether the step is answered by a record: in a live replay, only what would change the world."""
        replay = self.request.replay
        if replay is None or self.original is None:
            return False
        return not replay.live or not (replay.allow_writes or self.runbook.effect(step) is Effect.READ)

    def _network(self, step: Step) -> AbstractContextManager[None]:
        """The network as this step has it: closed, when a fixture or a record answers it."""
        answered = self.cassette is not None or self._from_record(step)
        return network_closed() if answered else nullcontext()

    def goes_on(self, step_id: str, *, attempt: int) -> bool | None:
        """In a replay, whether this attempt ran before the recorded end; None when that is open."""
        if self.original is None or self.is_live or not self.original.aborted:
            return None
        return self.original.ran(step_id, attempt)

    def _duration(self, step: Step, gate: Gate, begins: float, attempt: int) -> float:
        """Seconds since the start, as this step sees them: live and in a replay, a recorded read."""
        if not self.is_live and self.original is None:
            return begins
        seconds = round(time.monotonic() - self._began, 6)
        if self.original is not None and not self.is_live:
            seconds = self.original.duration(step.id, attempt) or 0.0
        templates = self.runbook.templates[step.id].values()
        names = {path for item in templates for found in item.found for path in found.expression.names}
        elsewhere = "".join(str(part) for part in (step.when, step.for_each, step.summary))
        if ("execution", "duration") in names or "execution" in elsewhere:
            gate.reads.append(Read(kind="clock", name="execution.duration", value=seconds))
        return seconds

    @property
    def _told_id(self) -> str:
        """The id that steps see: in a replay that of the original, unless it writes under its own."""
        return self.original.id if self.original is not None and not self.original.writes else self.id

    def _scope(self, *, duration: float, gate: Gate | None = None) -> dict[str, Any]:
        about = {
            "id": self._told_id,
            "started_at": self.clock.isoformat(),
            "duration": duration,
            "actor": self.original.actor if self.original else self.actor.name,
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
        self, step: Step, scope: Mapping[str, Any], gate: Gate, attempt: int, begins: float
    ) -> StepRecord | None:
        """The record of a step that is not to run: its `when` is false, or what it needs was skipped."""
        why = ""
        failure: dict[str, Any] | None = None
        if step.when is not None:
            condition = compile_template(step.when)
            try:
                if not condition.render(scope):
                    why = "its `when` is false"
                gate.reads.extend(expression_reads(condition, scope))
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
            reads=tuple(record_read(read, redactor=self.redactor) for read in gate.reads),
        )


def aborts(step: Step, record: StepRecord) -> bool:
    """Whether this end of a step ends the execution."""
    return record.status is StepStatus.FAILED and step.on_failure is not OnFailure.LOG_AND_CONTINUE
