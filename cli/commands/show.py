"""`rb show`: one execution from its record."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import typer

from cli.errors import Stop
from cli.reporters.style import paint, plain

if TYPE_CHECKING:
    from runbook_defs.execution import ExecutionRecord


def show(
    execution: str = typer.Argument(
        ...,
        metavar="EXECUTION",
        help="Its id, a unique start of it, or exec-<date>-<six characters>.",
    ),
    step: list[str] = typer.Option(
        None, "--step", metavar="ID", help="Only this step, with all that is recorded of it; repeat for more."
    ),
    verbose: bool = typer.Option(
        False, "-v", "--verbose", help="Inputs, outputs, exchanges and reads of every step."
    ),
    full: bool = typer.Option(False, "--full", help="As --verbose, with no value cut."),
    as_json: bool = typer.Option(False, "--json", help="The whole record, for programs."),
) -> None:
    """Show one execution: who, what, each step with its time, the verdict."""
    from runbook_factory.database import engine, reachable
    from runbook_factory.execution_log import get_execution
    from runbook_factory.project import find_project

    with reachable():
        log = engine(find_project())
        record = get_execution(log, execution)
        chosen = _chosen(record, step) if step else record
        replays = record.parent_id if record.mode == "replay" and not as_json else None
        original = get_execution(log, replays).short_name if replays else ""
    if as_json:
        print(json.dumps(asdict(chosen), indent=2, default=str))
        return
    for line in _header(record, original):
        print(line)
    lines = _steps_in_full(chosen, full=full) if step else _whole(record, verbose=verbose or full, full=full)
    for line in lines:
        print(line)


def _chosen(record: "ExecutionRecord", wanted: Sequence[str]) -> "ExecutionRecord":
    """The record with the wanted steps and probes alone; raises `Stop` for one that it does not have."""
    from runbook_defs.problems import did_you_mean, listed

    known = list(dict.fromkeys(item.step_id for item in (*record.steps, *record.probes)))
    for step_id in wanted:
        if step_id not in known:
            hint = did_you_mean(step_id, known) or f"there are: {listed(known)}"
            raise Stop(f"{record.short_name} has no step {step_id!r}", hint=hint)
    return replace(
        record,
        steps=tuple(item for item in record.steps if item.step_id in wanted),
        probes=tuple(item for item in record.probes if item.step_id in wanted),
    )


def _header(record: "ExecutionRecord", original: str) -> Iterator[str]:
    from cli.reporters.exchange import short
    from cli.reporters.progress import headline

    yield paint(headline(record), "bold")
    yield f"id        {record.id}"
    if record.definition_digest:
        yield f"version   {plain(record.runbook_version)}, definition {short(record.definition_digest)}"
    if original:
        yield f"replay of {original}: {_verdict(record)}"
    yield f"status    {record.status.value}{f' ({plain(record.reason)})' if record.reason else ''}"
    yield f"started   {record.started_at.astimezone():%Y-%m-%d %H:%M:%S %Z} by {_actor(record)}"
    yield f"lasted    {_lasted(record)}"


def _whole(record: "ExecutionRecord", *, verbose: bool, full: bool) -> Iterator[str]:
    """All but the header, with the details of probes and steps when `verbose`."""
    from cli.reporters.attempt import detail_lines
    from cli.reporters.progress import kpi_lines, picture_lines, step_lines
    from cli.reporters.timeline import timeline

    for name, value in record.inputs.items():
        yield f"input     {name} = {plain(json.dumps(value))[: None if full else 120]}"
    yield from _assumptions(record, verbose=verbose, full=full)
    for item in record.steps:
        yield from step_lines(item)
        yield from detail_lines(record, item, full=full) if verbose else ()
    yield from kpi_lines(record.kpis)
    yield from picture_lines(record, identical="identical")
    yield ""
    yield from timeline(record)


def _assumptions(record: "ExecutionRecord", *, verbose: bool, full: bool) -> Iterator[str]:
    from cli.reporters.attempt import detail_lines
    from cli.reporters.progress import assumption_line
    from runbook_defs.execution import PROBE

    for result in record.assumptions:
        yield assumption_line(result)
        for probe in record.probes:
            if verbose and probe.step_id == f"{PROBE}{result.id}":
                yield from detail_lines(record, probe, full=full)


def _steps_in_full(record: "ExecutionRecord", *, full: bool) -> Iterator[str]:
    """The probes and steps of a record, each attempt with all details."""
    from cli.reporters.attempt import detail_lines
    from cli.reporters.progress import assumption_line, step_lines
    from runbook_defs.execution import PROBE

    asked = {f"{PROBE}{result.id}": result for result in record.assumptions}
    for attempt in (*record.probes, *record.steps):
        result = asked.get(attempt.step_id)
        yield from step_lines(attempt) if result is None else [assumption_line(result)]
        yield from detail_lines(record, attempt, full=full)


def _verdict(record: "ExecutionRecord") -> str:
    """Such as `REPLAY DEVIATED at validate`, of a replay."""
    from cli.reporters.replay import not_replayable
    from runbook_defs.replay import Verdict

    report = record.replay
    if report is None:
        return "not ended" if record.completed_at is None else "no verdict"
    match Verdict(report["verdict"]):
        case Verdict.VERIFIED:
            said = paint("REPLAY VERIFIED", "green")
        case Verdict.DEVIATED:
            said = f"{paint('REPLAY DEVIATED', 'red')} at {plain(report['at'])}"
        case Verdict.NOT_REPLAYABLE:
            said = not_replayable(report["reason"])
    return f"{said}, live" if report.get("live") else said


def _actor(record: "ExecutionRecord") -> str:
    return plain(record.actor.name) if record.actor else "unknown"


def _lasted(record: "ExecutionRecord") -> str:
    if record.duration_seconds is None:
        return "not ended" if record.completed_at is None else "unknown"
    clock = " on the virtual clock" if record.mode != "live" else ""
    return f"{record.duration_seconds:.3f} s{clock}"
