"""`rb keys`: the key that seals sensitive inputs."""

import typer

from cli.errors import Exit

app = typer.Typer(help="Sealed inputs: put them under a new key, or forget those of an execution.")


@app.command("rotate")
def rotate() -> None:
    """Put every sealed input under the key of now; RUNBOOK_KEY_PREVIOUS holds those of before."""
    from runbook_factory.database import engine, reachable
    from runbook_factory.opening import make_ready
    from runbook_factory.project import find_project
    from runbook_factory.sealed_inputs import rotate_inputs

    project = find_project()
    make_ready(project)
    with reachable():
        rotation = rotate_inputs(engine(project), project)
    for problem in rotation.problems:
        print(f"✗ {problem.message}")
        print(f"      next: {problem.hint}")
    count = rotation.rewrapped
    print(f"{count} sealed input{'' if count == 1 else 's'} put under the key of now")
    if rotation.problems:
        raise typer.Exit(Exit.FINDINGS)


@app.command("erase")
def erase(
    execution: str = typer.Argument(
        ..., metavar="EXECUTION", help="Its id or short name, as `rb ls` shows it."
    ),
) -> None:
    """Forget the sensitive inputs of an execution for good; its record stays."""
    from runbook_factory.database import engine, reachable
    from runbook_factory.execution_log import get_execution
    from runbook_factory.opening import make_ready
    from runbook_factory.project import find_project
    from runbook_factory.sealed_inputs import erase_inputs

    project = find_project()
    make_ready(project)
    with reachable():
        record = get_execution(engine(project), execution)
        count = erase_inputs(engine(project), record.id)
    print(f"{count} sealed input{'' if count == 1 else 's'} of {record.short_name} erased")
