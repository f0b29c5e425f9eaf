"""`rb ls`: what was executed."""

import typer

from cli.reporters.style import paint


def ls(
    runbook: str = typer.Option(None, "--runbook", metavar="ID", help="Only of this runbook."),
    status: str = typer.Option(None, "--status", help="running, success, failure or aborted."),
    everything: bool = typer.Option(False, "--all", help="Tests and replays too."),
    limit: int = typer.Option(20, "-n", "--limit", min=1, max=10_000, help="How many, newest first."),
) -> None:
    """List executions, newest first."""
    from cli.errors import Stop
    from runbook_defs.execution import Status
    from runbook_factory.database import engine, reachable
    from runbook_factory.execution_log import list_executions
    from runbook_factory.project import find_project

    known = [item.value for item in Status]
    if status is not None and status not in known:
        raise Stop(f"--status {status} is none of {', '.join(known)}")
    modes = ("live", "test", "replay", "rollback") if everything else ("live",)
    with reachable():
        found = list_executions(
            engine(find_project()),
            runbook_id=runbook,
            status=Status(status) if status else None,
            modes=modes,
            limit=limit,
        )
    if not found:
        print("no executions yet" if not everything else "no executions, tests or replays yet")
        return
    rows = [("EXECUTION", "RUNBOOK", "STATUS", "MODE", "STARTED", "SECONDS", "ACTOR")]
    for item in found:
        seconds = "" if item.duration_seconds is None else f"{item.duration_seconds:.1f}"
        started = f"{item.started_at.astimezone():%Y-%m-%d %H:%M:%S}"
        actor = item.actor.name if item.actor else ""
        rows.append(
            (
                item.short_name,
                item.runbook_id,
                item.status.value,
                item.mode,
                started,
                seconds,
                actor,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        print(paint(line, "bold") if number == 0 else line)
