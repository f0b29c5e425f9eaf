"""One attempt of a step in full: what it was given, what it gave, what was said on the way."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cli.reporters.exchange import exchange_line, read_line
from cli.reporters.style import paint, plain
from cli.reporters.timeline import began
from runbook_defs.execution import ExecutionRecord, StepRecord

_LINES = 20  # of a value, or of a list
_WIDTH = 160  # characters of a line
_INDENT = " " * 6


def detail_lines(record: ExecutionRecord, attempt: StepRecord, *, full: bool = False) -> Iterator[str]:
    """All that is recorded of the attempt, to be shown below its line; cut to what a screen takes, unless
    `full`.
    """
    yield from _when(record, attempt)
    for title, lines in (
        ("inputs", _json(attempt.inputs)),
        ("outputs", _json(attempt.outputs)),
        ("exchanges", [_one_line(exchange_line(entry, full=full)) for entry in attempt.exchanges]),
        ("reads", _folded(read_line(read, full=full) for read in attempt.reads)),
        ("records", [_counts(attempt.records)] if attempt.records else []),
        ("pictures", [_picture(picture) for picture in attempt.pictures]),
        ("errors", [line for error in attempt.errors for line in _error(error)]),
    ):
        if lines:
            yield f"{_INDENT}{paint(title, 'bold')}"
            yield from (f"{_INDENT}  {line}" for line in _cut(lines, full=full))


def _when(record: ExecutionRecord, attempt: StepRecord) -> Iterator[str]:
    begin = began(record, attempt)
    if begin is None:
        return
    took = f", took {attempt.seconds:.3f} s" if attempt.completed_at else ""
    status = attempt.status.value.replace("_", " ")
    yield f"{_INDENT}attempt {attempt.attempt}: {status}, began {begin:.3f} s after the start{took}"


def _json(value: Mapping[str, Any]) -> list[str]:
    if not value:
        return []
    return [plain(line) for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n")]


def _folded(lines: Iterable[str]) -> list[str]:
    """Each line once, in the order of the first, with how often it came."""
    counted = Counter(_one_line(line) for line in lines)
    return [line if count == 1 else f"{line} ({count} times)" for line, count in counted.items()]


def _counts(records: Mapping[str, int]) -> str:
    return ", ".join(f"{records.get(name, 0)} {name}" for name in ("checked", "passed", "failed"))


def _picture(picture: Mapping[str, Any]) -> str:
    ratio = picture["ratio"]
    change = "" if ratio is None else f", {ratio:.2%} change"
    return plain(f"{picture['name']}: {picture['verdict']}{change}, {picture['path']}")


def _error(error: Mapping[str, Any]) -> Iterator[str]:
    """The error with its hint and details; message and hint of a failure are in the line of its attempt."""
    details = json.dumps(error["details"], ensure_ascii=False) if error.get("details") else ""
    if error.get("failed"):
        if details:
            yield _one_line(f"{error.get('type')}: {details}")
        return
    place = f"record {error['record']}: " if "record" in error else ""
    path = f"{error['path']}: " if "path" in error else ""
    yield _one_line(f"{place}{path}{error.get('message')} ({error.get('type')})")
    if error.get("hint"):
        yield f"  {paint('hint:', 'cyan')} {_one_line(str(error['hint']))}"
    if details:
        yield f"  {_one_line(details)}"


def _one_line(text: str) -> str:
    return plain(" ".join(text.split()))


def _cut(lines: Sequence[str], *, full: bool) -> Iterator[str]:
    """The lines, or as many and as much of each as a screen takes, with what was left out."""
    if full:
        yield from lines
        return
    for line in lines[:_LINES]:
        over = len(line) - _WIDTH
        yield line if over <= 0 else f"{line[:_WIDTH]}… {over} more characters: --full shows them"
    if len(lines) > _LINES:
        over = len(lines) - _LINES
        yield paint(f"… {over} more line{'' if over == 1 else 's'}: --full shows all, --json too", "dim")
