"""`rb test`: runbooks on fixtures, touching nothing."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cli.errors import Exit, Stop
from cli.loading import explain, load, load_all_cases, load_cases
from cli.reporters.outcome import Broken, Outcome
from cli.reporters.style import paint, plain

if TYPE_CHECKING:
    from runbook_factory.acceptance import Case, CaseFinished
    from runbook_factory.pack_update import Change, PackUpdate


def test(
    runbook_id: str = typer.Argument(None, metavar="[ID]", help="The runbook's id; or --all."),
    fixture: str = typer.Option(
        None, "--fixture", metavar="FILE", help="One fixture instead of the whole acceptance pack."
    ),
    every: bool = typer.Option(False, "--all", help="The packs of all runbooks."),
    only: str = typer.Option(
        None, "-k", metavar="EXPR", help="Only scenarios with this in `runbook::scenario`; not, and, or."
    ),
    fail_fast: bool = typer.Option(False, "--fail-fast", "-x", help="Stop after the first that fails."),
    report: Path = typer.Option(
        None, "--report", metavar="DIR", help="Write junit.xml, report.json and the pictures there."
    ),
    update: bool = typer.Option(
        False, "--update", help="Rewrite files under expected/, and make baselines that are missing."
    ),
) -> None:
    """Run acceptance packs on fixtures: no network, a virtual clock, real screenshots."""
    _refuse_contradictions(runbook_id, fixture, every)
    cases, broken = _collect(runbook_id, fixture, every, only)
    if report is not None:
        from cli.reporters.report import make_folder

        make_folder(report)
    outcome = _Session(fail_fast=fail_fast, update=update, headings=_Headings(every, len(cases))).run(
        cases, broken
    )
    if every or len(cases) > 1:
        print(f"\n{outcome}")
    print(paint("PASS", "green") if outcome.good else paint("FAIL", "red"))
    if report is not None:
        from cli.reporters.report import write_report

        write_report(report, outcome)
    sys.stdout.flush()
    if not outcome.good:
        raise typer.Exit(Exit.FINDINGS)


def _refuse_contradictions(runbook_id: str | None, fixture: str | None, every: bool) -> None:
    if runbook_id is None and not every:
        raise Stop("which runbook?", hint="rb test ID, or rb test --all for those of the whole project")
    if runbook_id is not None and every:
        raise Stop("--all tests every runbook, so it takes no ID", hint="leave one of the two out")
    if fixture is not None and every:
        raise Stop("--fixture is for one runbook, so it takes no --all", hint="rb test ID --fixture FILE")


def _collect(
    runbook_id: str, fixture: str | None, every: bool, only: str | None
) -> "tuple[list[Case], list[Broken]]":
    """The cases that are to run, and the runbooks that cannot be tested, having told of them."""
    from cli.selection import compile_selection

    chosen = compile_selection(only) if only is not None else None
    broken: list[Broken] = []
    if every:
        cases, broken, untested = load_all_cases()
        for item in broken:
            explain(item.path, item.problems)
        for name in untested if chosen is None else []:
            print(f"{paint('-', 'dim')} {name} has no scenarios")
    else:
        cases = load_cases(load(runbook_id), fixture)
    if not cases and not broken:
        where = f"acceptance/{runbook_id or '<id>'}/acceptance.yml"
        message = f"{runbook_id or 'no runbook'} has {'no' if runbook_id else 'any'} scenarios to run"
        raise Stop(message, hint=f"make {where}, or give --fixture")
    if chosen is not None:
        from runbook_defs.problems import listed

        kept = [case for case in cases if chosen(case.id)]
        if cases and not kept:
            raise Stop(f"no scenario matches -k {only!r}", hint=f"there are: {listed(c.id for c in cases)}")
        cases = kept
    return cases, broken


@dataclass(frozen=True)
class _Headings:
    """Which heading a case gets: none when it is alone."""

    every: bool
    cases: int

    def of(self, case: "Case", number: int) -> str:
        if not self.every and self.cases == 1:
            return ""
        gap = "\n" if number else ""
        return gap + paint(plain(case.id if self.every else case.name), "bold")


@dataclass(frozen=True, kw_only=True)
class _Session:
    """One run of cases, one after the other."""

    fail_fast: bool
    update: bool
    headings: _Headings

    def run(self, cases: "Sequence[Case]", broken: Sequence[Broken]) -> Outcome:
        from runbook_factory.pack_update import PackUpdate  # loads Dagster

        started_at, began = datetime.now(UTC), time.monotonic()
        finished: list[CaseFinished] = []
        updates = PackUpdate() if self.update else None
        left = list(cases)
        while left and not (self.fail_fast and (broken or (finished and not finished[-1].passed))):
            case = left.pop(0)
            heading = self.headings.of(case, len(finished))
            if heading:
                print(heading)
            last = _run(case, updates)
            if heading:
                print(paint("PASS", "green") if last.passed else paint("FAIL", "red"))
            finished.append(last)
        return Outcome(
            started_at=started_at,
            seconds=time.monotonic() - began,
            finished=finished,
            broken=broken,
            not_run=left,
        )


def _run(case: "Case", updates: "PackUpdate | None") -> "CaseFinished":
    """Runs one case and prints it as it happens."""
    from cli.reporters.case import change_lines, verdict_lines
    from cli.reporters.progress import Progress
    from runbook_factory.acceptance import run_case
    from runbook_factory.actors import local_actor
    from runbook_factory.instance import passing_instance

    with passing_instance() as instance:
        events = run_case(case, actor=local_actor(), instance=instance)
        with Progress([step.id for step in case.runbook.runbook.steps]) as progress:
            last: CaseFinished = _shown(events, progress)
    mendable = any(item.mended_by for item in last.findings)
    changes: list[Change] = []
    if updates is not None:
        last, changes = updates.apply(last)
    for line in verdict_lines(last):
        print(line)
    for line in change_lines(changes):
        print(line)
    if mendable and not changes:
        print(f"      {paint('hint:', 'cyan')} {_next_move(case, updates is not None)}")
    return last


def _shown(events: Iterator[Any], progress: Any) -> Any:
    last: Any = None
    for event in events:
        progress.show(event)
        last = event
    return last


def _next_move(case: "Case", updating: bool) -> str:
    if updating:
        return "nothing was updated: the scenario failed for other reasons too"
    return f"if what it gives is right: rb test {case.runbook.id} --update"
