"""A scenario against what it expects: every expectation is looked at, and none passes by accident."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from runbook_factory.acceptance import CaseFinished, find_cases, run_case
from runbook_factory.actors import local_actor
from runbook_factory.catalog import load_runbook
from runbook_factory.instance import passing_instance
from runbook_factory.pack_update import Change, PackUpdate
from step_ops.cassette import CassetteError
from tests.workshop import Workshop

OK = {"takes_seconds": 5, "status": 200, "json": {"items": [{"id": 1, "ok": True}, {"id": 2, "ok": False}]}}
DOWN = {"status": 404}
STEPS: list[dict[str, Any]] = [
    {
        "id": "fetch",
        "type": "data_fetch",
        "inputs": {"source_url": "https://a.test/items"},
        "outputs": {"items": "$.items", "first": "$.items[0].id"},
    },
    {
        "id": "check",
        "type": "data_fetch",
        "depends_on": ["fetch"],
        "inputs": {"source_url": "https://a.test/check"},
        "outputs": {"count": "$.count"},
    },
    {
        "id": "tell",
        "type": "data_fetch",
        "depends_on": ["check"],
        "when": "${steps.check.outputs.count > 1}",
        "inputs": {"source_url": "https://a.test/tell"},
    },
]
GOOD = {"fetch": [OK], "check": [{"status": 200, "json": {"count": 1}}]}

Judge = Callable[..., CaseFinished]


@pytest.fixture
def judge(workshop: Workshop) -> Judge:
    """Runs one scenario on the steps above and gives what came of it."""

    def run(
        expected: dict[str, Any],
        *,
        exchanges: dict[str, Any] | None = None,
        steps: list[dict[str, Any]] | None = None,
        fixture: dict[str, Any] | None = None,
        **more: Any,
    ) -> CaseFinished:
        workshop.runbook(steps or STEPS, **more)
        told = {"format": 1, "runbook": "rb-test", "steps": GOOD if exchanges is None else exchanges}
        workshop.file("acceptance/rb-test/fixtures/f.json", json.dumps({**told, **(fixture or {})}))
        pack = {"scenarios": [{"name": "s", "fixture": "fixtures/f.json", "expected": expected}]}
        workshop.file("acceptance/rb-test/acceptance.yml", json.dumps(pack, indent=1))
        (case,) = find_cases(load_runbook(workshop.project, "rb-test"))
        with passing_instance() as instance:
            *_, last = run_case(case, actor=local_actor(), instance=instance)
        assert isinstance(last, CaseFinished)
        return last

    return run


def whats(finished: CaseFinished) -> list[str]:
    return [finding.what for finding in finished.findings]


def test_all_expectations_that_hold_make_a_pass(judge: Judge, workshop: Workshop) -> None:
    workshop.file(
        "acceptance/rb-test/expected/fetch.json", json.dumps({"items": OK["json"]["items"], "first": 1})
    )
    expected = {
        "status": "success",
        "kpis": {"duration_seconds": 5},
        "errors": {"count": 0},
        "outputs": {"fetch": "expected/fetch.json", "check": {"count": "<= 1"}, "tell": {}},
        "path": {"ran": ["fetch", "check"], "skipped": ["tell"], "failed": [], "not_run": [], "retried": {}},
    }
    finished = judge(expected)
    assert whats(finished) == []
    assert finished.passed
    assert finished.seconds > 0


@pytest.mark.parametrize(
    ("expected", "what"),
    [
        ({"status": "failure"}, "status is success, expected failure"),
        ({"kpis": {"duration_seconds": "< 5"}}, "KPI duration_seconds is 5.0, expected < 5"),
        ({"kpis": {"speed": 1}}, "KPI speed was expected, but there are only: duration_seconds"),
        ({"errors": {}}, "0 errors, expected > 0"),
        ({"errors": {"type": "http", "count": 1}}, "0 errors of type http, expected = 1"),
        ({"outputs": {"fetch": {"first": 2}}}, "output fetch.first is 1, expected = 2"),
        ({"outputs": {"fetch": {"first": "matches 1"}}}, "output fetch.first is 1, expected matches 1"),
        ({"outputs": {"fetch": {"items": []}}}, "output fetch.items is not as expected"),
        ({"path": {"ran": ["fetch"]}}, "steps that ran: fetch, check; expected: fetch"),
        ({"path": {"ran": ["check", "fetch"]}},
         "steps began in the order fetch, check; expected: check, fetch"),
        ({"path": {"skipped": []}}, "steps skipped: tell; expected: none"),
        ({"path": {"failed": ["check"]}}, "steps failed: none; expected: check"),
        ({"path": {"not_run": ["tell"]}}, "steps that did not run: none; expected: tell"),
        ({"path": {"retried": {"fetch": 2}}}, "step 'fetch' had 1 attempt, expected = 2"),
        ({"screenshots": {"page": "p.png"}}, "screenshot 'page' was expected, taken: none"),
        ({"outputs": {"fetch": "expected/f.json"}},
         "expected/f.json, which output fetch should be like, is not there"),
    ],
)  # fmt: skip
def test_each_expectation_that_does_not_hold_is_a_finding(
    judge: Judge, expected: dict[str, Any], what: str
) -> None:
    assert whats(judge(expected)) == [what]


def test_what_differs_from_an_expected_file_is_told_place_by_place(judge: Judge, workshop: Workshop) -> None:
    workshop.file(
        "acceptance/rb-test/expected/items.json", '[{"id": 1, "ok": false}, {"id": 2, "ok": false}]'
    )
    finished = judge({"outputs": {"fetch": {"items": "expected/items.json"}}})
    (finding,) = finished.findings
    assert finding.what == "output fetch.items is not as in expected/items.json: 1 difference"
    assert finding.details == ("fetch.items[0].ok: expected false, is true",)


def test_a_file_for_a_step_holds_all_its_outputs(judge: Judge, workshop: Workshop) -> None:
    workshop.file("acceptance/rb-test/expected/fetch.json", '{"first": 1}')
    (finding,) = judge({"outputs": {"fetch": "expected/fetch.json"}}).findings
    assert finding.details[0].startswith("fetch.items: not expected, is [")


def test_an_expected_abort_passes_and_its_path_is_checked(judge: Judge) -> None:
    expected = {
        "status": "aborted",
        "errors": {"type": "http", "count": 1},
        "path": {"ran": ["fetch"], "failed": ["fetch"], "not_run": ["check", "tell"], "skipped": []},
    }
    assert whats(judge(expected, exchanges={**GOOD, "fetch": [DOWN]})) == []


def test_an_abort_nobody_expected_has_its_reason_and_nothing_that_follows_from_it(judge: Judge) -> None:
    expected = {"outputs": {"fetch": {"first": 1}}}
    (what,) = whats(judge(expected, exchanges={"fetch": [DOWN]}))
    assert what.startswith("status is aborted, expected success: step 'fetch' failed:")


def test_outputs_of_a_step_that_did_not_run_are_missed(judge: Judge) -> None:
    expected = {"status": "aborted", "outputs": {"check": {"count": None}}}
    finished = judge(expected, exchanges={"fetch": [DOWN]})
    assert whats(finished) == ["step 'check' did not run, so it has no outputs"]


def test_an_abort_for_want_of_an_exchange_is_not_the_abort_that_was_expected(judge: Judge) -> None:
    (what,) = whats(judge({"status": "aborted"}, exchanges={}))
    assert "'fetch' failed for a reason outside the runbook" in what
    assert whats(judge({"status": "aborted", "errors": {"type": "cassette"}}, exchanges={})) == []


def test_an_abort_before_the_start_is_not_the_abort_that_was_expected(judge: Judge) -> None:
    steps = [{**STEPS[0], "inputs": {"source_url": "${SOURCE_URL}"}}]
    (what,) = whats(judge({"status": "aborted"}, steps=steps, exchanges={}))
    assert what.startswith("it did not start: input 'SOURCE_URL'")


def test_an_assumption_that_the_fixture_forgot_is_told_of(judge: Judge) -> None:
    aborted = {"status": "aborted"}
    told = judge(aborted, assumptions=[{"up": True}], fixture={"assumptions": {"up": False}}, exchanges={})
    assert whats(told) == []
    forgot = judge(aborted, assumptions=[{"up": True}], exchanges={})
    assert whats(forgot) == ["assumption 'up' is not stated by the fixture"]


def test_an_unused_exchange_is_found_although_a_kpi_was_missed_as_expected(judge: Judge) -> None:
    exchanges = {**GOOD, "fetch": [OK, OK]}
    finished = judge({"status": "failure"}, exchanges=exchanges, kpis={"max_duration_seconds": 1})
    assert whats(finished) == ["the fixture has 1 exchange for step 'fetch' that nobody used"]
    assert whats(judge({"status": "failure"}, kpis={"max_duration_seconds": 1})) == []


def test_attempts_are_counted_and_a_retry_nobody_expected_is_found(judge: Judge) -> None:
    steps = [{**STEPS[0], "retry": {"max_attempts": 3}}, *STEPS[1:]]
    exchanges = {**GOOD, "fetch": [{"status": 503}, OK]}
    good = {"path": {"ran": ["fetch", "check"], "retried": {"fetch": 2}}}
    assert whats(judge(good, steps=steps, exchanges=exchanges)) == []
    finished = judge({"path": {"retried": {}}}, steps=steps, exchanges=exchanges)
    assert whats(finished) == ["step 'fetch' was retried, which was not expected (2 attempts)"]


def test_steps_that_begin_at_one_moment_have_no_order(judge: Judge) -> None:
    steps = [STEPS[0], *({"id": name, "type": "data_fetch", "inputs": STEPS[0]["inputs"]} for name in "ab")]
    later = {**steps[1], "id": "c", "depends_on": ["a"]}
    exchanges = {"fetch": [OK], "a": [{"status": 200, "json": 1}], "b": [OK], "c": [OK]}
    for ran in (["a", "b", "fetch", "c"], ["fetch", "b", "a", "c"], ["a", "c", "b", "fetch"]):
        assert whats(judge({"path": {"ran": ran}}, steps=[*steps, later], exchanges=exchanges)) == []
    ran = ["c", "a", "b", "fetch"]
    (what,) = whats(judge({"path": {"ran": ran}}, steps=[*steps, later], exchanges=exchanges))
    assert "expected: c, a, b, fetch" in what


def test_a_step_that_began_later_on_the_virtual_clock_comes_later(judge: Judge) -> None:
    last = {"id": "beside", "type": "data_fetch", "inputs": STEPS[0]["inputs"]}
    exchanges = {**GOOD, "beside": [OK]}
    for ran, good in ((["beside", "fetch", "check"], True), (["fetch", "check", "beside"], False)):
        finished = judge({"path": {"ran": ran}}, steps=[*STEPS, last], exchanges=exchanges)
        assert finished.passed is good
    assert finished.findings[0].details[-1] == "check began after 5s"


PROBE = {"type": "data_fetch", "inputs": {"source_url": "https://a.test/up"}, "expect": "${response.up}"}


def test_a_probe_without_its_exchange_is_not_the_unmet_assumption_that_was_expected(judge: Judge) -> None:
    more = {"assumptions": [{"id": "up", "probe": PROBE}]}
    down = [{"status": 200, "json": {"up": False}}]
    assert whats(judge({"status": "aborted"}, exchanges={"assumptions.up": down}, **more)) == []
    (what,) = whats(judge({"status": "aborted"}, exchanges={}, **more))
    assert "'assumptions.up' failed for a reason outside the runbook" in what
    (what,) = whats(judge({"status": "aborted"}, exchanges={"assumptions.up": down * 2}, **more))
    assert what == "the fixture has 1 exchange for step 'assumptions.up' that nobody used"


def test_each_item_of_a_repeated_step_uses_its_own_exchanges(judge: Judge) -> None:
    steps = [{**STEPS[0], "for_each": [1, 2], "max_parallel": 2}]
    exchanges = {"fetch[0]": [OK], "fetch[1]": [OK]}
    expected: dict[str, Any] = {"status": "failure", "outputs": {"fetch": {"first": [1, 1]}}}
    more: dict[str, Any] = {"steps": steps, "kpis": {"max_duration_seconds": 1}}
    assert whats(judge(expected, exchanges=exchanges, **more)) == []
    (what,) = whats(judge(expected, exchanges={**exchanges, "fetch[1]": [OK, OK]}, **more))
    assert what == "the fixture has 1 exchange for step 'fetch[1]' that nobody used"


# Updates


def updated(judge: Judge, expected: dict[str, Any], **more: Any) -> tuple[CaseFinished, list[Change]]:
    return PackUpdate().apply(judge(expected, **more))


def test_an_update_makes_the_file_and_the_next_run_passes(judge: Judge, workshop: Workshop) -> None:
    expected = {"outputs": {"fetch": {"items": "expected/deep/items.json"}}}
    finished, (change,) = updated(judge, expected)
    path = workshop.project.pack("rb-test") / "expected/deep/items.json"
    assert (finished.findings, change.path, change.new, change.lines) == ((), path, True, ())
    assert path.read_text() == json.dumps(OK["json"]["items"], indent=2) + "\n"
    assert [item.name for item in path.parent.iterdir()] == ["items.json"]
    assert judge(expected).passed


def test_an_update_tells_what_changes(judge: Judge, workshop: Workshop) -> None:
    workshop.file("acceptance/rb-test/expected/first.json", "7")
    finished, (change,) = updated(judge, {"outputs": {"fetch": {"first": "expected/first.json"}}})
    assert finished.passed
    assert (change.new, change.lines) == (False, ("first: expected 7, is 1",))


def test_a_file_that_is_as_expected_is_not_written_again(judge: Judge, workshop: Workshop) -> None:
    path = workshop.file("acceptance/rb-test/expected/items.json", json.dumps(OK["json"]["items"]))
    before = path.read_text()
    finished, changes = updated(judge, {"outputs": {"fetch": {"items": "expected/items.json"}}})
    assert (finished.passed, changes, path.read_text()) == (True, [], before)


@pytest.mark.parametrize("other", [{"status": "failure"}, {"kpis": {"duration_seconds": 1}}])
def test_nothing_is_updated_when_something_else_is_wrong_too(
    judge: Judge, workshop: Workshop, other: dict[str, Any]
) -> None:
    path = workshop.file("acceptance/rb-test/expected/first.json", "7")
    finished, changes = updated(judge, {"outputs": {"fetch": {"first": "expected/first.json"}}, **other})
    assert (finished.passed, changes, path.read_text()) == (False, [], "7")


def test_an_aborted_run_updates_nothing(judge: Judge, workshop: Workshop) -> None:
    path = workshop.file("acceptance/rb-test/expected/first.json", "7")
    expected = {"outputs": {"fetch": {"first": "expected/first.json"}}}
    finished, changes = updated(judge, expected, exchanges={"fetch": [DOWN]})
    assert (finished.passed, changes, path.read_text()) == (False, [], "7")


def test_two_scenarios_that_want_one_file_differently_are_told_so(judge: Judge) -> None:
    update = PackUpdate()
    expected = {"outputs": {"fetch": {"first": "expected/first.json"}}}
    assert update.apply(judge(expected))[0].passed
    other = {**OK, "json": {"items": [{"id": 5}]}}
    finished, changes = update.apply(judge(expected, exchanges={**GOOD, "fetch": [other]}))
    assert changes == []
    assert whats(finished) == ["first.json is expected by another scenario too, with another value"]


def test_a_secret_in_an_output_is_not_written_into_a_file(judge: Judge, workshop: Workshop) -> None:
    steps = [{**STEPS[0], "inputs": {**STEPS[0]["inputs"], "auth_token": "${TOKEN}"}}]
    exchanges = {"fetch": [{"status": 200, "json": {"items": [{"id": "not-a-real-token"}]}}]}
    expected = {"outputs": {"fetch": {"first": "expected/first.json"}}}
    more = {"steps": steps, "exchanges": exchanges, "fixture": {"secrets": {"TOKEN": "not-a-real-token"}}}
    finished, changes = updated(judge, expected, **more)
    assert changes == []
    (finding,) = finished.findings
    assert finding.details == ("fetch.first holds a secret, which no expected file can: expect its parts",)


# Cases


def test_a_fixture_with_several_scenarios_gives_a_case_for_each(workshop: Workshop) -> None:
    workshop.runbook(STEPS)
    one = {"format": 1, "scenario": "one", "runbook": "rb-test", "steps": GOOD}
    workshop.file("acceptance/rb-test/f.json", json.dumps({"scenarios": [one, {**one, "scenario": "two"}]}))
    workshop.file("acceptance/rb-test/acceptance.yml", "scenarios: [{name: s, fixture: f.json}]")
    runbook = load_runbook(workshop.project, "rb-test")
    assert [case.id for case in find_cases(runbook)] == ["rb-test::s [one]", "rb-test::s [two]"]
    twice = workshop.file("acceptance/other.json", json.dumps({"scenarios": [one, one]}))
    with pytest.raises(CassetteError, match="two scenarios of the fixture are called 'one'"):
        find_cases(runbook, str(twice))
