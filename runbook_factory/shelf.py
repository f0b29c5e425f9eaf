"""Where an execution's pictures are kept, and where their baselines lie."""

from collections.abc import Mapping
from pathlib import Path

from runbook_factory.project import Project


class ExecutionShelf:
    """The shelf of one step of one execution."""

    def __init__(
        self,
        project: Project,
        *,
        runbook_id: str,
        execution_id: str,
        step_id: str,
        baselines: Mapping[str, str],
    ) -> None:
        self._project = project
        self._pack = project.pack(runbook_id)
        self._folder = project.state / "artifacts" / execution_id / step_id
        self._baselines = baselines

    def keep(self, name: str, data: bytes) -> str:
        """Writes the file; its path is relative to the project."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        path.write_bytes(data)
        return str(path.relative_to(self._project.root))

    def baseline(self, name: str) -> bytes | None:
        """The picture that the scenario names, else the pack's `screenshots/baseline-<name>.png`."""
        path = Path(self._baselines.get(name) or self._pack / "screenshots" / f"baseline-{name}.png")
        try:
            return path.read_bytes()
        except OSError:
            return None
