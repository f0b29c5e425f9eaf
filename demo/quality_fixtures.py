"""What the acceptance pack of the data-quality runbook has from the demo: what its queries really give."""

from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from demo.fixture_text import as_text
from demo.warehouse import AS_OF, fill

RUNBOOK_ID = "dq-001-data-quality"
WINDOW_DAYS = 30

Rows = dict[str, list[dict[str, Any]]]


def files(folder: Path, queries: Path) -> dict[Path, str]:
    """The text of each fixture of the pack, under its path below `folder`; `queries` has the SQL files."""
    good, bad = ask(queries), ask(queries, spoilt=True)
    away = [{"takes_seconds": 1, "error": "the database system is starting up"}] * 2
    told = {
        "as-agreed": _steps(good),
        "spoilt": {**_steps(bad), "escalate": [_ticket()]},
        "warehouse-restarts": {**_steps(good), "volume": [*away, _answer(good["volume"])]},
    }
    return {folder / f"{name}.json": as_text(_whole(name, steps)) for name, steps in told.items()}


def ask(queries: Path, *, spoilt: bool = False) -> Rows:
    """What each query of the runbook gives on the demo's warehouse."""
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            fill(connection, spoilt=spoilt)
            return {
                path.stem: [
                    dict(row) for row in connection.execute(text(path.read_text()), window()).mappings()
                ]
                for path in sorted(queries.glob("*.sql"))
            }
    finally:
        engine.dispose()


def window() -> dict[str, int]:
    """The values that the queries take."""
    until = int(AS_OF.timestamp())
    return {"since": until - WINDOW_DAYS * 86_400, "until": until}


def _steps(rows: Rows) -> dict[str, Any]:
    answers = {name: [_answer(found)] for name, found in rows.items()}
    answers["volume"] = [{**_answer(rows["volume"]), "expect": {"params": window()}}]
    return {**answers, "report": [{"status": 200}]}


def _answer(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"takes_seconds": 2, "rows": rows}


def _ticket() -> dict[str, Any]:
    """What the owners are told, word for word."""
    body = {
        "queue": "data-platform",
        "title": "customer_orders on 2025-11-29: worse than agreed",
        "text": (
            "46 of 583 orders are incomplete; 23 are there more than once; "
            "last load: 2025-11-27 04:00 UTC; 3 errors in its rows."
        ),
    }
    expected = {"method": "POST", "url": "/api/tickets", "body": body}
    return {"takes_seconds": 1, "status": 201, "json": {"number": 1001}, "expect": expected}


def _whole(name: str, steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": 1,
        "scenario": name,
        "runbook": RUNBOOK_ID,
        "inputs": {"as_of": window()["until"], "window_days": WINDOW_DAYS},
        "secrets": {"API_TOKEN": "fixture-token-not-a-real-one"},
        "clock": f"{AS_OF:%FT%TZ}",
        "assumptions": {"warehouse_load_finished": True},
        "steps": steps,
    }
