"""Which browser takes the pictures: a named one, one on PATH, or one that Playwright installed."""

import os
import re
import shutil
import sys
from pathlib import Path

from step_ops.errors import ErrorType, StepError

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_INSTALLED = (
    "chromium_headless_shell-*/*/*headless?shell*",
    "chromium-*/*/chrome",
    "chromium-*/*/chrome.exe",
    "chromium-*/*/*.app/Contents/MacOS/*",
)


def find_browser() -> Path | None:
    """The browser to use: RB_BROWSER, else one on PATH, else what `playwright install` left."""
    named = os.environ.get("RB_BROWSER")
    for name in (named,) if named else _NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    return None if named else _installed_by_playwright()


def need_browser() -> Path:
    """The same; raises `StepError` of type `screenshot` when there is none."""
    found = find_browser()
    if found is None:
        named = os.environ.get("RB_BROWSER")
        raise StepError(
            ErrorType.SCREENSHOT,
            f"RB_BROWSER names {named!r}, which cannot be run"
            if named
            else "no browser found to take the picture with",
            hint="`apt-get install chromium-headless-shell` or `playwright install chromium`, "
            "or set RB_BROWSER to the path of a Chromium",
        )
    return found


def _installed_by_playwright() -> Path | None:
    """The newest browser in Playwright's own folder, a headless shell before a full Chromium."""
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or _cache() / "ms-playwright")
    for pattern in _INSTALLED:
        found = [path for path in folder.glob(pattern) if path.is_file() and os.access(path, os.X_OK)]
        if found:
            return max(found, key=lambda path: _revision(path.relative_to(folder).parts[0]))
    return None


def _cache() -> Path:
    home = Path.home()
    match sys.platform:
        case "darwin":
            return home / "Library" / "Caches"
        case "win32":
            return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        case _:
            return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")


def _revision(folder: str) -> int:
    return int("0" + "".join(re.findall(r"\d+", folder.rpartition("-")[2])))
