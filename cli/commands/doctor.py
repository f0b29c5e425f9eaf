"""`rb doctor`: what is installed, reachable, missing, and the next command."""

import sys

import typer

from cli.errors import Exit
from cli.reporters.style import paint, plain, tick


def doctor() -> None:
    """Say what is installed, reachable and missing, each with the next command."""
    from runbook_factory.doctor.examination import examine
    from runbook_factory.doctor.finding import Mark

    lacking = 0
    for found in examine():
        lacking += found.mark is Mark.MISSING
        mark = paint("-", "dim") if found.mark is Mark.OPTIONAL else tick(found.mark is Mark.GOOD)
        print(f"{mark} {plain(found.about)}: {plain(found.text)}")
        if found.next:
            print(f"      {paint('next:', 'cyan')} {plain(found.next)}")
        sys.stdout.flush()
    print(f"{lacking} missing" if lacking else "nothing is missing")
    if lacking:
        raise typer.Exit(Exit.FINDINGS)
