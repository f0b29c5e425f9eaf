"""Runbooks whose steps do nothing: what is left is the engine."""

from pathlib import Path

HEAD = "id: {id}\nname: Benchmark\nversion: 1.0.0\nowner: benchmarks\nlegal_basis: none needed\nsteps:\n"
DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d"]}


def write_diamond(root: Path, runbook_id: str = "diamond") -> str:
    """Five steps, a -> b, c -> d -> e; gives the id."""
    return _write(root, runbook_id, DIAMOND)


def write_chain(root: Path, steps: int) -> str:
    """So many steps, one after the other; gives the id."""
    edges = {f"s{number}": [f"s{number - 1}"] if number else [] for number in range(steps)}
    return _write(root, f"chain-{steps}", edges)


def write_wait(root: Path, seconds: float) -> str:
    """One step that waits; gives the id."""
    return _write(root, f"wait-{round(seconds * 1000)}", {"rest": []}, seconds=seconds)


def _write(root: Path, runbook_id: str, edges: dict[str, list[str]], *, seconds: float = 0) -> str:
    path = root / "runbooks" / runbook_id / "runbook.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = [
        f"  - id: {step}\n    type: wait\n"
        + (f"    depends_on: [{', '.join(before)}]\n" if before else "")
        + f"    inputs: {{seconds: {seconds}}}\n"
        for step, before in edges.items()
    ]
    path.write_text(HEAD.format(id=runbook_id) + "".join(steps), encoding="utf-8")
    return runbook_id
