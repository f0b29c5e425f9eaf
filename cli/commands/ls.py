"""`rb ls`: what was executed."""

import json
import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from cli.errors import Stop
from cli.since import parse_since

if TYPE_CHECKING:
    from sqlalchemy import Engine

MODES = ("live", "test", "replay")
_EVERY_MODE = (*MODES, "rollback")
_RECENT = 1000  # executions whose runbooks a misspelt one is held against


def ls(
    runbook: str = typer.Option(None, "--runbook", metavar="ID", help="Only of this runbook."),
    status: str = typer.Option(None, "--status", help="running, success, failure or aborted."),
    since: str = typer.Option(
        None, "--since", metavar="WHEN", help="Started since: 30m, 2h, 7d, 2025-11-29, 2025-11-29T09:00."
    ),
    mode: list[str] = typer.Option(
        None, "--mode", metavar="MODE", help="live, test or replay; repeat for more."
    ),
    everything: bool = typer.Option(False, "--all", help="Of all modes: tests and replays too."),
    limit: int = typer.Option(20, "-n", "--limit", min=1, max=10_000, help="How many, newest first."),
    as_json: bool = typer.Option(False, "--json", help="All that is known but the steps, for programs."),
) -> None:
    """List executions, newest first."""
    from cli.reporters.executions import as_json as as_data
    from cli.reporters.executions import table
    from runbook_defs.execution import Status
    from runbook_factory.database import engine, reachable
    from runbook_factory.execution_log import list_executions
    from runbook_factory.project import find_project

    if status is not None:
        _check("--status", status, [item.value for item in Status])
    modes = _modes(mode or [], everything=everything)
    start = parse_since(since, now=datetime.now(UTC)) if since is not None else None
    with reachable():
        log = engine(find_project())
        found = list_executions(
            log,
            runbook_id=runbook,
            status=Status(status) if status else None,
            modes=modes,
            since=start,
            limit=limit,
        )
        if not found and runbook:
            _check_runbook(log, runbook)
    if as_json:
        print(json.dumps(as_data(found), indent=2, default=str))
    elif found:
        for line in table(found, width=_width()):
            print(line)
    if not found:
        print(_nothing(modes, runbook=runbook, status=status, start=start), file=sys.stderr)


def _check(option: str, word: str, known: list[str]) -> None:
    from runbook_defs.problems import did_you_mean

    if word not in known:
        raise Stop(f"{option} {word} is none of {', '.join(known)}", hint=did_you_mean(word, known))


def _modes(asked: list[str], *, everything: bool) -> tuple[str, ...]:
    for word in asked:
        _check("--mode", word, list(MODES))
    if everything and asked:
        raise Stop("--all is every mode: leave --mode out, or leave --all out")
    return _EVERY_MODE if everything else tuple(dict.fromkeys(asked)) or ("live",)


def _width() -> int | None:
    """The columns of the terminal; None when what is printed goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _check_runbook(log: "Engine", runbook: str) -> None:
    """Raises `Stop` when neither the project nor the log knows the runbook."""
    from runbook_defs.problems import did_you_mean, listed
    from runbook_factory.execution_log import list_executions
    from runbook_factory.project import find_project

    project = find_project()
    known = project.runbook_ids()
    if runbook in known or list_executions(log, runbook_id=runbook, modes=_EVERY_MODE, limit=1):
        return
    executed = {item.runbook_id for item in list_executions(log, modes=_EVERY_MODE, limit=_RECENT)}
    hint = did_you_mean(runbook, [*known, *executed]) or (f"there are: {listed(known)}" if known else "")
    raise Stop(f"no runbook {runbook!r} in {project.runbooks}, and none of that name was executed", hint=hint)


def _nothing(
    modes: tuple[str, ...], *, runbook: str | None, status: str | None, start: datetime | None
) -> str:
    """That nothing was found, of what was asked, and what to ask instead."""
    kind = "" if modes == _EVERY_MODE else f"{' or '.join(modes)} "
    of = f" of {runbook}" if runbook else ""
    ended = f" with status {status}" if status else ""
    when = f" since {start.astimezone():%Y-%m-%d %H:%M:%S %Z}" if start else ""
    filters = [name for name, given in (("--since", start), ("--status", status)) if given]
    moves = [f"leave out {' or '.join(filters)}" if filters else f"`rb run {runbook or 'ID'}` makes one"]
    if modes != _EVERY_MODE:
        moves.append("--all lists those of other modes too")
    return f"no {kind}execution{of}{ended}{when}: {'; '.join(moves)}"
