"""The figures of live executions in Dagster's catalog."""

import logging
from datetime import UTC
from typing import Any

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance, EventLogEntry
from sqlalchemy import text

from runbook_factory.definitions import build_definitions
from runbook_factory.instance import stored_instance
from runbook_factory.kpi_assets import report_kpis
from tests.scripted import Says, Script, Server
from tests.statements import noted
from tests.workshop import Workshop


class Everywhere(dict[str, Script]):
    """Answers of a server that answers with nothing, whatever it is asked."""

    def get(self, path: str, default: Any = None) -> Script:
        return Says(text="")


def measured(workshop: Workshop, **more: Any) -> AssetKey:
    """A runbook with figures of all kinds; gives the key of its asset, which is this test's own."""
    # All tests share a database, with the assets in it.
    runbook_id = "rb-" + workshop.project.root.name.replace("_", "-").lower()[-40:].strip("-")
    figures = {
        "whole": "${3}",
        "rate": "${0.25}",
        "large": "${3000000000}",
        "text": "${'ok'}",
        "flag": "${true}",
        "nothing": "${null}",
    }
    steps = [{"id": "a", "type": "schema_check", "inputs": {"entities": [{}], "schema": "s.json"}}]
    workshop.runbook(
        [*steps, *more.pop("steps", [])],
        id=runbook_id,
        kpis={name: {"value": value, "equals": 1} for name, value in figures.items()},
        **more,
    )
    workshop.file(f"runbooks/{runbook_id}/s.json", "{}")
    return AssetKey(["runbooks", runbook_id.replace("-", "_"), "kpis"])


def runbook_id(key: AssetKey) -> str:
    return key.path[1].replace("_", "-")


def latest(workshop: Workshop, key: AssetKey) -> AssetMaterialization | None:
    with stored_instance(workshop.project) as instance:
        entry = instance.get_latest_materialization_event(key)
    return of(entry) if entry else None


def of(entry: EventLogEntry) -> AssetMaterialization:
    assert entry.asset_materialization is not None
    return entry.asset_materialization


def test_a_live_execution_is_a_point_with_every_figure_that_is_a_number(workshop: Workshop) -> None:
    key = measured(workshop)
    record = workshop.live(runbook_id(key))
    found = latest(workshop, key)
    assert found is not None
    values = {name: item.value for name, item in found.metadata.items()}
    assert values == {
        "duration_seconds": record.duration_seconds,
        "whole": 3,
        "rate": 0.25,
        "large": 3e9,
        "status": "failure",
        "execution": record.id,
    }
    # Dagster's GraphQL gives whole numbers of 32 bits only, and plots what it gives.
    assert {type(values["whole"]), type(values["large"])} == {int, float}
    assert found.description == f"{record.short_name}: failure"


def test_a_metric_that_was_published_is_a_figure_unless_a_kpi_has_its_name(
    workshop: Workshop, server: Server
) -> None:
    publish = {"id": "b", "type": "metrics_publish", "inputs": {"metrics": {"orders": 7, "rate": 9}}}
    key = measured(workshop, steps=[publish])
    workshop.file(
        "connections.yaml", f"connections:\n  pushgateway: {{type: pushgateway, url: '{server.url}'}}\n"
    )
    server.answers = Everywhere()
    record = workshop.live(runbook_id(key))
    assert record.measures == {"orders": 7.0, "rate": 9.0}
    found = latest(workshop, key)
    assert found is not None
    assert (found.metadata["orders"].value, found.metadata["rate"].value) == (7.0, 0.25)


def test_an_execution_that_was_aborted_is_a_point_too(workshop: Workshop) -> None:
    key = measured(workshop, assumptions=[{"ready": True}])
    record = workshop.live(runbook_id(key), deny=("ready",))
    found = latest(workshop, key)
    assert found is not None
    values = {name: item.value for name, item in found.metadata.items()}
    assert values == {
        "duration_seconds": record.duration_seconds,
        "status": "aborted",
        "execution": record.id,
    }


def test_tests_and_replays_are_no_points(workshop: Workshop) -> None:
    key = measured(workshop)
    live = workshop.live(runbook_id(key))
    workshop.replay(live.id)
    assert workshop.replayed.mode == "replay"
    with stored_instance(workshop.project) as instance:
        report_kpis(instance, workshop.test(runbook_id(key)), job=key.path[1])
        points = instance.fetch_materializations(key, limit=5).records
    shown = [of(point.event_log_entry).metadata["execution"].value for point in points]
    assert shown == [live.id]


def test_an_execution_is_not_worse_because_its_figures_are_not_stored(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(self: DagsterInstance, asset_event: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(DagsterInstance, "report_runless_asset_event", fails)
    key = measured(workshop)
    with caplog.at_level(logging.WARNING, logger="runbook"):
        record = workshop.live(runbook_id(key))
    assert record.reason.startswith("missed KPIs")
    assert workshop.dagster_tags["runbook/status"] == "failure"
    assert caplog.messages == [f"the KPIs of execution {record.id} are not in Dagster's catalog: no room"]


def test_a_point_costs_few_statements(workshop: Workshop) -> None:
    key = measured(workshop)
    record = workshop.live(runbook_id(key))
    with stored_instance(workshop.project) as instance:
        storage: Any = instance.event_log_storage
        report_kpis(instance, record, job=key.path[1])
        storage.flush()
        with noted(storage._engine) as statements:
            report_kpis(instance, record, job=key.path[1])
            storage.flush()
    assert len(statements) == 1, statements


def test_an_asset_has_its_last_event_as_the_stock_class_notes_it(workshop: Workshop) -> None:
    key = measured(workshop)
    workshop.live(runbook_id(key))
    last = workshop.live(runbook_id(key))
    with stored_instance(workshop.project) as instance:
        storage: Any = instance.event_log_storage
        (record,) = instance.get_asset_records([key])
        found = record.asset_entry.last_materialization_record
        assert found is not None
        values = storage._get_asset_entry_values(found.event_log_entry, found.storage_id, True)
        columns = "last_materialization, last_run_id, last_materialization_timestamp AS at"
        row = text(f"SELECT {columns} FROM asset_keys WHERE asset_key = :key")
        with storage._engine.connect() as connection:
            (stored,) = connection.execute(row, {"key": key.to_string()}).mappings().all()
    assert found.asset_materialization and last.short_name in str(found.asset_materialization.description)
    assert stored["last_materialization"] == values["last_materialization"]
    assert stored["last_run_id"] == values["last_run_id"]
    assert stored["at"].replace(tzinfo=UTC) == values["last_materialization_timestamp"]


def test_the_catalog_says_what_the_figures_are_of_and_why_they_may_be_made(workshop: Workshop) -> None:
    key = measured(workshop)
    (spec,) = build_definitions(workshop.project.root).resolve_all_asset_specs()
    assert spec.key == key
    assert "Legal basis: none needed" in (spec.description or "")
    assert spec.metadata["runbook/legal_basis"].value == "none needed"
    assert spec.metadata["runbook/id"].value == runbook_id(key)
    assert "whole" in spec.metadata["runbook/kpis"].value
