"""Paths as tools of a code host want them: from the root of the repository, with forward slashes."""

import os
from pathlib import Path


def relative_path(path: Path) -> str:
    """The path from the root of the repository; the whole path of a file outside it.

    The root is where GitHub Actions put the repository, else the current folder.
    """
    try:
        whole = path.resolve()
    except (OSError, RuntimeError):
        return path.as_posix()
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    return (whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix()
