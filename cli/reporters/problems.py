"""Problems as text with the line they stand on, or as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from cli.reporters.style import paint, plain
from runbook_defs.problems import Problem, Severity

MAX_WIDTH = 160


def as_text(problem: Problem, lines: Sequence[str]) -> str:
    """Place, code and sentence; the line with a caret; the hint."""
    colour = "red" if problem.severity is Severity.ERROR else "yellow"
    place = paint(f"{shown_path(problem.path)}:{problem.line}:{problem.column}", "bold")
    severity = "" if problem.severity is Severity.ERROR else "warning: "
    shown = [f"{place} {paint(problem.code, colour)} {severity}{plain(problem.message)}"]
    if problem.line <= len(lines):
        shown += _snippet(lines[problem.line - 1], problem)
    if problem.hint:
        shown.append(f"      {paint('hint:', 'cyan')} {plain(problem.hint)}")
    return "\n".join(shown)


def _snippet(line: str, problem: Problem) -> list[str]:
    start = max(0, problem.column - MAX_WIDTH // 2) if len(line) > MAX_WIDTH else 0
    part = plain(line[start : start + MAX_WIDTH].replace("\t", " "))
    if not part.strip():
        return []
    caret = " " * max(0, problem.column - 1 - start) + "^"
    return [f"{problem.line:5} | {part}", f"      | {paint(caret, 'red')}"]


def as_json(files: Sequence[tuple[Path, Sequence[Problem]]]) -> str:
    """All problems of all files, for programs."""
    found = [
        {
            "path": shown_path(path),
            "line": problem.line,
            "column": problem.column,
            "code": problem.code.value,
            "severity": problem.severity.value,
            "message": problem.message,
            "hint": problem.hint,
        }
        for path, problems in files
        for problem in problems
    ]
    return json.dumps({"format": 1, "files": len(files), "problems": found}, indent=2)


def shown_path(path: Path) -> str:
    """The path from the current folder, when it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
