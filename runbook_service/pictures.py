"""The pictures of an execution: as files where it ran, and from the record wherever somebody asks."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from runbook_factory.project import Project

_KEPT = text(
    """
    SELECT picture->>'path' AS path, body.bytes
    FROM runbook.runbook_step_logs step,
        jsonb_array_elements(step.pictures) picture
        JOIN runbook.bodies body ON body.digest = picture->>'digest' AND NOT body.truncated
    WHERE step.execution_id = CAST(:id AS UUID) AND (CAST(:path AS TEXT) IS NULL OR picture->>'path' = :path)
    """
)


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that an execution left: its name is `<step>/<picture>.png`."""

    name: str
    data: bytes

    def as_json(self) -> dict[str, object]:
        """Its name, size and SHA-256."""
        return {
            "name": self.name,
            "bytes": len(self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(),
        }


def list_artifacts(project: Project, engine: Engine, execution_id: str) -> list[Artifact]:
    """All that the execution left here, and the pictures that its record has."""
    folder = _folder(project, execution_id)
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    start = str(folder.relative_to(project.root)) + "/"
    with engine.connect() as connection:
        for row in connection.execute(_KEPT, {"id": execution_id, "path": None}):
            found.setdefault(row.path.removeprefix(start), bytes(row.bytes))
    return [Artifact(name=name, data=data) for name, data in sorted(found.items())]


def read_artifact(project: Project, engine: Engine, execution_id: str, name: str) -> bytes | None:
    """The file called `name`; None when there is none."""
    folder = _folder(project, execution_id)
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        return None
    if path.is_file():
        return path.read_bytes()
    kept = str(folder.relative_to(project.root) / name)
    with engine.connect() as connection:
        row = connection.execute(_KEPT, {"id": execution_id, "path": kept}).first()
    return None if row is None else bytes(row.bytes)


def _folder(project: Project, execution_id: str) -> Path:
    return project.state / "artifacts" / execution_id
