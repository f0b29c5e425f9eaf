"""`rb graph`: the steps of a runbook, and what waits for what."""

from enum import StrEnum

import typer

from cli.loading import load


class Format(StrEnum):
    """How a graph is drawn."""

    TEXT = "text"
    MERMAID = "mermaid"


def graph(
    runbook_id: str = typer.Argument(..., metavar="ID", help="The runbook's id."),
    form: Format = typer.Option(Format.TEXT, "--format", help="text, or Mermaid for Markdown pages."),
) -> None:
    """Draw the steps of a runbook: what runs after what, and what runs at the same time."""
    from cli.reporters.graph import as_mermaid, as_text

    runbook = load(runbook_id)
    print(as_mermaid(runbook) if form is Format.MERMAID else as_text(runbook))
