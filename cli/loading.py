"""Getting hold of a runbook for a command, with its problems printed when it has any."""

from typing import TYPE_CHECKING

import typer

from cli.errors import Exit
from cli.reporters.problems import as_text

if TYPE_CHECKING:
    from runbook_factory.catalog import LoadedRunbook


def load(runbook_id: str) -> "LoadedRunbook":
    """The runbook of the project around the current folder; exits when it has errors."""
    from runbook_factory.catalog import InvalidRunbook, load_runbook
    from runbook_factory.project import find_project

    try:
        return load_runbook(find_project(), runbook_id)
    except InvalidRunbook as error:
        lines = error.path.read_text(encoding="utf-8", errors="replace").splitlines()
        for problem in error.problems:
            print(as_text(problem, lines))
        raise typer.Exit(Exit.FINDINGS) from None
