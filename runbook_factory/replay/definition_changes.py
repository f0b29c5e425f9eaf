"""What is different between the definition that an execution ran with and another one, step by step."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runbook_defs.differences import described, find_differences
from runbook_defs.source import parse_document

MOST_LINES = 8

Texts = Mapping[str, bytes]


def changed_steps(before: str, now: str, *, files_before: Texts, files_now: Texts) -> dict[str, list[str]]:
    """For each step, and assumption, whose definition differs: how, a line for each difference.

    What is not a step has the key of the part it stands in, such as `kpis`. Words for readers only
    (`description`) are no difference.
    """
    one, two = _data(before), _data(now)
    found: dict[str, list[str]] = {}
    for key in ("assumptions", "kpis", "inputs", "defaults", "tolerances"):
        lines = described(list(find_differences(one.get(key), two.get(key), path=key)), most=MOST_LINES)
        if lines:
            found[key] = lines
    steps = [{step["id"]: step for step in each["steps"]} for each in (one, two)]
    for name in dict.fromkeys([*steps[0], *steps[1]]):
        if name not in steps[0] or name not in steps[1]:
            found[name] = ["the step is new" if name in steps[1] else "the step is gone"]
            continue
        parts = [{key: item for key, item in each[name].items() if key != "description"} for each in steps]
        lines = described(list(find_differences(*parts, path=name)), most=MOST_LINES)
        lines += [*found.get("defaults", ()), *_in_files(parts[1], files_before, files_now)]
        if lines:
            found[name] = lines
    return found


def _data(text: str) -> dict[str, Any]:
    data: dict[str, Any] = parse_document(text.encode(), path=Path("runbook.yaml")).data
    return data


def _in_files(step: Mapping[str, Any], before: Texts, now: Texts) -> list[str]:
    lines: list[str] = []
    for value in step.get("inputs", {}).values():
        if isinstance(value, str) and value in before and value in now and before[value] != now[value]:
            lines += [f"{value} changed:", *_changed_lines(before[value], now[value])]
    return lines


def _changed_lines(before: bytes, now: bytes) -> Iterator[str]:
    one, two = (data.decode("utf-8", errors="replace").splitlines() for data in (before, now))
    lines = [line for line in difflib.ndiff(one, two) if line[:2] in {"- ", "+ "}]
    yield from (f"  {line[:110]}" for line in lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        yield f"  and {len(lines) - MOST_LINES} more lines"
