"""`rb schema`: what editors and other validators need to know of our files."""

import json
from pathlib import Path

import typer

from cli.errors import Stop


def schema(
    output: Path = typer.Option(None, "--output", metavar="FILE", help="Write it to a file."),
    pack: bool = typer.Option(False, "--pack", help="The schema of acceptance.yml instead."),
    fixture: bool = typer.Option(False, "--fixture", help="The schema of fixtures instead."),
) -> None:
    """Write the JSON Schema of runbook.yaml, with the inputs of every installed step type."""
    if pack and fixture:
        raise Stop("--pack and --fixture are two schemas: ask for one at a time")
    from runbook_factory.editor_schema import Subject, build_schema
    from step_ops.registry import step_types

    subject = Subject.PACK if pack else Subject.FIXTURE if fixture else Subject.RUNBOOK
    text = json.dumps(build_schema(subject, step_types=step_types()), indent=2)
    if output is None:
        print(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Stop(f"cannot write {output}: {reason}") from None
    print(f"wrote {output}")
