"""Commands as a user meets them: a process each, against a peer that only starts Python with a CLI."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RB = str(Path(sys.executable).with_name("rb"))
RUNBOOK = "rb-001-entity-enrichment"
HEAVY = ("dagster", "playwright", "psycopg2", "sqlalchemy", "alembic")

PEER = [sys.executable, "-c", "import typer, pydantic, yaml"]


def main() -> None:
    """Prints the table."""
    peer = _seconds(PEER)
    print("command                                 median s   x peer")
    print(f"python with typer, pydantic, yaml        {peer:8.3f}      1.0")
    rows = {
        "rb --help": [RB, "--help"],
        "rb validate (one runbook)": [RB, "validate", RUNBOOK],
        "rb test (golden fixture, screenshot)": [
            *(RB, "test", RUNBOOK, "--fixture", "fixtures/golden-scenarios.json"),
        ],
    }
    for name, command in rows.items():
        seconds = _seconds(command)
        print(f"{name:40} {seconds:8.3f} {seconds / peer:8.1f}")
    loaded = _loaded(["validate", RUNBOOK])
    print(f"heavy modules that rb validate loads: {', '.join(loaded) or 'none'}\n")


def _seconds(command: list[str], *, runs: int = 5) -> float:
    def once() -> float:
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    once()
    return statistics.median(once() for _ in range(runs))


def _loaded(arguments: list[str]) -> list[str]:
    """The heavy modules that are loaded after a command."""
    code = (
        "import json, sys\nfrom cli.main import app\n"
        f"app({arguments!r}, standalone_mode=False)\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return loaded
