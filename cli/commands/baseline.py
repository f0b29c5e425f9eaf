"""`rb baseline`: recorded pictures become baselines, and which baselines there are."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from cli.errors import Exit, Stop
from cli.loading import explain
from cli.reporters.style import paint

if TYPE_CHECKING:
    from runbook_factory.approval import NewBaseline
    from runbook_factory.baselines import Baseline
    from runbook_factory.project import Project

app = typer.Typer(help="Baselines: the approved pictures of acceptance packs.", no_args_is_help=True)


@app.command("approve")
def approve(
    execution: str = typer.Argument(
        ...,
        metavar="EXECUTION[:STEP]",
        help="Its id, a unique start of it, or exec-<date>-<six characters>; and one step of it.",
    ),
    scenario: str = typer.Option(
        None, "--scenario", metavar="NAME", help="The baselines of this scenario of the pack."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would change, and write nothing."),
) -> None:
    """Make the recorded pictures of an execution baselines, without another run."""
    from cli.reporters.baselines import approval_line
    from runbook_factory.actors import local_actor
    from runbook_factory.approval import approve as write
    from runbook_factory.project import find_project

    name, colon, step = execution.partition(":")
    if colon and not step:
        raise Stop(f"{execution!r} names no step behind the colon", hint=f"rb baseline approve {name}:STEP")
    project = find_project()
    found = _found(project, name, step=step or None, scenario=scenario)
    if not dry_run:
        write(project, found, actor=local_actor())
    for item in found:
        print(approval_line(item))
    if dry_run:
        print("nothing was written, because of --dry-run")


@app.command("list")
def list_(
    runbook: str = typer.Argument(None, metavar="[RUNBOOK]", help="Only those of this runbook."),
    as_json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """List baselines: their size, who approved them, and those that are missing or were changed since."""
    from cli.reporters.baselines import table
    from runbook_defs.pack import InvalidPack
    from runbook_factory.audit.baselines import read_approvals
    from runbook_factory.baselines import list_baselines
    from runbook_factory.database import engine
    from runbook_factory.project import find_project

    project = find_project()
    runbooks = _runbooks(project, runbook)
    approvals = read_approvals(engine(project))
    found: list[Baseline] = []
    broken = False
    for runbook_id in runbooks:
        try:
            found += list_baselines(project, runbook_id, approvals)
        except InvalidPack as error:
            explain(error.path, error.problems)
            broken = True
    if as_json:
        print(json.dumps([asdict(item) for item in found], indent=2, default=str))
    elif found:
        for line in table(found):
            print(line)
    elif not broken:
        where = f"the pack of {runbook}" if runbook else "any pack"
        print(paint(f"no baselines in {where}: a step of the type ui_screenshot takes a picture", "dim"))
    if broken:
        raise typer.Exit(Exit.FINDINGS)


def _found(project: "Project", name: str, *, step: str | None, scenario: str | None) -> "list[NewBaseline]":
    """What is to be approved; exits when the acceptance pack has errors."""
    from runbook_defs.pack import InvalidPack
    from runbook_factory.approval import find_new

    try:
        return find_new(project, name, step=step, scenario=scenario)
    except InvalidPack as error:
        explain(error.path, error.problems)
        raise typer.Exit(Exit.FINDINGS) from None


def _runbooks(project: "Project", wanted: str | None) -> list[str]:
    from runbook_defs.problems import did_you_mean, listed

    known = project.runbook_ids()
    if wanted is None:
        return known
    if wanted not in known:
        hint = did_you_mean(wanted, known) or (f"there are: {listed(known)}" if known else "")
        raise Stop(f"no runbook {wanted!r} in {project.runbooks}", hint=hint)
    return [wanted]
