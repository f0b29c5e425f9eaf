"""`python -m demo.smoke`: the main road end to end: validate, test, a live run, its record.

Each command is printed and really run; the first that fails ends it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from demo.app import DEFAULT_TOKEN
from demo.world import MissingPart, pushgateway, upstream

RUNBOOK = "rb-001-entity-enrichment"
PAGE_PORT = 3000  # where the runbook's own page address points
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Walks the road; exits with 1 at the first command that fails."""
    was_running = (ROOT / ".runbook" / "pg" / "postmaster.pid").exists()
    try:
        _rb("validate", "--strict", RUNBOOK)
        _rb("test", RUNBOOK, "--fixture", "fixtures/golden-scenarios.json")
        with upstream(port=PAGE_PORT) as api, pushgateway() as metrics:
            where = {
                "SOURCE_API_URL": f"{api}/api/entities",
                "API_BASE_URL": api,
                "API_TOKEN": DEFAULT_TOKEN,
                "PUSHGATEWAY_URL": metrics,
            }
            last = _rb("run", RUNBOOK, environment=where)
        _rb("ls", "--limit", "3")
        _rb("show", last.split()[-1])
    except MissingPart as missing:
        sys.exit(f"smoke: {missing}")
    finally:
        if not was_running:
            _rb("db", "stop")
    print("\nsmoke: all well")


def _rb(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Runs `rb` and shows what it prints; gives its last line."""
    print(f"\n$ rb {' '.join(arguments)}", flush=True)
    command = [str(Path(sys.executable).with_name("rb")), *arguments]
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own program
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(f"smoke: rb {arguments[0]} failed with exit code {process.returncode}")
    return lines[-1] if lines else ""


if __name__ == "__main__":
    main()
