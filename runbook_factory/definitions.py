"""A folder of runbooks as Dagster definitions, for our workspace and for somebody else's project."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from dagster import (
    Definitions,
    Failure,
    GraphDefinition,
    JobDefinition,
    OpDefinition,
    OpExecutionContext,
)

from runbook_defs.problems import Problem
from runbook_factory.catalog import load_all
from runbook_factory.jobs import build_job, job_name
from runbook_factory.kpi_assets import kpi_asset
from runbook_factory.project import Project, ProjectError
from runbook_factory.schedules import build_schedule

_log = logging.getLogger("runbook")


def build_definitions(root: Path, *, only: Iterable[str] | None = None) -> Definitions:
    """A job for every runbook under `root/runbooks`, or for `only` those of these ids, with its schedule
    and the asset of its key figures.

    A file with errors becomes one error in the log and a job that says what is wrong and cannot run;
    the others load. Raises `ProjectError` when there is no folder `runbooks/`, or not a runbook named.
    Bring them into a project of your own with `Definitions.merge`.
    """
    root = root.resolve()
    project = Project(root)
    if not project.runbooks.is_dir():
        raise ProjectError(f"{root} has no folder runbooks/", hint="name the folder that holds runbooks/")
    good, broken = load_all(project, None if only is None else dict.fromkeys(only))
    for path, problems in broken.items():
        _log.error("%s does not load:\n%s", path.relative_to(root), _lines(problems, root))
    jobs = [build_job(runbook) for runbook in good]
    schedules = (build_schedule(runbook, job) for runbook, job in zip(good, jobs, strict=True))
    return Definitions(
        assets=[kpi_asset(job) for job in jobs],
        jobs=[*jobs, *(_broken_job(path, _lines(problems, root)) for path, problems in broken.items())],
        schedules=[schedule for schedule in schedules if schedule is not None],
    )


def _broken_job(path: Path, lines: str) -> JobDefinition:
    name = re.sub(r"\W", "_", job_name(path.parent.name))

    def refuse(context: OpExecutionContext, inputs: object) -> NoReturn:
        raise Failure(description=f"the runbook does not load:\n{lines}", allow_retries=False)

    return GraphDefinition(
        name=name,
        node_defs=[OpDefinition(name=f"{name}__does_not_load", compute_fn=refuse, outs={})],
    ).to_job(
        description=f"**This runbook does not load.**\n```\n{lines}\n```",
        tags={"runbook/broken": "true"},
    )


def _lines(problems: tuple[Problem, ...], root: Path) -> str:
    return "\n".join(_line(problem, root) for problem in problems)


def _line(problem: Problem, root: Path) -> str:
    path = problem.path
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{shown}:{problem.line}:{problem.column} {problem.code} {problem.message}{hint}"
