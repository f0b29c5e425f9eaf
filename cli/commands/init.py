"""`rb init`: a first runbook that passes its tests at once."""

import os
import shlex
from pathlib import Path

import typer


def init(
    runbook_id: str = typer.Argument("my-first-runbook", metavar="[ID]", help="The id of the new runbook."),
    folder: Path = typer.Option(
        None, "--in", metavar="DIR", help="The project's folder; else the one around the current folder."
    ),
) -> None:
    """Make a runbook with its acceptance pack, and a project for it in an empty folder."""
    from runbook_factory.scaffolding import make_runbook

    made = make_runbook(runbook_id, folder=folder)
    root = made.project.root
    print(f"{'a new project' if made.is_new_project else 'a new runbook'} in {_shown(root)}")
    for path in made.files:
        print(f"  {path.as_posix()}")
    print("next:")
    if not Path.cwd().is_relative_to(root):
        print(f"  cd {shlex.quote(str(_shown(root)))}")
    for command in ("validate", "test", "run"):
        print(f"  rb {command} {made.runbook_id}")


def _shown(root: Path) -> str:
    return os.path.relpath(root) if root.is_relative_to(Path.cwd()) and root != Path.cwd() else str(root)
