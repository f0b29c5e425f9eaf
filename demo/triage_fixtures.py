"""What the acceptance pack of the entity triage has from the demo."""

import json
from pathlib import Path
from typing import Any

from demo.entities import COUNT, Entity, entities, valid_entities
from demo.fixture_text import as_text
from demo.graph import execute
from demo.policies import policy

RUNBOOK_ID = "rb-002-entity-triage"
SIZE = 10
ADDRESS = "https://entities.example.test/api/entities"

Steps = dict[str, list[dict[str, Any]]]


def files(folder: Path, query: str) -> dict[Path, str]:
    """The text of each fixture of the pack, under its path below `folder`; `query` is the runbook's."""
    told = {
        "first-page": _fixture("first page", 1, _answered(1, query)),
        "broken-record": _fixture("broken record", 3, _answered(3, query)),
        "no-such-page": _fixture("no such page", 21, _answered(21, query)),
        "graph-away": _fixture("graph away", 1, {**_answered(1, query), "enrich": [{"status": 503}]}),
    }
    return {folder / f"{name}.json": as_text(fixture) for name, fixture in told.items()}


def page(number: int) -> list[Entity]:
    """The entities on this page, as the API gives them."""
    return entities()[(number - 1) * SIZE : number * SIZE]


def fitting(number: int) -> list[Entity]:
    """Those of them that fit the schema."""
    valid = valid_entities()
    return [entity for entity in page(number) if entity in valid]


def _answered(number: int, query: str) -> Steps:
    """What the demo answers on the way to the end."""
    sent = fitting(number)
    request = {"query": query, "variables": {"entities": sent}}
    pages = COUNT // SIZE
    following = f"{ADDRESS}?page={number + 1}&page_size={SIZE}" if number < pages else None
    paging = {"page": number, "pages": pages, "next": following}
    asked = {"method": "GET", "url": ADDRESS, "params": {"page": number, "page_size": SIZE}}
    return {
        "retention": [{"takes_seconds": 0.5, "status": 200, "json": policy()}],
        "ingest": [
            {
                "takes_seconds": 1,
                "status": 200,
                "expect": asked,
                "json": {"data": {"entities": page(number)}, "paging": paging},
            }
        ],
        "enrich": [
            {
                "takes_seconds": 2,
                "status": 200,
                "expect": {"method": "POST", "body": request},
                "json": execute(json.dumps(request).encode()),
            }
        ],
        "report": [{"status": 200}],
    }


def _fixture(name: str, number: int, steps: Steps) -> dict[str, Any]:
    return {
        "format": 1,
        "scenario": name,
        "runbook": RUNBOOK_ID,
        "inputs": {"SOURCE_API_URL": ADDRESS, "page": number},
        "secrets": {"API_TOKEN": "fixture-token-not-a-real-one"},
        "clock": "2025-11-29T09:00:00Z",
        "assumptions": {"api_credentials_valid": True},
        "steps": steps,
    }
