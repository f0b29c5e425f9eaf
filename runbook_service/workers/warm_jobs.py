"""The runbooks of a project, loaded and built as Dagster jobs, so that a run begins at once."""

from contextlib import suppress
from dataclasses import dataclass, field

from dagster import DagsterError, DagsterRun

from runbook_factory.catalog import InvalidRunbook, LoadedRunbook, load_all, load_runbook
from runbook_factory.jobs import build_job
from runbook_factory.project import Project, ProjectError
from runbook_factory.runs import WarmJob


class Unrunnable(Exception):
    """A run that cannot be executed; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass
class WarmJobs:
    """The jobs by runbook. A runbook that was changed is loaded again when it is next asked for."""

    project: Project
    stale: bool = False  # whether something had to be loaded again
    _built: dict[str, tuple[LoadedRunbook, WarmJob]] = field(default_factory=dict)

    @classmethod
    def of(cls, project: Project) -> "WarmJobs":
        """Every runbook that can run."""
        jobs = cls(project)
        for runbook in load_all(project)[0]:
            with suppress(Unrunnable):  # whoever asks for it is told
                jobs._build(runbook)
        return jobs

    def job(self, run: DagsterRun) -> WarmJob:
        """The job of `run`, as its runbook is now, which the record will name; raises `Unrunnable`."""
        return self._current(run.tags["runbook/id"])[1]

    def _current(self, runbook_id: str) -> tuple[LoadedRunbook, WarmJob]:
        known = self._built.get(runbook_id)
        if known is not None and _is_current(known[0]):
            return known
        try:
            runbook = load_runbook(self.project, runbook_id)
        except (ProjectError, InvalidRunbook) as error:
            raise Unrunnable(f"the runbook {runbook_id} does not load here: {_why(error)}") from None
        self.stale = True
        return self._build(runbook)

    def _build(self, runbook: LoadedRunbook) -> tuple[LoadedRunbook, WarmJob]:
        try:
            built = runbook, WarmJob.of(build_job(runbook))
        except DagsterError as error:
            raise Unrunnable(f"Dagster refuses the runbook {runbook.id}: {error}") from None
        self._built[runbook.id] = built
        return built


def _why(error: ProjectError | InvalidRunbook) -> str:
    if isinstance(error, ProjectError):
        return error.message
    first, *more = error.problems
    others = f", and {len(more)} more" if more else ""
    return f"line {first.line}: {first.message}{others}"


def _is_current(runbook: LoadedRunbook) -> bool:
    """Whether its files are as they were loaded."""
    try:
        return runbook.checked.document.path.read_bytes() == runbook.text.encode() and all(
            (runbook.folder / name).read_bytes() == data for name, data in runbook.files.items()
        )
    except OSError:
        return False
