"""The deployment's key, under which secrets become pseudonyms and sensitive inputs are sealed."""

import os
import secrets
from pathlib import Path

from runbook_factory.project import Project, ProjectError

VARIABLE = "RUNBOOK_KEY"
PREVIOUS_VARIABLE = "RUNBOOK_KEY_PREVIOUS"
MIN_CHARACTERS = 32


def deployment_key(project: Project) -> bytes:
    """The key that RUNBOOK_KEY holds, else the one in the state folder, made at its first use."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return _checked(VARIABLE, named)
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


def previous_keys() -> list[bytes]:
    """The keys of before, with commas between them in RUNBOOK_KEY_PREVIOUS: they open, and seal nothing."""
    named = os.environ.get(PREVIOUS_VARIABLE, "")
    return [_checked(PREVIOUS_VARIABLE, key.strip()) for key in named.split(",") if key.strip()]


def _checked(variable: str, key: str) -> bytes:
    if len(key) < MIN_CHARACTERS:
        hint = "make one with: openssl rand -hex 32"
        what = "is" if variable == VARIABLE else "has a key that is"
        raise ProjectError(f"{variable} {what} shorter than {MIN_CHARACTERS} characters", hint=hint)
    return key.encode()


def _read(path: Path) -> bytes:
    return path.read_bytes().strip()
