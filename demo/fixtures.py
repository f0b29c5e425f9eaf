"""`python -m demo.fixtures`: writes what the acceptance pack has from the demo."""

import json
from pathlib import Path
from typing import Any

from demo.entities import entities, valid_entities
from demo.graph import execute
from demo.page import render

ROOT = Path(__file__).parent.parent
RUNBOOK = ROOT / "runbooks" / "rb-001-entity-enrichment"
FIXTURES = ROOT / "acceptance" / "rb-001-entity-enrichment" / "fixtures"


def build() -> dict[Path, str]:
    """The text of every generated file, under its path."""
    query = (RUNBOOK / "enrichment-query.graphql").read_text(encoding="utf-8")
    request = {"query": query, "variables": {"entities": valid_entities()}}
    enriched = execute(json.dumps(request).encode())["data"]["enrichEntities"]
    return {
        FIXTURES / "200-entities.json": _data("entities", entities()),
        FIXTURES / "enriched-entities.json": _data("enrichEntities", enriched),
        FIXTURES / "pages" / "entities.html": render(),
    }


def _data(name: str, records: list[dict[str, Any]]) -> str:
    # One record a line, so that a change shows in a diff as the records it touches.
    lines = ",\n".join(json.dumps(record) for record in records)
    return f'{{"data": {{"{name}": [\n{lines}\n]}}}}\n'


if __name__ == "__main__":
    for path, text in build().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
