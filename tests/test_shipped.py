"""The shipped runbooks: they are good, they pass their packs, and they run against the real demo."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.app import DEFAULT_TOKEN
from demo.warehouse import AS_OF, as_url, make
from demo.world import MissingPart, pushgateway, upstream
from runbook_defs.execution import ExecutionRecord, Status, StepFinished, StepStatus
from step_ops.drivers.find_browser import find_browser
from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parent.parent
QUALITY = "dq-001-data-quality"
POLICY = "gov-001-policy-simulation"
TRIAGE = "rb-002-entity-triage"
SHIPPED = sorted(path.name for path in (ROOT / "runbooks").iterdir())
NOW = int(AS_OF.timestamp())


@pytest.fixture(scope="module")
def world() -> Iterator[dict[str, str]]:
    """The environment of a deployment with the demo and a Pushgateway."""
    try:
        with upstream() as api, pushgateway() as metrics:
            yield {"API_BASE_URL": api, "API_TOKEN": DEFAULT_TOKEN, "PUSHGATEWAY_URL": metrics}
    except MissingPart as missing:
        pytest.skip(str(missing))


@pytest.fixture
def project(workshop: Workshop, shipped: Path) -> Workshop:
    """The shipped runbooks and packs, copied, and the current folder there."""
    return workshop


@pytest.fixture
def deployed(project: Workshop, world: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """The same, with the demo and a good warehouse to run against."""
    warehouse = as_url(str(project.project.root / "warehouse.db"))
    make(warehouse)
    # Polled more often than the shipped one asks for, so that the tests need not wait.
    file = project.project.runbook_file(POLICY)
    assert "every_seconds: 1\n" in file.read_text()
    file.write_text(file.read_text().replace("every_seconds: 1\n", "every_seconds: 0.1\n"))
    for name, value in {**world, "WAREHOUSE_URL": warehouse}.items():
        monkeypatch.setenv(name, value)
    yield project
    requests.delete(f"{world['API_BASE_URL']}/switches", timeout=10).raise_for_status()


def status_of(record: ExecutionRecord, step: str) -> StepStatus:
    return next(item.status for item in record.steps if item.step_id == step)


def outputs_of(record: ExecutionRecord, step: str) -> Any:
    return next(item.outputs for item in record.steps if item.step_id == step)


def switch(world: dict[str, str], *switches: dict[str, Any]) -> None:
    requests.put(f"{world['API_BASE_URL']}/switches", json=switches, timeout=10).raise_for_status()


def test_there_are_four() -> None:
    assert [name[:6] for name in SHIPPED] == ["dq-001", "gov-00", "rb-001", "rb-002"]


@pytest.mark.parametrize("runbook", SHIPPED)
def test_it_has_no_problem_and_no_warning(project: Workshop, rb: Callable[..., Any], runbook: str) -> None:
    answer = rb("validate", "--strict", runbook)
    assert (answer.out + answer.err, answer.code) == ("1 runbook: no problems\n", 0)


@pytest.mark.parametrize("runbook", SHIPPED)
def test_it_passes_its_pack(project: Workshop, rb: Callable[..., Any], runbook: str) -> None:
    if runbook.startswith("rb-001") and find_browser() is None:
        pytest.skip("no browser")
    answer = rb("test", runbook)
    assert answer.code == 0, answer.out + answer.err
    assert answer.out.rstrip().endswith("PASS")


def test_a_page_of_the_entities_is_triaged(
    deployed: Workshop, world: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_API_URL", f"{world['API_BASE_URL']}/api/entities")
    record = deployed.live(TRIAGE, inputs={"page": 3})
    assert (record.status, record.reason) == (Status.SUCCESS, "")
    assert record.measures == {"entities_triaged": 9, "entities_high_risk": 1, "retention_days_left": 64}
    assert deployed.live(TRIAGE, inputs={"page_size": 200}).status is Status.ABORTED


def test_the_quality_of_a_good_warehouse_is_as_agreed(deployed: Workshop) -> None:
    record = deployed.live(QUALITY, inputs={"as_of": NOW})
    assert (record.status, record.reason) == (Status.SUCCESS, "")
    assert status_of(record, "escalate") is StepStatus.SKIPPED
    kpis = {kpi.name: kpi.value for kpi in record.kpis}
    assert (kpis["orders"], kpis["freshness_hours"]) == (603, 5)


def test_a_spoilt_warehouse_fails_the_runbook_and_its_owners_are_told(deployed: Workshop) -> None:
    make(as_url(str(deployed.project.root / "warehouse.db")), spoilt=True)
    record = deployed.live(QUALITY, inputs={"as_of": NOW})
    assert record.status is Status.FAILURE
    missed = {kpi.name for kpi in record.kpis if not kpi.met}
    assert missed == {"min_success_rate", "null_rate", "duplicate_rate", "freshness_hours"}
    assert outputs_of(record, "escalate")["ticket"] >= 1001


@pytest.mark.parametrize(
    ("inputs", "assumption"),
    [
        ({"as_of": NOW * 1000}, "as_of_is_in_seconds"),
        ({"as_of": NOW, "window_days": 0}, "window_is_reasonable"),
    ],
)
def test_inputs_out_of_range_abort_before_the_first_query(
    deployed: Workshop, inputs: dict[str, Any], assumption: str
) -> None:
    record = deployed.live(QUALITY, inputs=inputs)
    assert record.status is Status.ABORTED
    assert [item.id for item in record.assumptions if not item.met] == [assumption]
    assert status_of(record, "volume") is StepStatus.NOT_RUN


def test_a_warehouse_without_any_order_is_worse_than_agreed(deployed: Workshop) -> None:
    long_ago = NOW - 400 * 86_400
    record = deployed.live(QUALITY, inputs={"as_of": long_ago})
    assert record.status is Status.FAILURE
    assert {kpi.name for kpi in record.kpis if not kpi.met} == {"orders", "freshness_hours"}
    assert status_of(record, "escalate") is StepStatus.SUCCESS


def test_a_policy_change_is_simulated_and_a_busy_service_asked_again(
    deployed: Workshop, world: dict[str, str]
) -> None:
    busy = {"path": "/api/policies/entity-retention", "status": 503, "times": 1, "retry_after": 0}
    switch(world, busy)
    record = deployed.live(POLICY)
    assert (record.status, record.reason) == (Status.SUCCESS, "")
    attempts = [event.record for event in deployed.events if isinstance(event, StepFinished)]
    assert [item.status for item in attempts if item.step_id == "current"] == ["failed", "success"]
    assert (outputs_of(record, "result")["affected"], outputs_of(record, "simulated")["polls"]) == (13, 3)
    assert len(outputs_of(record, "details")["name"]) == 7


def test_a_change_that_affects_too_many_misses_its_kpi_and_is_still_reviewed(deployed: Workshop) -> None:
    record = deployed.live(POLICY, inputs={"change": {"keep_days": 365}})
    assert record.status is Status.FAILURE
    assert {kpi.name for kpi in record.kpis if not kpi.met} == {"affected_share"}
    assert status_of(record, "review") is StepStatus.SUCCESS


def test_a_change_that_affects_nobody_needs_no_review(deployed: Workshop) -> None:
    record = deployed.live(POLICY, inputs={"change": {"keep_days": 2000}})
    assert (record.status, record.reason) == (Status.SUCCESS, "")
    assert status_of(record, "review") is StepStatus.SKIPPED
    assert outputs_of(record, "details") == {"name": [], "high_risk": []}


def test_a_simulation_that_nobody_can_be_asked_to_review_stands(
    deployed: Workshop, world: dict[str, str]
) -> None:
    switch(world, {"path": "/api/tickets", "status": 500})
    record = deployed.live(POLICY)
    assert record.status is Status.SUCCESS
    assert status_of(record, "review") is StepStatus.FAILED
    assert status_of(record, "report") is StepStatus.SUCCESS


def test_a_proposal_that_the_service_refuses_aborts(deployed: Workshop) -> None:
    record = deployed.live(POLICY, inputs={"change": {"keep_day": 5}})
    assert record.status is Status.ABORTED
    assert status_of(record, "simulated") is StepStatus.NOT_RUN
