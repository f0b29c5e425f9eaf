"""The scripts of a project, one for each runbook that has a load test."""

from pathlib import Path

from runbook_factory.loadtest.refusal import LoadTestError
from runbook_factory.loadtest.script import options_of
from runbook_factory.project import Project
from runbook_factory.whole_file import write_whole


def script_file(project: Project, runbook_id: str) -> Path:
    """Where the script of a runbook is, or would be."""
    return project.root / "loadtests" / f"{runbook_id}.js"


def tested_runbooks(project: Project) -> list[str]:
    """The runbooks that have a script, by its name."""
    return sorted(path.stem for path in (project.root / "loadtests").glob("*.js"))


def read_script(project: Project, runbook_id: str) -> str:
    """The script of the runbook; raises `LoadTestError` when there is none."""
    path = script_file(project, runbook_id)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = f"make it: rb loadtest generate {runbook_id}"
        raise LoadTestError(f"{runbook_id} has no load test", hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LoadTestError(f"{path} cannot be read: {error}") from None


def write_script(project: Project, runbook_id: str, text: str) -> bool:
    """Writes the script; gives whether it was another before. Raises `LoadTestError` for a file that
    somebody has written by hand.
    """
    path = script_file(project, runbook_id)
    if path.is_file():
        before = read_script(project, runbook_id)
        if before == text:
            return False
        try:
            options_of(before)
        except LoadTestError as error:
            hint = "move it away, and it will be written"
            raise LoadTestError(
                f"{path.name} in loadtests/ stays as it is: {error.message}", hint=hint
            ) from None
    try:
        write_whole(path, text.encode("utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LoadTestError(f"{path} cannot be written: {reason}") from None
    return True
