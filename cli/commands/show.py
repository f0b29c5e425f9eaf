"""`rb show`: one execution from its record."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from cli.reporters.style import paint, plain

if TYPE_CHECKING:
    from runbook_defs.execution import ExecutionRecord

WIDTH = 40


def show(
    execution: str = typer.Argument(
        ...,
        metavar="EXECUTION",
        help="Its id, a unique start of it, or exec-<date>-<six characters>.",
    ),
    as_json: bool = typer.Option(False, "--json", help="The whole record, for programs."),
) -> None:
    """Show one execution: who, what, each step with its time, the verdict."""
    from cli.reporters.progress import (
        assumption_line,
        headline,
        kpi_lines,
        picture_lines,
        step_lines,
    )
    from runbook_factory.database import engine, reachable
    from runbook_factory.execution_log import get_execution
    from runbook_factory.project import find_project

    with reachable():
        record = get_execution(engine(find_project()), execution)
    if as_json:
        print(json.dumps(asdict(record), indent=2, default=str))
        return
    print(paint(headline(record), "bold"))
    print(f"id        {record.id}")
    print(f"status    {record.status.value}{f' ({plain(record.reason)})' if record.reason else ''}")
    print(f"started   {record.started_at.astimezone():%Y-%m-%d %H:%M:%S %Z} by {_actor(record)}")
    print(f"lasted    {_lasted(record)}")
    for name, value in record.inputs.items():
        print(f"input     {name} = {plain(json.dumps(value))[:120]}")
    for result in record.assumptions:
        print(assumption_line(result))
    for step in record.steps:
        for line in step_lines(step):
            print(line)
    for line in kpi_lines(record.kpis):
        print(line)
    for line in picture_lines(record.steps, identical="identical"):
        print(line)
    print()
    for line in _timeline(record):
        print(line)


def _actor(record: "ExecutionRecord") -> str:
    return plain(record.actor.name) if record.actor else "unknown"


def _lasted(record: "ExecutionRecord") -> str:
    if record.duration_seconds is None:
        return "not ended" if record.completed_at is None else "unknown"
    clock = " on the virtual clock" if record.mode != "live" else ""
    return f"{record.duration_seconds:.3f} s{clock}"


def _timeline(record: "ExecutionRecord") -> list[str]:
    """When each step began and ended, drawn to scale on the clock of the mode."""
    spans: list[tuple[str, float, float]] = []
    for step in record.steps:
        if step.started_virtual is not None:
            begin = step.started_virtual
        elif step.started_at is not None:
            begin = (step.started_at - record.started_at) / timedelta(seconds=1)
        else:
            continue
        spans.append((step.step_id, max(0.0, begin), max(0.0, begin) + step.seconds))
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
