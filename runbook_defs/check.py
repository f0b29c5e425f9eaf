"""From a document to a runbook, or to everything that is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbook_defs.checks.control import check_control
from runbook_defs.checks.goals import check_goals
from runbook_defs.checks.references import Uses, check_references
from runbook_defs.checks.schedule import check_schedule
from runbook_defs.checks.shape import check_shape
from runbook_defs.checks.steps import check_steps
from runbook_defs.checks.subject import Subject
from runbook_defs.checks.tolerances import check_tolerances
from runbook_defs.model import Runbook
from runbook_defs.problems import Code, Problem, Severity
from runbook_defs.source import Document
from runbook_defs.step_spec import StepSpec


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found: the problems in the order of the file, and the runbook when none is an error."""

    document: Document
    runbook: Runbook | None
    problems: tuple[Problem, ...]
    uses: Uses = field(default_factory=Uses)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep the runbook from running."""
        return tuple(item for item in self.problems if item.severity is Severity.ERROR)

    @property
    def folder(self) -> Path:
        """Where the files beside the runbook lie."""
        return self.document.path.parent


def check_document(document: Document, *, step_types: Mapping[str, StepSpec]) -> Checked:
    """Checks everything about `document` at once.

    `step_types` may have a name that it cannot give: the text of its `KeyError` says why.
    """
    if not document.readable:
        return Checked(document=document, runbook=None, problems=tuple(document.problems))
    subject = Subject(document, step_types, list(document.problems))
    runbook = check_shape(subject)
    check_steps(subject)
    check_control(subject)
    uses = check_references(subject)
    check_goals(subject)
    check_schedule(subject, uses)
    check_tolerances(subject)
    _folder_name(subject)
    problems = tuple(sorted(set(subject.problems), key=lambda item: (item.line, item.column, item.code)))
    failed = any(item.severity is Severity.ERROR for item in problems)
    return Checked(document=document, runbook=None if failed else runbook, problems=problems, uses=uses)


def _folder_name(subject: Subject) -> None:
    folder, runbook_id = subject.folder.name, subject.data.get("id")
    in_project = subject.document.path.name == "runbook.yaml" and subject.folder.parent.name == "runbooks"
    if in_project and isinstance(runbook_id, str) and runbook_id != folder:
        message = f"the id is {runbook_id!r}, but the folder is called {folder!r}"
        subject.add(Code.ID_NOT_FOLDER, ("id",), message, hint="a runbook lies in the folder of its id")
