"""`rb exec -- CMD`: any command of Dagster's with the project's database and settings."""

import os

import typer

from cli.errors import Stop


def exec_(
    command: list[str] = typer.Argument(
        ..., metavar="CMD...", help="Such as: dagster-webserver -w workspace.yaml"
    ),
) -> None:
    """Run a command with DAGSTER_HOME and the database set, such as `rb exec -- dagster dev`."""
    from runbook_factory.project import find_project
    from runbook_service.dagster_process import dagster_environment

    environment = dagster_environment(find_project())
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - running it is what was asked for
    except OSError as error:
        raise Stop(f"cannot run {command[0]!r}: {(error.strerror or str(error)).lower()}") from None
