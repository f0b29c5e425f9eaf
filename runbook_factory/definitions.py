"""A folder of runbooks as Dagster definitions, for our workspace and for somebody else's project."""

import logging
from collections.abc import Mapping
from pathlib import Path

from dagster import Definitions, MetadataValue

from runbook_defs.problems import Problem
from runbook_factory.catalog import load_all
from runbook_factory.jobs import build_job
from runbook_factory.project import Project

_log = logging.getLogger("runbook")


def build_definitions(root: Path) -> Definitions:
    """A job for every runbook under `root/runbooks`.

    One that has errors is left out and told of, in the log and on the page of the code location; the
    others load.
    """
    good, broken = load_all(Project(root.resolve()))
    for problems in broken.values():
        for problem in problems:
            _log.error(_line(problem, root))
    return Definitions(jobs=[build_job(runbook) for runbook in good], metadata=_broken_metadata(broken, root))


def _broken_metadata(
    broken: Mapping[Path, tuple[Problem, ...]], root: Path
) -> dict[str, MetadataValue[str | None]]:
    return {
        f"runbook/broken/{path.parent.name}": MetadataValue.md(
            "\n".join(f"- `{_line(problem, root)}`" for problem in problems)
        )
        for path, problems in broken.items()
    }


def _line(problem: Problem, root: Path) -> str:
    path = problem.path
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{shown}:{problem.line}:{problem.column} {problem.code} {problem.message}{hint}"
