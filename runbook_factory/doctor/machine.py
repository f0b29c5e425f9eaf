"""What this machine has: Python, packages, a browser, tools."""

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from runbook_factory.doctor.finding import Finding, good, missing
from runbook_factory.loadtest.k6 import INSTALL_K6, find_k6
from step_ops.drivers.find_browser import find_browser, need_browser
from step_ops.errors import StepError
from step_ops.registry import step_types

DISTRIBUTION = "runbook-engine"
_SHOWN = ("dagster", "playwright")
_PUSHGATEWAY = "prometheus-pushgateway"
_BROWSER_SECONDS = 5


def look_at_python() -> Iterator[Finding]:
    """The interpreter; an older one could not have come this far."""
    yield good("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")


def look_at_packages() -> Iterator[Finding]:
    """The packages that ours names, and their versions."""
    absent = [name for name in _required() if _version(name) is None]
    if absent:
        yield missing(
            "packages", f"not installed: {', '.join(absent)}", then=f"pip install {' '.join(absent)}"
        )
        return
    shown = ", ".join(f"{name} {_version(name)}" for name in (DISTRIBUTION, *_SHOWN))
    yield good("packages", shown)


def _required() -> list[str]:
    """The distributions that ours needs everywhere, not in some Pythons or for its own tests only."""
    return [re.split(r"[^\w.-]", line)[0] for line in requires(DISTRIBUTION) or () if ";" not in line]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def look_at_step_types() -> Iterator[Finding]:
    """The step types there are, and each that cannot be used."""
    known = step_types()
    broken = known.broken()
    usable = [name for name in known if name not in broken]
    yield good("step types", ", ".join(usable))
    for name, error in broken.items():
        yield missing(f"step type {name}", error.message, then=error.hint)


def look_at_browser(*, needed: bool) -> Iterator[Finding]:
    """The browser that takes screenshots."""
    found = find_browser()
    if found is None:
        try:
            need_browser()
        except StepError as error:
            yield missing("browser", error.message, needed=needed, then=error.hint)
        return
    try:
        done = subprocess.run(  # noqa: S603 - the browser that steps run too
            [str(found), "--version"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=_BROWSER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        yield missing("browser", f"{found} does not start", needed=needed, then=f"{found} --version")
        return
    said = " ".join(done.stdout.decode(errors="replace").split())
    yield good("browser", f"{found} ({said[:60]})")


def look_at_tools() -> Iterator[Finding]:
    """Programs that are good to have."""
    yield _tool("k6", find_k6(), f"for load tests: {INSTALL_K6}")
    found = shutil.which(_PUSHGATEWAY)
    yield _tool(_PUSHGATEWAY, found, f"for trying metrics_publish out: apt-get install {_PUSHGATEWAY}")


def _tool(name: str, found: Path | str | None, then: str) -> Finding:
    return good(name, str(found)) if found else missing(name, "not installed", needed=False, then=then)
