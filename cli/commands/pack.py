"""`rb pack from`: a recorded execution becomes an acceptance scenario."""

from typing import TYPE_CHECKING

import typer

from cli.errors import Exit, Stop
from cli.reporters.style import paint, plain

if TYPE_CHECKING:
    from runbook_factory.acceptance import Case, CaseFinished
    from runbook_factory.pack_from.packing import Packed

app = typer.Typer(help="Acceptance packs: a scenario made from a recorded execution.")


@app.callback()
def pack() -> None:
    """Holds the commands about acceptance packs."""


@app.command("from")
def from_(
    execution: str = typer.Argument(
        ...,
        metavar="EXECUTION",
        help="Its id, a unique start of it, or exec-<date>-<six characters>.",
    ),
    name: str = typer.Option(
        None, "--name", metavar="NAME", help="What the scenario is called; else after the execution."
    ),
    scenario_file: str = typer.Option(
        None, "--scenario-file", metavar="NAME", help="What its files are called; else after the scenario."
    ),
) -> None:
    """Make an acceptance scenario of a recorded execution, and test it."""
    from runbook_factory.pack_from.packing import pack_execution
    from runbook_factory.project import find_project

    packed = pack_execution(find_project(), execution, name=name, file_name=scenario_file)
    _tell(packed)
    passed = _test(packed)
    print(paint("PASS", "green") if passed else paint("FAIL", "red"))
    if not passed:
        move = f"rb test {packed.runbook.id} --fixture {packed.fixture.name}"
        print(f"      {paint('hint:', 'cyan')} its files are kept: mend them, or the runbook, then {move}")
        raise typer.Exit(Exit.FINDINGS)


def _tell(packed: "Packed") -> None:
    """Prints what was made, and what to know about it."""
    print(f"a new scenario of {packed.runbook.id}: {plain(packed.scenario)}")
    for path in packed.files:
        print(f"  {path.as_posix()}")
    for note in packed.notes:
        print(f"{paint('note:', 'cyan')} {plain(note)}")
    others = f"{packed.compared} other execution{'' if packed.compared == 1 else 's'} with these inputs"
    if not packed.compared:
        print("no tolerances to propose: no other execution with these inputs to compare the answers with")
    elif not packed.proposals:
        print(f"no tolerances to propose: {others} got the same answers, but for ids and times")
    else:
        print(f"the answers are not the same in {others}")
        print("proposed for runbook.yaml, if these may differ:")
        print("tolerances:")
        for proposal in packed.proposals:
            print(f"  - {plain(str(proposal))}")
    print()


def _test(packed: "Packed") -> bool:
    """Runs the scenario as `rb test` does, prints its lines, and tells whether it passes."""
    from runbook_factory.acceptance import find_cases

    (case,) = find_cases(packed.runbook, str(packed.fixture))
    finished = _run(case)
    if finished is None:
        raise Stop("the run ended without a verdict")
    from cli.reporters.case import verdict_lines

    for line in verdict_lines(finished):
        print(line)
    return finished.passed


def _run(case: "Case") -> "CaseFinished | None":
    from cli.reporters.progress import Progress
    from runbook_factory.acceptance import CaseFinished, run_case
    from runbook_factory.actors import local_actor
    from runbook_factory.instance import passing_instance

    with passing_instance() as instance, Progress([step.id for step in case.runbook.runbook.steps]) as shown:
        for event in run_case(case, actor=local_actor(), instance=instance):
            shown.show(event)
            if isinstance(event, CaseFinished):
                return event
    return None
