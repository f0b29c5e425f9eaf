"""`python -m demo.fixtures`: writes what the acceptance packs have from the demo."""

import json
from pathlib import Path
from typing import Any

from demo import policy_fixtures, quality_fixtures, triage_fixtures
from demo.entities import Entity, entities, malformed_entities, valid_entities
from demo.graph import execute
from demo.page import render

ROOT = Path(__file__).parent.parent
RUNBOOKS = ROOT / "runbooks"
PACKS = ROOT / "acceptance"


def build() -> dict[Path, str]:
    """The text of every generated file, under its path."""
    quality, policy = quality_fixtures.RUNBOOK_ID, policy_fixtures.RUNBOOK_ID
    triage = triage_fixtures.RUNBOOK_ID
    query = (RUNBOOKS / triage / "enrichment-query.graphql").read_text(encoding="utf-8")
    return {
        **_enrichment("rb-001-entity-enrichment"),
        **quality_fixtures.files(PACKS / quality / "fixtures", RUNBOOKS / quality),
        **policy_fixtures.files(PACKS / policy / "fixtures"),
        **triage_fixtures.files(PACKS / triage / "fixtures", query),
    }


def _enrichment(runbook: str) -> dict[Path, str]:
    pack = PACKS / runbook
    query = (RUNBOOKS / runbook / "enrichment-query.graphql").read_text(encoding="utf-8")
    enriched = _enriched(query, valid_entities())
    sent, fitting = malformed_entities()
    return {
        pack / "fixtures" / "200-entities.json": _data("entities", entities()),
        pack / "fixtures" / "enriched-entities.json": _data("enrichEntities", enriched),
        pack / "fixtures" / "malformed-entities.json": _malformed(
            runbook,
            entities=_data("entities", sent),
            enriched=_data("enrichEntities", _enriched(query, fitting)),
        ),
        pack / "fixtures" / "pages" / "entities.html": render(),
        pack / "expected" / "valid-entities.json": _rows(valid_entities()),
        pack / "expected" / "enriched-entities.json": _rows(enriched),
    }


def _enriched(query: str, sent: list[Entity]) -> list[Any]:
    request = {"query": query, "variables": {"entities": sent}}
    enriched: list[Any] = execute(json.dumps(request).encode())["data"]["enrichEntities"]
    return enriched


def _malformed(runbook: str, *, entities: str, enriched: str) -> str:
    bodies = {"ENTITIES": entities, "ENRICHED": enriched}
    fixture = {
        "format": 1,
        "scenario": "malformed",
        "runbook": runbook,
        "inputs": {"SOURCE_API_URL": "https://entities.example.test/api/entities"},
        "secrets": {"API_TOKEN": "fixture-token-not-a-real-one"},
        "clock": "2025-11-29T09:00:00Z",
        "assumptions": {
            "source_data_validated": True,
            "api_credentials_valid": True,
            "entity_schema_v2": True,
        },
        "steps": {
            "ingest": [{"takes_seconds": 30, "status": 200, "json": "ENTITIES"}],
            "enrich": [{"takes_seconds": 45, "status": 200, "json": "ENRICHED"}],
            "report": [{"status": 200}],
            "screenshot_ui": [{"page": "pages/entities.html"}],
        },
    }
    text = json.dumps(fixture, indent=2) + "\n"
    for name, body in bodies.items():
        text = text.replace(f'"{name}"', body.rstrip())
    return text


def _data(name: str, records: list[Any]) -> str:
    return f'{{"data": {{"{name}": {_rows(records).rstrip()}}}}}\n'


def _rows(records: list[Any]) -> str:
    # One record a line, so that a change shows in a diff as the records it touches.
    lines = ",\n".join(json.dumps(record) for record in records)
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    for path, text in build().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
