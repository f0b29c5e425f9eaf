"""The deployment's key, under which secrets become pseudonyms."""

import os
import secrets
from pathlib import Path

from runbook_factory.project import Project, ProjectError

VARIABLE = "RUNBOOK_KEY"
MIN_CHARACTERS = 32


def deployment_key(project: Project) -> bytes:
    """The key that RUNBOOK_KEY holds, else the one in the state folder, made at its first use."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        if len(named) < MIN_CHARACTERS:
            hint = "make one with: openssl rand -hex 32"
            raise ProjectError(f"{VARIABLE} is shorter than {MIN_CHARACTERS} characters", hint=hint)
        return named.encode()
    path = project.state_folder() / "key"
    try:
        return _read(path)
    except FileNotFoundError:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process was first
            return _read(path)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        return _read(path)


def _read(path: Path) -> bytes:
    return path.read_bytes().strip()
