"""Many runbooks checked in one process; the peer only parses the same files with PyYAML."""

import tempfile
import time
from pathlib import Path

import yaml

from runbook_factory.catalog import check_file

RUNBOOKS, STEPS = 1000, 20


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [_write(Path(folder), number) for number in range(RUNBOOKS)]
        began = time.perf_counter()
        problems = sum(len(check_file(path).problems) for path in paths)
        ours = time.perf_counter() - began
        began = time.perf_counter()
        for path in paths:
            yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        peer = time.perf_counter() - began
    print(f"checking {RUNBOOKS} runbooks of {STEPS} steps: {ours:.2f} s, {problems} problems", end="")
    print(f"; only parsing them: {peer:.2f} s; {ours / peer:.1f} x\n")


def _write(folder: Path, number: int) -> Path:
    lines = [
        f"id: bench-{number}\nname: b\nversion: 1.0.0\nowner: b\nlegal_basis: none\n"
        "kpis: {max_duration_seconds: 60}\nsteps:\n"
    ]
    for step in range(STEPS):
        before = f"    depends_on: [s{step - 1}]\n" if step else ""
        query = f"?from=${{steps.s{step - 1}.outputs.last}}" if step else ""
        lines.append(
            f"  - id: s{step}\n    type: data_fetch\n{before}    inputs:\n"
            f'      source_url: "https://x.test/{step}{query}"\n      auth_token: "${{API_TOKEN}}"\n'
            '    outputs: {last: "$.last"}\n'
        )
    path = folder / f"bench-{number}.yaml"
    path.write_text("".join(lines), encoding="utf-8")
    return path
