"""`rb diff`: two executions of a runbook, and what differs between them."""

import json

import typer

from cli.errors import Exit, Stop


def diff(
    one: str = typer.Argument(..., metavar="A", help="An execution: its id, a unique start, or its name."),
    two: str = typer.Argument(..., metavar="B", help="Another one of the same runbook."),
    as_json: bool = typer.Option(False, "--json", help="All differences, for programs."),
) -> None:
    """Show how execution B differs from A: definition, inputs, what was sent, answered and given."""
    from cli.reporters.replay import report_lines
    from cli.reporters.style import paint, plain
    from runbook_defs.replay import Verdict
    from runbook_factory.project import find_project
    from runbook_factory.replay.recording import NotReplayable
    from runbook_factory.replay.replays import compare_executions

    try:
        first, second, report = compare_executions(find_project(), one, two)
    except NotReplayable as error:
        raise Stop(f"the two cannot be compared: {error.message}", hint=error.hint) from None
    same = report.verdict is Verdict.VERIFIED
    if as_json:
        print(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        for sign, record in (("-", first.record), ("+", second.record)):
            print(f"{sign} {record.short_name} {record.runbook_version} {record.mode} {record.status}")
        for line in report_lines(report, same="the same in both"):
            print(line)
        print(paint("SAME", "green") if same else f"{paint('DIFFERENT', 'red')} at {plain(report.at)}")
    if not same:
        raise typer.Exit(Exit.FINDINGS)
