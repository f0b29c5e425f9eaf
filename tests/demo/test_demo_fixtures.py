"""What the acceptance pack has from the demo, and the numbers that the runbook promises."""

import json

import jsonschema
import pytest
import yaml

from demo.entities import entities, malformed_entities, valid_entities
from demo.fixtures import build

RUNBOOK = "runbooks/rb-001-entity-enrichment"
PACK = "acceptance/rb-001-entity-enrichment"


@pytest.fixture
def schema(root):
    schema = json.loads((root / RUNBOOK / "entity-v2.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def read(root, name):
    return json.loads((root / PACK / "fixtures" / name).read_text())


def test_the_committed_files_are_what_the_demo_writes():
    for path, text in build().items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is old: python -m demo.fixtures"


def test_building_twice_gives_the_same_text():
    assert build() == build()


def test_of_200_entities_195_fit_the_shipped_schema(root, schema):
    sent = read(root, "200-entities.json")["data"]["entities"]
    assert len(sent) == 200
    assert [entity for entity in sent if schema.is_valid(entity)] == valid_entities()
    assert len(valid_entities()) == 195


def test_five_entities_break_the_schema_in_five_different_ways(schema):
    broken = [list(schema.iter_errors(entity)) for entity in entities()]
    mistakes = [errors for errors in broken if errors]
    assert [[error.message for error in errors] for errors in mistakes] == [
        ["'id' is a required property"],
        ["'high' is not of type 'number'"],
        ["'vessel' is not one of ['person', 'organization', 'location', 'vehicle']"],
        ["'29/11/2024' does not match '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'"],
        ["'' should be non-empty"],
    ]


def test_every_valid_entity_is_enriched_in_order(root):
    enriched = read(root, "enriched-entities.json")["data"]["enrichEntities"]
    assert [entity["id"] for entity in enriched] == [entity["id"] for entity in valid_entities()]
    assert {entity["risk"] for entity in enriched} == {"low", "medium", "high"}
    known = {entity.get("id") for entity in entities()} | {"ent-0023"}  # the one sent without its id
    assert all(known.issuperset(entity["linked_ids"]) for entity in enriched)


def test_ids_and_names_are_all_different():
    for key in ("id", "name"):
        values = [entity[key] for entity in valid_entities()]
        assert len(set(values)) == 195


def test_the_golden_fixture_fits_the_runbook_and_names_files_that_exist(root):
    runbook = yaml.safe_load((root / RUNBOOK / "runbook.yaml").read_text())
    golden = read(root, "golden-scenarios.json")
    assert golden["runbook"] == runbook["id"]
    assert golden["assumptions"].keys() == {key for item in runbook["assumptions"] for key in item}
    assert golden["steps"].keys() == {step["id"] for step in runbook["steps"]} - {"validate"}
    exchanges = [entry for entries in golden["steps"].values() for entry in entries]
    files = [entry[key] for entry in exchanges for key in ("json_file", "page") if key in entry]
    assert len(files) == 3
    assert all((root / PACK / "fixtures" / name).is_file() for name in files)


def test_of_the_100_malformed_entities_96_fit_the_shipped_schema(root, schema):
    fixture = read(root, "malformed-entities.json")
    sent = fixture["steps"]["ingest"][0]["json"]["data"]["entities"]
    valid = [entity for entity in sent if schema.is_valid(entity)]
    assert (sent, valid) == malformed_entities()
    assert (len(sent), len(valid)) == (100, 96)
    enriched = fixture["steps"]["enrich"][0]["json"]["data"]["enrichEntities"]
    assert [entity["id"] for entity in enriched] == [entity["id"] for entity in valid]


def test_the_expected_files_are_what_the_demo_would_answer(root):
    answer = read(root, "enriched-entities.json")["data"]["enrichEntities"]
    expected = root / PACK / "expected"
    assert json.loads((expected / "enriched-entities.json").read_text()) == answer
    assert json.loads((expected / "valid-entities.json").read_text()) == valid_entities()


def test_the_pack_names_files_that_exist(root):
    pack = yaml.safe_load((root / PACK / "acceptance.yml").read_text())
    golden, partial = pack["scenarios"]
    named = [golden["fixture"], partial["fixture"], *golden["expected"]["screenshots"].values()]
    assert all((root / PACK / name).is_file() for name in named)
