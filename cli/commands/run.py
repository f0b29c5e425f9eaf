"""`rb run`: a runbook for real."""

from typing import TYPE_CHECKING

import typer

from cli.errors import Exit, Stop
from cli.inputs import asked_inputs, given_inputs, specs_of
from cli.loading import load
from cli.reporters.style import paint, plain

if TYPE_CHECKING:
    from runbook_defs.execution import ExecutionRecord


def run(
    runbook_id: str = typer.Argument(..., metavar="ID", help="The runbook's id."),
    inputs: list[str] = typer.Option(
        [], "-i", "--input", metavar="NAME=VALUE", help="An input; repeat for more."
    ),
    deny: list[str] = typer.Option(
        [], "--deny", metavar="NAME", help="An assumption that does not hold: the run aborts."
    ),
    server: str = typer.Option(
        None, "--server", metavar="URL", help="Run it on this service, with the token in RB_TOKEN."
    ),
) -> None:
    """Run a runbook for real, with progress as it happens; the execution is recorded."""
    if server is not None:
        from cli.remote import run_there

        run_there(server, runbook_id, inputs, deny)
        return
    from cli.reporters.progress import Progress

    runbook = load(runbook_id)
    from runbook_defs.execution import ExecutionFinished
    from runbook_factory.actors import local_actor  # loads Dagster
    from runbook_factory.inputs import resolve_inputs
    from runbook_factory.instance import stored_instance
    from runbook_factory.request import RunRequest
    from runbook_factory.runs import run_runbook

    known = {item.id for item in runbook.runbook.assumptions}
    for name in deny:
        if name not in known:
            raise Stop(f"{runbook_id} has no assumption {name!r}", hint=f"there are: {', '.join(known)}")
    given = given_inputs(specs_of(runbook), inputs)
    given |= asked_inputs(runbook, given)
    resolve_inputs(runbook, given)
    request = RunRequest(inputs=given, deny=tuple(deny))
    record: ExecutionRecord | None = None
    with stored_instance(runbook.project) as instance:
        order = [step.id for step in runbook.runbook.steps]
        with Progress(order, seconds=True) as progress:
            for event in run_runbook(runbook, request, actor=local_actor(), instance=instance):
                progress.show(event)
                if isinstance(event, ExecutionFinished):
                    record = event.record
    _conclude(record)


def _conclude(record: "ExecutionRecord | None") -> None:
    from cli.reporters.progress import kpi_lines, picture_lines
    from runbook_defs.execution import CANCELLED, Status

    if record is None:
        raise Stop("the run ended without a verdict")
    for line in [*kpi_lines(record.kpis), *picture_lines(record, identical="identical")]:
        print(line)
    if record.reason:
        print(f"reason: {plain(record.reason)}")
    good = record.status is Status.SUCCESS
    print(f"{paint(record.status.value.upper(), 'green' if good else 'red')} {record.short_name} {record.id}")
    if record.reason == CANCELLED:
        raise typer.Exit(Exit.INTERRUPTED)
    if not good:
        raise typer.Exit(Exit.FINDINGS)
