"""`python -m demo.smoke`: the main road end to end: validate, test, live runs, their records, replays, audit.

Each command is printed and really run; the first that fails ends it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from demo.app import DEFAULT_TOKEN
from demo.warehouse import AS_OF, as_url, make
from demo.world import MissingPart, pushgateway, surroundings, upstream

ENRICHMENT = "rb-001-entity-enrichment"
QUALITY = "dq-001-data-quality"
POLICY = "gov-001-policy-simulation"
PAGE_PORT = 3000  # where the runbook's own page address points
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Walks the road; exits with 1 at the first command that fails."""
    was_running = (ROOT / ".runbook" / "pg" / "postmaster.pid").exists()
    try:
        _rb("validate", "--strict")
        _rb("test", ENRICHMENT, "--fixture", "fixtures/golden-scenarios.json")
        _rb("test", "--all")
        quality, last = _run_live()
        _rb("ls", "--limit", "5")
        _rb("show", last)
        # The demo, the Pushgateway and the warehouse are gone by now.
        _replay(QUALITY, quality)
        _replay(ENRICHMENT, last)
        if _rb("replay", last) != "REPLAY VERIFIED":
            sys.exit("smoke: the replay was not verified")
        _rb("audit", "verify")
    except MissingPart as missing:
        sys.exit(f"smoke: {missing}")
    finally:
        if not was_running:
            _rb("db", "stop")
    print("\nsmoke: all well")


def _run_live() -> tuple[str, str]:
    """Runs every shipped runbook against the demo; gives the executions of the first and the last."""
    with (
        upstream(port=PAGE_PORT) as api,
        pushgateway() as metrics,
        tempfile.TemporaryDirectory(prefix="smoke-") as folder,
    ):
        warehouse = as_url(f"{folder}/warehouse.db")
        make(warehouse)
        where = surroundings(api=api, metrics=metrics, warehouse=warehouse)
        first = _rb("run", QUALITY, "-i", f"as_of={int(AS_OF.timestamp())}", environment=where)
        _rb("run", POLICY, environment=where)
        last = _rb("run", ENRICHMENT, environment=where)
        witness = {"AUDIT_URL": f"{api}/audit", "AUDIT_TOKEN": DEFAULT_TOKEN}
        _rb("audit", "deliver", environment=witness)
    return first.split()[-1], last.split()[-1]


def _replay(runbook: str, execution: str) -> None:
    """Replays the execution and holds the report against the one that its acceptance pack has."""
    expected = f"acceptance/{runbook}/expected/replay.json"
    command = f"rb replay {execution} --format json | diff - {expected}"
    print(f"\n$ {command}", flush=True)
    folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, check=False)  # noqa: S603, S607
    if done.returncode:
        sys.exit(f"smoke: the replay is not as {expected} has it")


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
    return lines[-1].strip() if lines else ""


if __name__ == "__main__":
    main()
