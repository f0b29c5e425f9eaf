"""An execution as it happens: the seed's lines, in the order of the definition, and what runs now."""

import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from cli.reporters.style import colourful, paint, plain, tick
from runbook_defs.execution import (
    AssumptionChecked,
    AssumptionResult,
    Event,
    ExecutionRecord,
    KpiResult,
    StepFinished,
    StepRecord,
    StepStarted,
    StepStatus,
)

_SIGNS = {("max", True): "<", ("max", False): ">", ("min", True): ">", ("min", False): "<"}


class Progress:
    """Prints steps in the order of the definition, however they end; on a terminal also what runs now."""

    def __init__(self, order: Sequence[str], *, seconds: bool = False) -> None:
        self._waiting = list(order)
        self._attempts: dict[str, list[StepRecord]] = {}
        self._running: dict[str, float] = {}
        self._seconds = seconds
        self._status: Any = None

    def __enter__(self) -> "Progress":
        if colourful():
            from rich.console import Console  # only a terminal pays for it

            self._status = Console().status("starting")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, event: Event | Any) -> None:
        """Takes one event in."""
        match event:
            case AssumptionChecked(result=result):
                print(assumption_line(result))
            case StepStarted(step_id=step_id):
                self._running[step_id] = time.monotonic()
            case StepFinished(record=record):
                self._running.pop(record.step_id, None)
                self._attempts.setdefault(record.step_id, []).append(record)
                self._print_in_order()
        if self._status is not None:
            now = ", ".join(plain(step) for step in self._running)
            self._status.update(f"{now or 'finishing'} ...")
        sys.stdout.flush()

    def _print_in_order(self) -> None:
        """Prints what is known of the first step that has not ended, and of those that follow it."""
        while self._waiting:
            attempts = self._attempts.get(self._waiting[0], [])
            last = attempts[-1] if attempts else None
            for record in attempts:
                for line in step_lines(record, seconds=self._seconds):
                    print(line)
            attempts.clear()
            if last is None or last.retry_in is not None:
                return
            self._waiting.pop(0)


class Waiting:
    """Says on a terminal what is done just now, for what is printed at its end; else nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._status: Any = None

    def __enter__(self) -> "Waiting":
        if not self._quiet and colourful():
            from rich.console import Console  # only a terminal pays for it

            self._status = Console().status("starting")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def now(self, what: str) -> None:
        """Says `what`."""
        if self._status is not None:
            self._status.update(f"{plain(what)} ...")


def assumption_line(result: AssumptionResult) -> str:
    """Such as `✓ Assumption: source_data_validated`."""
    reason = f" ({plain(result.reason)})" if result.reason else ""
    return f"{tick(result.met)} Assumption: {result.id}{reason}"


def step_lines(record: StepRecord, *, seconds: bool = False) -> Iterable[str]:
    """Such as `✓ Step: ingest (200 entities fetched)`, with the reason and the hint of a failure."""
    match record.status:
        case StepStatus.SUCCESS:
            mark, text = tick(True), plain(record.summary)
        case StepStatus.FAILED:
            failure = record.failure or {}
            mark, text = tick(False), plain(f"{failure.get('type')}: {failure.get('message')}")
            if record.retry_in is not None:
                mark = paint("↻", "yellow")
                text += f"; attempt {record.attempt}, again in {record.retry_in:.3g}s"
        case StepStatus.SKIPPED:
            mark, text = paint("-", "dim"), f"skipped: {plain(record.summary)}"
        case _:
            mark, text = paint("-", "dim"), record.status.value.replace("_", " ")
    took = f" {paint(f'{record.seconds:.2f}s', 'dim')}" if seconds and record.completed_at else ""
    yield f"{mark} Step: {record.step_id} ({text}){took}"
    hint = (record.failure or {}).get("hint")
    if hint:
        yield f"      {paint('hint:', 'cyan')} {plain(str(hint))}"


def kpi_lines(kpis: Iterable[KpiResult]) -> Iterable[str]:
    """Such as `✓ KPI: min_success_rate (0.975 > 0.95)`."""
    for kpi in kpis:
        equal = kpi.value == kpi.limit
        sign = "=" if equal else _SIGNS.get((kpi.bound, kpi.met), "≠")
        value, limit = (figure(item) + kpi.unit for item in (kpi.value, kpi.limit))
        yield f"{tick(kpi.met)} KPI: {kpi.name} ({value} {sign} {limit})"
        if not kpi.met:
            yield from (f"      {plain(line)}" for line in kpi.explanation)


def picture_lines(record: ExecutionRecord, *, identical: str, strict: bool = False) -> Iterable[str]:
    """Such as `✓ Screenshot diff: 0.01% change (within threshold)`.

    `identical` is the word for no change at all; under `strict` a picture needs a baseline.
    """
    pictures = [(step.step_id, picture) for step in record.steps for picture in step.pictures]
    execution = record.short_name
    for step, picture in pictures:
        name = f" {picture['name']}" if len(pictures) > 1 else ""
        if picture["ratio"] is None:
            mark = tick(False) if strict else paint("-", "dim")
            yield f"{mark} Screenshot{name}: no baseline to compare with ({picture['path']})"
            yield _approving(step, execution)
            continue
        ratio, verdict = picture["ratio"], picture["verdict"]
        good = ratio <= picture["allowed"] and verdict != "size-changed"
        words = identical if ratio == 0 and good else "within threshold" if good else "over the threshold"
        if not good:
            words = (
                "the size changed" if verdict == "size-changed" else f"{words} of {picture['allowed']:.2%}"
            )
        yield f"{tick(good)} Screenshot diff{name}: {ratio:.2%} change ({words})"
        if picture.get("diff_path") and not good:
            places = len(picture["boxes"])
            yield f"      {places} place{'s' if places != 1 else ''} changed: {picture['diff_path']}"
        if not good:
            yield _approving(step, execution)


def _approving(step: str, execution: str) -> str:
    return f"      {paint('hint:', 'cyan')} if it is right: rb baseline approve {execution}:{step}"


def figure(value: Any) -> str:
    """A number without needless digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return plain(str(value))


def headline(record: ExecutionRecord) -> str:
    """The execution's name and what it belongs to."""
    return f"{record.short_name} {record.runbook_id} {record.runbook_version} {record.mode}"
