"""What the acceptance pack of the policy simulation has from the demo."""

from pathlib import Path
from typing import Any

from demo.fixture_text import as_text
from demo.policies import CURRENT, POLICY_ID, RUNNING_POLLS, VERSION, Rules, Simulation, policy

RUNBOOK_ID = "gov-001-policy-simulation"
TICKET = {"number": 1001}

Exchange = dict[str, Any]
Exchanges = dict[str, list[Exchange]]


def files(folder: Path) -> dict[Path, str]:
    """The text of each fixture of the pack, under its path below `folder`."""
    small: dict[str, Any] = {"keep_days": 1000}
    told: dict[str, tuple[dict[str, Any], Exchanges]] = {
        "small-change": (small, {"review": [_reviewed()]}),
        "wide-change": ({"keep_days": 730, "exempt_types": ["organization"]}, {}),
        "busy-service": (small, {"current": _busy()}),
        "no-review": (small, {"review": [{"status": 503}]}),
    }
    texts = {name: _fixture(name, change, **differing) for name, (change, differing) in told.items()}
    texts["endless"] = _endless(small)
    return {folder / f"{name}.json": as_text(fixture) for name, fixture in texts.items()}


def _fixture(name: str, change: dict[str, Any], **differing: Any) -> dict[str, Any]:
    """The exchanges of a run to the end, but for those that differ."""
    simulation = Simulation("sim-0001", Rules.model_validate({**CURRENT.model_dump(), **change}))
    started = simulation.state()
    polls = [simulation.poll() for _ in range(RUNNING_POLLS + 1)]
    result = simulation.result()
    steps = {
        **_beginning(change, started),
        "simulated": [{"takes_seconds": 0.5, "status": 200, "json": poll} for poll in polls],
        "result": [{"takes_seconds": 1, "status": 200, "json": result}],
        **{
            f"details[{index}]": [
                {"takes_seconds": 2, "status": 200, "json": simulation.group(group["id"])},
            ]
            for index, group in enumerate(result["groups"])
        },
        "review": [
            {"takes_seconds": 1, "status": 201, "json": TICKET, "expect": {"method": "POST"}},
        ],
        "report": [{"status": 200}],
    }
    return _whole(name, change, {**steps, **differing})


def _beginning(change: dict[str, Any], started: dict[str, Any]) -> Exchanges:
    asked = {"policy": POLICY_ID, "base_version": VERSION, "change": change}
    return {
        "assumptions.simulator_answers": [{"status": 200, "json": {"status": "ok"}}],
        "current": [{"takes_seconds": 1, "status": 200, "json": policy()}],
        "propose": [{"takes_seconds": 1, "status": 202, "json": started, "expect": {"body": asked}}],
    }


def _busy() -> list[dict[str, Any]]:
    """Refused twice, the first time with a word on how long to wait."""
    return [
        {"takes_seconds": 1, "status": 503, "headers": {"Retry-After": "20"}},
        {"takes_seconds": 1, "status": 503},
        {"takes_seconds": 1, "status": 200, "json": policy()},
    ]


def _reviewed() -> dict[str, Any]:
    """The ticket, word for word."""
    body = {
        "queue": "compliance",
        "title": "Review sim-0001: change of entity-retention",
        "text": (
            'From {"keep_days":1095,"exempt_types":[]} to {"keep_days":1000}. 13 of 195 would leave, 1 of '
            "them high risk: East Asia, Eastern Europe, North Africa, North America, Oceania, South America, "
            "Southern Europe."
        ),
    }
    expected = {"method": "POST", "url": "/api/tickets", "body": body}
    return {"takes_seconds": 1, "status": 201, "json": TICKET, "expect": expected}


def _endless(change: dict[str, Any]) -> dict[str, Any]:
    """A simulation that is still running when nobody waits for it any longer."""
    state = Simulation("sim-0001", CURRENT).poll()
    steps: Exchanges = {
        **_beginning(change, state),
        "simulated": [{"takes_seconds": 400, "status": 200, "json": state}],
    }
    return _whole("endless", change, steps)


def _whole(name: str, change: dict[str, Any], steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": 1,
        "scenario": name,
        "runbook": RUNBOOK_ID,
        "inputs": {"change": change},
        "secrets": {"API_TOKEN": "fixture-token-not-a-real-one"},
        "clock": "2025-11-29T09:00:00Z",
        "assumptions": {"change_request_registered": True},
        "steps": steps,
    }
