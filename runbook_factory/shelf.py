"""Where an execution's pictures are kept, and where their baselines lie."""

from collections.abc import Callable, Mapping
from pathlib import Path

from runbook_factory.project import Project


class ExecutionShelf:
    """The shelf of one step of one execution."""

    def __init__(
        self,
        project: Project,
        *,
        execution_id: str,
        step_id: str,
        baseline: Callable[[str], bytes | None],
        writes: bool = True,
    ) -> None:
        self._project = project
        self._folder = project.state / "artifacts" / execution_id / step_id
        self._writes = writes
        self.baseline = baseline

    def keep(self, name: str, data: bytes) -> str:
        """Writes the file, unless nothing is to be left; its path is relative to the project."""
        path = self._folder / name
        if self._writes:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return str(path.relative_to(self._project.root))


def default_baseline(name: str) -> str:
    """The baseline of a picture that no scenario names one for, by its path in the pack."""
    return f"screenshots/baseline-{name}.png"


def baseline_of(pack: Path, named: Mapping[str, str], name: str) -> bytes | None:
    """The picture that the scenario names, else the pack's `screenshots/baseline-<name>.png`."""
    path = Path(named.get(name) or pack / default_baseline(name))
    try:
        return path.read_bytes()
    except OSError:
        return None
