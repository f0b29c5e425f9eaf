"""When the steps of an execution ran, to scale."""

from collections import Counter
from datetime import timedelta

from runbook_defs.execution import ExecutionRecord, StepRecord

WIDTH = 40


def began(record: ExecutionRecord, step: StepRecord) -> float | None:
    """Seconds from the start of the execution to that of the step, on the clock of the mode, if it began."""
    if step.started_virtual is not None:
        return max(0.0, step.started_virtual)
    if step.started_at is not None:
        return max(0.0, (step.started_at - record.started_at) / timedelta(seconds=1))
    return None


def timeline(record: ExecutionRecord) -> list[str]:
    """A bar for each attempt of each step that began; where there were several they are numbered."""
    attempts = Counter(step.step_id for step in record.steps)
    spans: list[tuple[str, float, float]] = []
    for step in record.steps:
        begin = began(record, step)
        if begin is not None:
            number = f" ({step.attempt})" if attempts[step.step_id] > 1 else ""
            spans.append((f"{step.step_id}{number}", begin, begin + step.seconds))
    if not spans:
        return []
    whole = max(end for _, _, end in spans) or 1.0
    name_width = max(len(name) for name, _, _ in spans)
    lines = []
    for name, begin, end in spans:
        left = round(begin / whole * WIDTH)
        length = max(1, round((end - begin) / whole * WIDTH))
        bar = (" " * min(left, WIDTH - 1) + "█" * length)[:WIDTH]
        lines.append(f"{name:{name_width}} |{bar:{WIDTH}}| {begin:8.3f} s to {end:8.3f} s")
    return lines
