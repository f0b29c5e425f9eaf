"""Key figures held against their limits."""

from typing import Any

import pytest

from runbook_defs.execution import KpiResult, StepRecord, StepStatus
from runbook_defs.kpis import evaluate_kpis
from runbook_defs.model import Kpis


def step(status: StepStatus = StepStatus.SUCCESS, **records: int) -> StepRecord:
    return StepRecord(step_id="s", type="t", status=status, records=records or None)


def evaluate(
    *steps: StepRecord, duration: float = 0, scope: dict[str, Any] | None = None, **kpis: Any
) -> dict[str, KpiResult]:
    found = evaluate_kpis(Kpis.model_validate(kpis), steps=steps, duration=duration, scope=scope or {})
    return {f"{item.name}.{item.bound}": item for item in found}


@pytest.mark.parametrize(("duration", "met"), [(299.9, True), (300, True), (300.1, False)])
def test_the_longest_duration_is_inclusive(duration: float, met: bool) -> None:
    found = evaluate(duration=duration, max_duration_seconds=300)["max_duration_seconds.max"]
    assert (found.value, found.limit, found.met, found.unit) == (duration, 300, met, "s")


def test_rates_are_summed_over_all_steps_that_check_records() -> None:
    found = evaluate(
        step(checked=90, passed=90, failed=0),
        step(),
        step(checked=10, passed=5, failed=5),
        min_success_rate=0.95,
        max_error_rate=0.05,
    )
    assert found["min_success_rate.min"].value == 0.95
    assert found["max_error_rate.max"].value == 0.05
    assert all(item.met for item in found.values())


def test_a_rate_just_beyond_its_limit_is_missed() -> None:
    records = {"checked": 1000, "passed": 949, "failed": 51}
    found = evaluate(step(**records), min_success_rate=0.95, max_error_rate=0.05)
    assert not any(item.met for item in found.values())


def test_without_records_the_rates_are_those_of_the_steps_that_ran() -> None:
    found = evaluate(
        step(),
        step(),
        step(),
        step(StepStatus.FAILED),
        step(StepStatus.SKIPPED),
        step(StepStatus.NOT_RUN),
        min_success_rate=0.75,
        max_error_rate=0.25,
    )
    assert found["min_success_rate.min"].value == 0.75
    assert found["max_error_rate.max"].value == 0.25


@pytest.mark.parametrize("steps", [(), (step(StepStatus.SKIPPED),), (step(checked=0, passed=0, failed=0),)])
def test_where_nothing_was_checked_nothing_was_wrong(steps: tuple[StepRecord, ...]) -> None:
    found = evaluate(*steps, min_success_rate=1, max_error_rate=0)
    assert [item.value for item in found.values()] == [1.0, 0.0]
    assert all(item.met for item in found.values())


def test_a_check_of_no_records_still_makes_the_rate_one_of_records() -> None:
    found = evaluate(step(checked=0, passed=0, failed=0), step(StepStatus.FAILED), min_success_rate=1)
    assert found["min_success_rate.min"].value == 1.0  # the rate is of records, and none was wrong


def test_own_figures_have_inclusive_limits_and_a_line_for_each() -> None:
    own = {"value": "${n}", "min": 1, "max": 10, "unit": " items"}
    for n, expected in [(0, [False, True]), (1, [True, True]), (10, [True, True]), (11, [True, False])]:
        found = evaluate(scope={"n": n}, found=own)
        assert [item.met for item in found.values()] == expected
        assert list(found) == ["found.min", "found.max"]
        assert {(item.value, item.unit) for item in found.values()} == {(n, " items")}


@pytest.mark.parametrize(
    ("equals", "value", "met"),
    [
        ("north", "north", True),
        ("north", "south", False),
        (1, 1.0, True),
        (1, True, False),
        (False, 0, False),
    ],
)
def test_equals(equals: Any, value: Any, met: bool) -> None:
    found = evaluate(scope={"x": value}, region={"value": "${x}", "equals": equals})
    assert found["region.equals"].met is met


@pytest.mark.parametrize("value", ["7", None, True, [7]])
def test_a_figure_that_is_no_number_misses_its_limit_and_says_so(value: Any) -> None:
    found = evaluate(scope={"x": value}, found={"value": "${x}", "min": 0, "max": 10})
    (only,) = found.values()
    assert not only.met
    assert only.explanation[0] == "the value is not a number"


def test_a_figure_that_cannot_be_computed_is_missed_and_says_why() -> None:
    found = evaluate(scope={"n": 0}, share={"value": "${1 / n}", "min": 0})["share.min"]
    assert (found.met, found.value, found.limit) == (False, None, 0)
    assert "zero" in found.explanation[0]


def test_a_missed_figure_shows_its_parts() -> None:
    found = evaluate(scope={"a": [1, 2]}, found={"value": "${len(a) + 1}", "min": 5})["found.min"]
    assert found.explanation[0].startswith("len(a) + 1")
    assert any("len(a)" in line and line.endswith("= 2") for line in found.explanation[1:])


def test_a_figure_written_in_a_block_is_a_number() -> None:
    found = evaluate(scope={"n": 3}, found={"value": "${\n  n\n}\n", "equals": 3})
    assert found["found.equals"].met
