"""What a replay costs: the command, the comparison in it, a large answer, and fifty executions in one go."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from demo.app import DEFAULT_TOKEN
from demo.world import pushgateway, upstream
from runbook_defs.tolerances import Tolerances
from runbook_factory import embedded

ROOT = Path(__file__).resolve().parent.parent
RB = str(Path(sys.executable).with_name("rb"))
RUNBOOK = "rb-001-entity-enrichment"
EXECUTIONS = 50


def main() -> None:
    """Prints the tables."""
    _large_answer()
    with tempfile.TemporaryDirectory(prefix="rb-bench-") as folder:
        root = Path(folder)
        try:
            _commands(root)
        finally:
            embedded.stop(root / ".runbook")


def _commands(root: Path) -> None:
    last, live = _record(root)
    peer = _seconds([sys.executable, "-c", "import dagster"])
    replay = _seconds([RB, "replay", last], root=root)
    began = time.perf_counter()
    subprocess.run(
        [RB, "replay", RUNBOOK, "--against", "current", "--last", str(EXECUTIONS)],
        cwd=root,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    backtest = time.perf_counter() - began
    print("replay of rb-001 without its screenshot            s   x peer")
    print(f"python with dagster imported              {peer:8.3f}      1.0")
    print(f"rb replay                                 {replay:8.3f} {replay / peer:8.1f}")
    print(f"rb replay --against current --last {EXECUTIONS}     {backtest:8.3f} {backtest / peer:8.1f}")
    print(f"of that, each execution                   {backtest / EXECUTIONS:8.3f}")
    print(f"a live run of it, as a command            {live:8.3f} {live / peer:8.1f}\n")


def _record(root: Path) -> tuple[str, float]:
    """Live executions of the runbook in a project at `root`; the last one's id and the median seconds."""
    folder = root / "runbooks" / RUNBOOK
    shutil.copytree(ROOT / "runbooks" / RUNBOOK, folder)
    shutil.copy(ROOT / "connections.yaml", root)
    file = folder / "runbook.yaml"
    file.write_text(file.read_text().partition("  - id: screenshot_ui")[0])
    took: list[float] = []
    last = ""
    with upstream() as api, pushgateway() as metrics:
        where = {
            "SOURCE_API_URL": f"{api}/api/entities",
            "API_BASE_URL": api,
            "API_TOKEN": DEFAULT_TOKEN,
            "PUSHGATEWAY_URL": metrics,
        }
        for _ in range(EXECUTIONS):
            began = time.perf_counter()
            done = subprocess.run(
                [RB, "run", RUNBOOK],
                cwd=root,
                env={**os.environ, **where},
                check=True,
                capture_output=True,
                text=True,
            )
            took.append(time.perf_counter() - began)
            last = done.stdout.split()[-1]
    return last, statistics.median(took)


def _large_answer() -> None:
    """An answer of 1.6 MB compared; the peer reads it as JSON."""
    rows = [
        {"id": n, "name": f"entity {n}", "score": n / 7, "tags": ["a", "b"], "at": "2025-11-29T09:00:00Z"}
        for n in range(15_000)
    ]
    text = json.dumps(rows)
    changed = json.loads(text)
    for place in range(0, 15_000, 750):
        changed[place]["name"] = "another"
    renamed = [{("title" if key == "name" else key): value for key, value in row.items()} for row in rows]
    peer = _median(lambda: json.loads(text))
    print(f"an answer of {len(text) / 1e6:.1f} MB compared                    ms   x peer")
    print(f"json.loads                                {peer * 1000:8.1f}      1.0")
    for name, other in (
        ("equal", json.loads(text)),
        ("20 values changed", changed),
        ("a field renamed in every record", renamed),
    ):
        seconds = _median(lambda o=other: Tolerances([]).differences(rows, o, step="s", part="response"))
        print(f"{name:40}  {seconds * 1000:8.1f} {seconds / peer:8.1f}")
    print()


def _median(work: Callable[[], object]) -> float:
    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    once()
    return statistics.median(once() for _ in range(3))


def _seconds(command: list[str], *, root: Path = ROOT) -> float:
    return _median(lambda: subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL))
