"""`rb test`: a runbook on fixtures, touching nothing."""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from cli.errors import Exit, Stop
from cli.loading import load, load_cases
from cli.reporters.style import paint, plain, tick


def test(
    runbook_id: str = typer.Argument(..., metavar="ID", help="The runbook's id."),
    fixture: str = typer.Option(
        None, "--fixture", metavar="FILE", help="One fixture instead of the whole acceptance pack."
    ),
) -> None:
    """Run a runbook's acceptance pack on fixtures: no network, a virtual clock, real screenshots."""
    runbook = load(runbook_id)
    from runbook_factory.acceptance import run_case  # loads Dagster
    from runbook_factory.actors import local_actor
    from runbook_factory.instance import passing_instance

    cases = load_cases(runbook, fixture)
    if not cases:
        raise Stop(
            f"{runbook_id} has no scenarios to run",
            hint=f"make acceptance/{runbook_id}/acceptance.yml, or give --fixture",
        )
    failed = 0
    for number, case in enumerate(cases):
        if len(cases) > 1:
            print(("\n" if number else "") + paint(plain(case.name), "bold"))
        order = [step.id for step in runbook.runbook.steps]
        with passing_instance() as instance:
            events = run_case(runbook, case, actor=local_actor(), instance=instance)
            failed += not _show(events, order)
    if len(cases) > 1:
        print(f"\n{len(cases) - failed} passed, {failed} failed")
    print(paint("FAIL", "red") if failed else paint("PASS", "green"))
    sys.stdout.flush()
    if failed:
        raise typer.Exit(Exit.FINDINGS)


def _show(events: Iterator[Any], order: list[str]) -> bool:
    """Prints one case as it happens; tells whether it passed."""
    from cli.reporters.progress import Progress, kpi_lines, picture_lines

    last: Any = None
    with Progress(order) as progress:
        for event in events:
            progress.show(event)
            last = event
    for line in kpi_lines(last.record.kpis):
        print(line)
    for line in picture_lines(last.record.steps, identical="within threshold", strict=True):
        print(line)
    for finding in (item for item in last.findings if not item.told):
        print(f"{tick(False)} {plain(finding.what)}")
    return bool(last.passed)
