"""`rb replay`: a recorded execution done again, and a verdict on it."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from cli.errors import Exit, Stop
from cli.loading import load, load_file

if TYPE_CHECKING:
    from runbook_defs.replay import ReplayReport
    from runbook_factory.catalog import LoadedRunbook
    from runbook_factory.replay.recording import NotReplayable
    from runbook_factory.replay.replays import Replay

CURRENT = "current"


class Format(StrEnum):
    """How the outcome is written."""

    TEXT = "text"
    JSON = "json"


def replay(
    target: str = typer.Argument(
        ...,
        metavar="EXECUTION",
        help="Its id, a unique start of it, or exec-<date>-<six characters>; with --last, a runbook's id.",
    ),
    live: bool = typer.Option(False, "--live", help="Ask the real world again, where that only reads."),
    allow_writes: bool = typer.Option(
        False, "--allow-writes", help="With --live: do again what changes the world, too."
    ),
    against: str = typer.Option(
        None, "--against", metavar="FILE|current", help="Another definition than the recorded one."
    ),
    last: int = typer.Option(
        None, "--last", metavar="N", min=1, help="With --against: the last N executions of a runbook."
    ),
    server: str = typer.Option(
        None, "--server", metavar="URL", help="Replay it on this service, with the token in RB_TOKEN."
    ),
    format_: Format = typer.Option(Format.TEXT, "--format", help="json is the same for every equal replay."),
) -> None:
    """Do a recorded execution again and say whether it ends the same; no socket is opened without --live."""
    _check_options(live=live, allow_writes=allow_writes, against=against, last=last)
    if server is not None:
        from cli.remote import replay_there

        if against is not None or format_ is not Format.TEXT:
            raise Stop("--server goes with neither --against nor --format")
        replay_there(server, target, live=live, allow_writes=allow_writes)
        return
    if last is not None:
        _backtest(target, against, last, as_json=format_ is Format.JSON)
        return
    from runbook_factory.project import find_project
    from runbook_factory.replay.recording import NotReplayable
    from runbook_factory.replay.replays import open_replay

    project = find_project()
    try:
        definition = _definition_for(target, against) if against is not None else None
        with open_replay(project, target, against=definition, live=live, allow_writes=allow_writes) as opened:
            report = _run(opened, quiet=format_ is Format.JSON)
            notes = _changes(opened) if not opened.against else []
            _conclude(report, notes=notes, as_json=format_ is Format.JSON)
    except NotReplayable as error:
        _refuse(error, as_json=format_ is Format.JSON)


def _check_options(*, live: bool, allow_writes: bool, against: str | None, last: int | None) -> None:
    if allow_writes and not live:
        raise Stop("--allow-writes goes with --live: without it nothing leaves this machine")
    if last is not None and against is None:
        raise Stop("--last goes with --against", hint="for example: --against current --last 20")
    if last is not None and live:
        raise Stop("--last is a backtest, which asks nobody: leave --live out")
    if against is not None and live:
        raise Stop("--live does the recorded definition again: leave --against out")


def _definition_for(target: str, against: str) -> "LoadedRunbook":
    """The definition that the execution is held against; raises `NoSuchExecution`, exits when invalid."""
    from runbook_factory.database import engine, reachable
    from runbook_factory.execution_log import get_execution
    from runbook_factory.project import find_project

    with reachable():
        runbook_id = get_execution(engine(find_project()), target).runbook_id
    found = load(runbook_id) if against == CURRENT else load_file(against)
    if found.id != runbook_id:
        raise Stop(f"{against} is the runbook {found.id!r}, not {runbook_id!r}")
    return found


def _changes(opened: "Replay") -> list[str]:
    """A note when the runbook is another by now: the replay was of the recorded one."""
    from cli.reporters.style import paint
    from runbook_factory.catalog import InvalidRunbook, load_runbook
    from runbook_factory.project import ProjectError
    from runbook_factory.replay.replays import changes_since

    try:
        now = load_runbook(opened.runbook.project, opened.runbook.id)
    except (InvalidRunbook, ProjectError):
        return []
    changed = changes_since(opened.recording, now)
    if not changed:
        return []
    move = f"rb replay {opened.recording.record.short_name} --against current"
    return [f"{paint('note:', 'cyan')} the runbook has changed since in {', '.join(changed)}: {move}"]


def _run(opened: "Replay", *, quiet: bool) -> "ReplayReport":
    """Runs the replay; raises `NotReplayable` when it could not start."""
    from cli.reporters.progress import Waiting
    from runbook_defs.execution import ExecutionFinished, StepStarted
    from runbook_factory.actors import local_actor
    from runbook_factory.instance import passing_instance, stored_instance
    from runbook_factory.replay.recording import NotReplayable
    from runbook_factory.runs import RunLost

    last: ExecutionFinished | None = None
    instances = stored_instance(opened.runbook.project) if opened.is_stored else passing_instance()
    try:
        with instances as instance, Waiting(quiet=quiet) as waiting:
            for event in opened.run(actor=local_actor(), instance=instance):
                if isinstance(event, StepStarted):
                    waiting.now(event.step_id)
                if isinstance(event, ExecutionFinished):
                    last = event
    except RunLost as lost:
        raise NotReplayable(f"the replay had no end: {lost.message}") from None
    if last is None:
        raise Stop("the replay ended without a verdict")
    if last.report is None:
        from runbook_defs.execution import CANCELLED

        if last.record.reason == CANCELLED:
            raise KeyboardInterrupt
        raise NotReplayable(last.record.reason)
    return last.report


def _conclude(report: "ReplayReport", *, notes: Sequence[str], as_json: bool) -> None:
    from cli.reporters.replay import report_lines, verdict_line
    from runbook_defs.replay import Verdict

    if as_json:
        print(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        for line in [*report_lines(report), *notes, verdict_line(report)]:
            print(line)
    match report.verdict:
        case Verdict.DEVIATED:
            raise typer.Exit(Exit.FINDINGS)
        case Verdict.NOT_REPLAYABLE:
            raise typer.Exit(Exit.CANNOT)


def _refuse(error: "NotReplayable", *, as_json: bool) -> None:
    from cli.reporters.replay import not_replayable
    from cli.reporters.style import paint, plain
    from runbook_defs.replay import REPORT_FORMAT, Verdict

    if as_json:
        found = {"format": REPORT_FORMAT, "verdict": Verdict.NOT_REPLAYABLE, "reason": error.message}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(not_replayable(error.message))
        if error.hint:
            print(f"      {paint('hint:', 'cyan')} {plain(error.hint)}")
    raise typer.Exit(Exit.CANNOT)


def _backtest(runbook_id: str, against: str | None, last: int, *, as_json: bool) -> None:
    from cli.reporters.backtest import as_json as as_data
    from cli.reporters.backtest import counts, headings, row
    from cli.reporters.progress import Waiting
    from runbook_factory.actors import local_actor
    from runbook_factory.instance import passing_instance
    from runbook_factory.replay.backtest import Outcome, backtest, recorded_executions

    runbook = load(runbook_id) if against in {CURRENT, None} else load_file(str(against))
    if runbook.id != runbook_id:
        raise Stop(f"{against} is the runbook {runbook.id!r}, not {runbook_id!r}")
    recorded = recorded_executions(runbook, last=last)
    if not recorded:
        raise Stop(f"no live execution of {runbook_id} is recorded", hint=f"run it: rb run {runbook_id}")
    items = []
    if not as_json:
        print(headings())
    with passing_instance() as instance, Waiting(quiet=as_json) as waiting:
        for record in recorded:
            waiting.now(record.short_name)
            items.append(backtest(runbook, record, actor=local_actor(), instance=instance))
            if not as_json:
                print(row(items[-1]), flush=True)
    if as_json:
        print(json.dumps(as_data(runbook, items), indent=2, ensure_ascii=False))
    else:
        for line in counts(items):
            print(line)
    outcomes = {item.outcome for item in items}
    if outcomes - {Outcome.SAME, Outcome.NOT_REPLAYABLE}:
        raise typer.Exit(Exit.FINDINGS)
    if outcomes == {Outcome.NOT_REPLAYABLE}:
        raise typer.Exit(Exit.CANNOT)
