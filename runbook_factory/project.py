"""A project: the folder that holds `runbooks/`, and where everything else of it lies."""

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "RUNBOOK_PROJECT"


class ProjectError(Exception):
    """There is no project here, or not the runbook that was asked for."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True)
class Project:
    """The folders and files of a project at `root`."""

    root: Path

    @property
    def runbooks(self) -> Path:
        """One folder per runbook."""
        return self.root / "runbooks"

    @property
    def connections(self) -> Path:
        """The file with the deployment's named connections."""
        return self.root / "connections.yaml"

    @property
    def state(self) -> Path:
        """What the program writes for itself: database, pictures, keys. Never under version control."""
        return self.root / ".runbook"

    def runbook_file(self, runbook_id: str) -> Path:
        """The definition of a runbook."""
        return self.runbooks / runbook_id / "runbook.yaml"

    def pack(self, runbook_id: str) -> Path:
        """The acceptance pack of a runbook."""
        return self.root / "acceptance" / runbook_id

    def runbook_ids(self) -> list[str]:
        """The runbooks there are, by name of their folder."""
        if not self.runbooks.is_dir():
            return []
        return sorted(path.parent.name for path in self.runbooks.glob("*/runbook.yaml"))

    def state_folder(self) -> Path:
        """The state folder, made when it is not there, with a note that keeps git away from it."""
        if not self.state.is_dir():
            self.state.mkdir(parents=True, exist_ok=True)
            (self.state / ".gitignore").write_text("*\n", encoding="utf-8")
        return self.state


def find_project(start: Path | None = None) -> Project:
    """The project that `start` (default: the current folder) lies in; raises `ProjectError`.

    The environment variable RUNBOOK_PROJECT names another one; a process of Dagster's that was
    started elsewhere finds it by DAGSTER_HOME.
    """
    named = os.environ.get(VARIABLE)
    if named and start is None:
        root = Path(named).expanduser()
        if not (root / "runbooks").is_dir():
            raise ProjectError(f"{VARIABLE} names {root}, which has no folder runbooks/")
        return Project(root.resolve())
    here = (start or Path.cwd()).resolve()
    home = Path(os.environ.get("DAGSTER_HOME") or here)
    for folder in (here, *here.parents, home):
        if (folder / "runbooks").is_dir():
            return Project(folder)
    raise ProjectError(
        f"no project here: neither {here} nor a folder above it has runbooks/",
        hint="change to the project's folder, or make runbooks/<id>/runbook.yaml",
    )
