"""A replay held against its original: each step, the whole, and the verdict."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from runbook_defs.alignment import alike
from runbook_defs.execution import PROBE, ExecutionRecord, KpiResult, Status, StepRecord
from runbook_defs.graph import levels, upstream
from runbook_defs.model import Tolerance
from runbook_defs.replay import (
    Cause,
    Deviation,
    Part,
    ReplayReport,
    StepComparison,
    Tolerated,
    Verdict,
)
from runbook_defs.symbols import Symbols, anonymous
from runbook_defs.tolerances import Tolerances
from runbook_factory.recorder import as_stored
from runbook_factory.replay.causes import Attribution, attribute
from runbook_factory.replay.definition_changes import changed_steps
from runbook_factory.replay.original import Original
from runbook_factory.replay.step_comparison import KeepDrawing, StepComparer, StepFacts, pages_differ

_DURATION = "max_duration_seconds"


def compare(
    original: Original,
    record: ExecutionRecord,
    attempts: Sequence[StepRecord],
    *,
    bodies: Mapping[str, bytes],
    keep: KeepDrawing,
) -> ReplayReport:
    """The report on the replay `record`; `attempts` are all of its steps', `bodies` what they kept."""
    return _Comparison(original, record, attempts, bodies, keep).report()


@dataclass
class _Comparison:
    original: Original
    record: ExecutionRecord
    attempts: Sequence[StepRecord]
    bodies: Mapping[str, bytes]
    keep: KeepDrawing

    @cached_property
    def symbols(self) -> Symbols:
        then, now = self.original.recording.record, self.record
        secrets = self.original.recording.secrets
        known = {before: now.secrets[name] for name, before in secrets.items() if name in now.secrets}
        if self.original.writes:
            known |= {then.id: now.id, **_starts(then, now)}
        return Symbols(known)

    @cached_property
    def tolerances(self) -> Tolerances:
        return Tolerances(self.rules)

    @property
    def rules(self) -> Sequence[Tolerance]:
        return self.original.runbook.tolerances

    @cached_property
    def replayed(self) -> dict[str, list[StepRecord]]:
        found: dict[str, list[StepRecord]] = {}
        attempts = [_stored(attempt) for attempt in self.attempts]
        if not self.original.writes and any(attempt.pictures for attempt in attempts):
            # Steps see the id of the original, but where its pictures lie each execution says itself.
            attempts = [_with_id(attempt, self.record.id, self.original.id) for attempt in attempts]
        for attempt in attempts:
            found.setdefault(attempt.step_id, []).append(attempt)
        for step in self.record.steps:  # those that never began
            found.setdefault(step.step_id, [step])
        return found

    @cached_property
    def edges(self) -> dict[str, list[str]]:
        return {step.id: list(step.depends_on) for step in self.original.runbook.steps}

    @cached_property
    def names(self) -> list[str]:
        """Every step of either side, as data flows: probes, the graph level by level, what is gone."""
        recorded = self.original.recording.steps
        probes = [name for name in dict.fromkeys([*recorded, *self.replayed]) if name.startswith(PROBE)]
        flow = [step for level in levels(self.edges) for step in level]
        return [*probes, *flow, *(name for name in recorded if name not in {*probes, *flow})]

    @cached_property
    def changed(self) -> dict[str, list[str]]:
        """What is different in the definition."""
        recording = self.original.recording
        if self.original.digest == recording.record.definition_digest:
            return {}
        return changed_steps(
            recording.definition,
            self.original.definition,
            files_before=recording.files,
            files_now=self.original.files,
        )

    def report(self) -> ReplayReport:
        names = dict.fromkeys(kpi.name for kpi in self.record.kpis)
        facts = self._facts()
        causes = self._causes(facts)
        steps = tuple(self._step(name, facts[name], causes.get(name)) for name in self._shown_order(facts))
        deviations, cause = self._of_the_whole(bool(causes))
        at, reason = self._place(steps, deviations), self._undrawn(facts)
        verdict = Verdict.DEVIATED if at else Verdict.NOT_REPLAYABLE if reason else Verdict.VERIFIED
        return ReplayReport(
            verdict=verdict,
            runbook=self.record.runbook_id,
            version=self.record.runbook_version,
            live=self.original.live,
            at=at,
            reason=reason if verdict is Verdict.NOT_REPLAYABLE else "",
            status=self.record.status.value,
            steps=steps,
            deviations=deviations,
            cause=cause,
            kpis={name: all(each.met for each in self.record.kpis if each.name == name) for name in names},
            exchanges=sum(len(each.exchanges) for each in self.attempts),
            recorded=sum(len(each.exchanges) for those in self._recorded.values() for each in those),
            ids=self.symbols.ids,
            times=self.symbols.times,
            tolerances=tuple(
                Tolerated(rule=str(rule), fired=fired)
                for rule, fired in zip(self.rules, self.tolerances.fired, strict=True)
            ),
            notes=tuple(self._notes()),
        )

    @property
    def _recorded(self) -> Mapping[str, list[StepRecord]]:
        return self.original.recording.steps

    def _facts(self) -> dict[str, StepFacts]:
        comparer = StepComparer(
            symbols=self.symbols,
            tolerances=self.tolerances,
            original_bodies=self.original.recording.bodies,
            replayed_bodies=self.bodies,
            keep=self.keep,
            live=self.original.live,
            redraws=self.original.redraws,
        )
        return {
            name: comparer.facts(self._recorded.get(name, ()), self.replayed.get(name, ()))
            for name in self.names
        }

    def _causes(self, facts: Mapping[str, StepFacts]) -> dict[str, Attribution]:
        probes = frozenset(name for name in facts if name.startswith(PROBE))
        above = {name: ups | probes for name, ups in upstream(self.edges).items()}
        changed = dict(self.changed)
        if "assumptions" in changed:
            changed |= dict.fromkeys(probes, changed["assumptions"])
        pages = {
            name: pages_differ(self._recorded[name][-1], self.replayed[name][-1])
            for name, each in facts.items()
            if any(item.part is Part.PICTURE for item in each.deviations)
        }
        return attribute(
            {name: each.deviations for name, each in facts.items()},
            upstream=above,
            changed=changed,
            environment=self._environment(facts),
            pages=pages,
        )

    def _environment(self, facts: Mapping[str, StepFacts]) -> list[str]:
        """What the two executions ran on that is not the same."""
        pairs = [(self.original.recording.record.environment, self.record.environment)]
        for name in facts:
            shots = zip(self._recorded.get(name, ()), self.replayed.get(name, ()), strict=False)
            pairs += [
                (before["fingerprint"], now["fingerprint"])
                for one, two in shots
                for before, now in zip(one.pictures, two.pictures, strict=False)
            ]
        return list(
            dict.fromkeys(
                f"{key} was {before.get(key, 'unknown')}, is {now[key]}"
                for before, now in pairs
                for key in now
                if key in before and before[key] != now[key]
            )
        )

    def _step(self, name: str, facts: StepFacts, cause: Attribution | None) -> StepComparison:
        attempts = self.replayed.get(name, [])
        last = attempts[-1] if attempts else None
        outputs = json.dumps(anonymous(last.outputs if last else None), sort_keys=True)
        return StepComparison(
            step=name,
            status=last.status.value if last else "gone",
            summary=last.summary if last else "",
            attempts=len(attempts),
            exchanges=sum(len(each.exchanges) for each in attempts),
            outputs=hashlib.sha256(outputs.encode()).hexdigest(),
            screenshots=facts.screenshots,
            cause=cause.cause if cause else None,
            follows=cause.follows if cause else "",
            because=cause.because if cause else (),
            deviations=facts.deviations,
            answered=self.original.live and name in self.original.answered,
        )

    def _shown_order(self, facts: Mapping[str, StepFacts]) -> list[str]:
        """Probes, then the steps as the definition has them, then those that are gone."""
        defined = [name for name in self.edges if name in facts]
        probes = [name for name in facts if name.startswith(PROBE)]
        return [*probes, *defined, *(name for name in facts if name not in {*probes, *defined})]

    def _of_the_whole(self, steps_deviate: bool) -> tuple[tuple[Deviation, ...], Cause | None]:
        """What is not as it was in the execution as a whole, and why."""
        found = [*self._assumptions(), *self._kpis()]
        before, now = self.original.recording.record.status, self.record.status
        if before is not now:
            reason = f" ({self.record.reason})" if self.record.reason else ""
            found.append(
                Deviation(part=Part.STATUS, what=f"it ended as {before} before, and as {now} now{reason}")
            )
        if not found:
            return (), None
        own = next((each.cause for each in found if each.cause is not None), None)
        if steps_deviate:
            return tuple(found), Cause.DOWNSTREAM
        if {"kpis", "assumptions"} & self.changed.keys():
            return tuple(found), Cause.DEFINITION
        return tuple(found), own or Cause.ENVIRONMENT

    def _assumptions(self) -> Iterator[Deviation]:
        before = {item.id: item.met for item in self.original.recording.record.assumptions}
        now = {item.id for item in self.record.assumptions}
        for name in sorted(now ^ before.keys()):
            yield Deviation(part=Part.PATH, what=f"assumption {name!r} was looked at in one of the two only")
        for item in self.record.assumptions:
            if item.met != before.get(item.id, item.met):
                words = ("met", "not met") if not item.met else ("not met", "met")
                what = f"assumption {item.id!r} was {words[0]}, and is {words[1]}"
                yield Deviation(part=Part.PATH, what=what, details=(item.reason,) if item.reason else ())

    def _kpis(self) -> Iterator[Deviation]:
        before = {(kpi.name, kpi.bound): kpi for kpi in self.original.recording.record.kpis}
        now = {(kpi.name, kpi.bound): kpi.limit for kpi in self.record.kpis}
        ended = Status.ABORTED not in {self.record.status, self.original.recording.record.status}
        others = now.keys() != before.keys() or any(now[key] != before[key].limit for key in now)
        if ended and others:
            yield Deviation(part=Part.KPI, what="its KPIs, or their limits, are others than before")
        if not (self.original.live or self._same_measures()):
            yield Deviation(part=Part.KPI, what="the metrics that it published are others than before")
        for kpi in self.record.kpis:
            was = before.get((kpi.name, kpi.bound))
            if was is not None and (was.met != kpi.met or self._other_figure(was, kpi)):
                what = f"KPI {kpi.name} was {was.value} ({_met(was)}), and is {kpi.value} ({_met(kpi)})"
                timed = Cause.TIMING if kpi.name == _DURATION else None
                yield Deviation(part=Part.KPI, what=what, cause=timed)

    def _other_figure(self, was: KpiResult, kpi: KpiResult) -> bool:
        if self.original.live and kpi.name == _DURATION:
            return False  # no two runs take the same time
        return not alike(self.symbols.translate(was.value), as_stored(kpi.value))

    def _same_measures(self) -> bool:
        return alike(self.original.recording.record.measures, as_stored(self.record.measures))

    def _place(self, steps: Sequence[StepComparison], deviations: Sequence[Deviation]) -> str:
        """The first step that deviated by itself; empty when nothing did."""
        for step in steps:
            if step.cause is not None and step.cause is not Cause.DOWNSTREAM:
                return step.step
        return "its end" if deviations else ""

    def _undrawn(self, facts: Mapping[str, StepFacts]) -> str:
        return next((f"step {name!r}: {each.undrawn}" for name, each in facts.items() if each.undrawn), "")

    def _notes(self) -> Iterator[str]:
        if self.original.live:
            now = self.record.secrets
            for name, then in self.original.recording.secrets.items():
                if now.get(name, then) != then:
                    yield f"secret {name} was changed since"
        answered = [name for name in self.replayed if self.original.live and name in self.original.answered]
        if answered:
            yield f"answered from the record, as they change the world: {', '.join(answered)}"


def _stored(step: StepRecord) -> StepRecord:
    """The step as it comes back from the database, as its original did."""
    return replace(
        step,
        inputs=as_stored(step.inputs),
        outputs=as_stored(step.outputs),
        errors=tuple(as_stored(list(step.errors))),
        reads=tuple(as_stored(list(step.reads))),
        exchanges=tuple(as_stored(list(step.exchanges), sorts=False)),
    )


def _with_id(step: StepRecord, own: str, told: str) -> StepRecord:
    """The step as if `own` were the id `told`."""
    parts = {name: getattr(step, name) for name in ("inputs", "outputs", "errors", "exchanges")}
    text = json.dumps(parts)
    if own not in text:
        return step
    changed = json.loads(text.replace(own, told))
    return replace(step, **changed | {name: tuple(changed[name]) for name in ("errors", "exchanges")})


def _starts(then: ExecutionRecord, now: ExecutionRecord) -> dict[str, str]:
    if then.clock is None or now.clock is None:
        return {}
    return {then.clock.isoformat(): now.clock.isoformat()}


def _met(kpi: KpiResult) -> str:
    return "met" if kpi.met else "missed"
