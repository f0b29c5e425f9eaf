"""A replay as lines: each step beside its original, what deviates and why, the verdict."""

from collections.abc import Iterable, Iterator

from cli.reporters.style import paint, plain, tick
from runbook_defs.execution import PROBE
from runbook_defs.replay import Cause, Deviation, ReplayReport, StepComparison, Verdict


def report_lines(report: ReplayReport, *, same: str = "matches original") -> Iterator[str]:
    """All of the report but its verdict; `same` is said of a step that does not deviate."""
    for step in report.steps:
        yield from _step(step, same)
    shots = [shot for step in report.steps for shot in step.screenshots]
    for shot in shots:
        name = f" {shot.name}" if len(shots) > 1 else ""
        if shot.change is None:
            yield f"{paint('-', 'dim')} Screenshot{name}: not drawn again"
            continue
        words = "identical" if shot.diff_path is None else "not as it was"
        yield f"{tick(shot.diff_path is None)} Screenshot diff{name}: {shot.change:.2%} change ({words})"
    for deviation in report.deviations:
        because = f"{report.cause}: " if report.cause not in (None, Cause.DOWNSTREAM) else ""
        yield f"{tick(False)} {because}{plain(deviation.what)}"
        yield from _indented(deviation.details)
    for rule in report.tolerances:
        yield f"{paint('~', 'yellow')} Tolerance: {plain(rule.rule)} ({_times(rule.fired)})"
    if report.ids or report.times:
        paired = f"{_counted(report.ids, 'id')}, {_counted(report.times, 'time')}"
        yield f"{paint('~', 'yellow')} Placeholders: {paired}"
    for note in report.notes:
        yield f"{paint('note:', 'cyan')} {plain(note)}"


def verdict_line(report: ReplayReport) -> str:
    """Such as `REPLAY VERIFIED`."""
    match report.verdict:
        case Verdict.VERIFIED:
            return paint("REPLAY VERIFIED", "green")
        case Verdict.DEVIATED:
            return f"{paint('REPLAY DEVIATED', 'red')} at {plain(report.at)}"
        case Verdict.NOT_REPLAYABLE:
            return not_replayable(report.reason)


def not_replayable(reason: str) -> str:
    """Such as `NOT REPLAYABLE because it is still running`."""
    return f"{paint('NOT REPLAYABLE', 'yellow')} because {plain(reason)}"


def _step(step: StepComparison, same: str) -> Iterator[str]:
    probe = step.step.startswith(PROBE)
    title = f"Assumption: {step.step.removeprefix(PROBE)}" if probe else f"Step: {step.step}"
    if step.cause is None:
        mark = paint("-", "dim") if step.status in {"skipped", "not_run"} else tick(True)
        yield f"{mark} {title} ({_short(step)}, {same})"
        return
    if step.cause is Cause.DOWNSTREAM:
        yield f"{paint('-', 'dim')} {title} (downstream of {step.follows})"
        return
    first, *others = step.deviations or (Deviation(part="path", what="deviates"),)  # type: ignore[arg-type]
    yield f"{tick(False)} {title} ({step.cause}: {plain(first.what)})"
    yield from _indented(first.details)
    for deviation in others:
        yield f"      {plain(deviation.what)}"
        yield from _indented(deviation.details, deeper=True)
    yield from _indented(step.because)


def _short(step: StepComparison) -> str:
    """What the seed's replay lines say of a step: the first of its counts, without what was done."""
    match step.status:
        case "success":
            return plain(step.summary).split(",")[0].removesuffix(" fetched")
        case "failed":
            return "failed"
        case status:
            return status.replace("_", " ")


def _indented(lines: Iterable[str], *, deeper: bool = False) -> Iterator[str]:
    yield from (f"{'        ' if deeper else '      '}{plain(line)}" for line in lines)


def _times(count: int) -> str:
    return {0: "never fired", 1: "fired once"}.get(count, f"fired {count} times")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
