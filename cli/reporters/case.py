"""One case of `rb test` as lines: those after its steps, and all of them."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cli.reporters.problems import shown_path
from cli.reporters.progress import assumption_line, kpi_lines, picture_lines, step_lines
from cli.reporters.style import paint, plain, tick

if TYPE_CHECKING:
    from runbook_factory.acceptance import CaseFinished
    from runbook_factory.pack_update import Change


def all_lines(finished: "CaseFinished") -> Iterator[str]:
    """Everything about the case, as it was printed."""
    for result in finished.record.assumptions:
        yield assumption_line(result)
    for step in finished.record.steps:
        yield from step_lines(step)
    yield from verdict_lines(finished)


def verdict_lines(finished: "CaseFinished") -> Iterator[str]:
    """Key figures, pictures, and what is not as expected."""
    record, expected = finished.record, finished.case.expected
    yield from kpi_lines(record.kpis)
    yield from picture_lines(record, identical="within threshold", strict=True)
    if record.status == expected.status != "success":
        yield f"{tick(True)} Status: {record.status} (as expected)"
    for finding in finished.findings:
        if not finding.told:
            yield f"{tick(False)} {plain(finding.what)}"
        yield from (f"      {plain(line)}" for line in finding.details)


def change_lines(changes: "Iterable[Change]") -> Iterator[str]:
    """The files that were written, and what is different in them."""
    for change in changes:
        new = " (new)" if change.new else ""
        yield f"{paint('↻', 'yellow')} Updated: {plain(shown_path(change.path))}{new}"
        yield from (f"      {plain(line)}" for line in change.lines)
