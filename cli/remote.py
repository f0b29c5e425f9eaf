"""Running and replaying on a service somewhere else, with its progress printed as if it were here."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from cli.errors import Exit, Stop
from cli.inputs import given_inputs
from cli.reporters.progress import Progress, kpi_lines
from cli.reporters.style import paint, plain, tick
from runbook_defs.execution import KpiResult, StepFinished, StepRecord, StepStatus

if TYPE_CHECKING:
    from runbook_service.remote import Remote

_RUNNING = {StepStatus.RUNNING, StepStatus.UNKNOWN}


def run_there(url: str, runbook_id: str, inputs: Sequence[str], deny: Sequence[str]) -> None:
    """Runs the runbook on the service at `url`; exits as `rb run` does. Raises `RemoteError`."""
    from runbook_service.remote import Remote

    remote = Remote.at(url)
    runbook = remote.runbook(runbook_id)
    given = given_inputs(runbook["inputs"], inputs)
    execution = remote.execute(runbook_id, inputs=given, deny=list(deny))
    ended = _follow(remote, execution, [step["id"] for step in runbook["steps"]])
    for line in kpi_lines(_kpi(kpi) for kpi in ended.get("kpis", ())):
        print(line)
    if ended["reason"]:
        print(f"reason: {plain(ended['reason'])}")
    good = ended["status"] == "success"
    print(
        f"{paint(ended['status'].upper(), 'green' if good else 'red')} {ended.get('name', '')} {ended['id']}"
    )
    if not good:
        raise typer.Exit(Exit.FINDINGS)


def replay_there(url: str, execution: str, *, live: bool, allow_writes: bool) -> None:
    """Replays the execution on the service at `url`; exits as `rb replay` does. Raises `RemoteError`."""
    from runbook_service.remote import Remote

    remote = Remote.at(url)
    replay = remote.replay(execution, live=live, allow_writes=allow_writes)
    ended = _follow(remote, replay, [])
    report = ended.get("replay")
    if report is None:
        raise Stop(f"the replay ended without a verdict: {ended['reason']}")
    for step in report.get("steps", ()):
        words = "matches original" if step["cause"] is None else f"{step['cause']} {step['follows']}".strip()
        print(f"{tick(step['cause'] is None)} Step: {step['step']} ({words})")
    match report["verdict"]:
        case "verified":
            print(paint("REPLAY VERIFIED", "green"))
        case "deviated":
            print(f"{paint('REPLAY DEVIATED', 'red')} at {plain(report.get('at', ''))}")
            raise typer.Exit(Exit.FINDINGS)
        case _:
            print(f"{paint('NOT REPLAYABLE', 'yellow')} because {plain(report.get('reason', ''))}")
            raise typer.Exit(Exit.CANNOT)


def _follow(remote: "Remote", execution: str, order: Sequence[str]) -> dict[str, Any]:
    """The execution at its end; its steps are printed as they end. Ctrl-C cancels it."""
    ended: dict[str, Any] = {}
    shown: set[tuple[str, int]] = set()
    with Progress(order, seconds=True) as progress:
        try:
            for state in remote.follow(execution):
                ended = state
                for step in state["steps"]:
                    record = _step(step)
                    if record.status not in _RUNNING and (record.step_id, record.attempt) not in shown:
                        shown.add((record.step_id, record.attempt))
                        progress.show(StepFinished(record=record))
        except KeyboardInterrupt:
            remote.cancel(execution)
            raise
    if not ended:
        raise Stop("the service gave no sign of the execution", hint=f"its id is {execution}")
    return ended


def _step(step: dict[str, Any]) -> StepRecord:
    return StepRecord(
        step_id=step["step"],
        type=step["type"],
        status=StepStatus(step["status"]),
        attempt=step["attempt"],
        seconds=step["seconds"] or 0.0,
        completed_at=datetime.fromisoformat(step["completed_at"]) if step["completed_at"] else None,
        summary=step["summary"],
        errors=tuple(step.get("errors", ())),
    )


def _kpi(kpi: dict[str, Any]) -> KpiResult:
    return KpiResult(**{key: kpi[key] for key in ("name", "value", "bound", "limit", "met")})
