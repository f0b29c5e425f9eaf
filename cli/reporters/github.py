"""Problems as workflow commands of GitHub Actions, which shows them at their line of a pull request."""

from cli.reporters.places import relative_path
from cli.reporters.style import plain
from runbook_defs.problems import Problem, Severity

_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def as_github(problem: Problem) -> str:
    """One line such as `::error file=...,line=4,col=11,title=RB203::unknown step type 'api_cal'`."""
    command = "error" if problem.severity is Severity.ERROR else "warning"
    about = {
        "file": relative_path(problem.path),
        "line": str(problem.line),
        "col": str(problem.column),
        "title": problem.code.value,
    }
    properties = ",".join(f"{name}={_escaped(value, _PROPERTY)}" for name, value in about.items())
    said = problem.message + (f"\nhint: {problem.hint}" if problem.hint else "")
    return f"::{command} {properties}::{_escaped(said, _DATA)}"


def _escaped(text: str, marks: dict[str, str]) -> str:
    return "".join(marks.get(char, char) for char in plain(text))
