"""Acceptance packs, good and bad."""

from pathlib import Path

import pytest

from runbook_defs.execution import Status
from runbook_defs.pack import InvalidPack, load_pack

GOOD = """\
scenarios:
  - name: golden
    fixture: fixtures/golden.json
    expected:
      status: success
      kpis: {entities_processed: 195, duration_seconds: "<= 300"}
      errors: {count: 5, type: schema_validation}
      screenshots: {entity-list: screenshots/list.png}
      outputs: {fetch: expected/fetch.json, check: {errors: expected/errors.json, count: "> 0"}}
      path: {ran: [fetch, check], skipped: [], retried: {fetch: 2}}
  - name: down
    fixture: fixtures/down.json
    expected: {status: aborted}
"""


def problems(folder: Path, text: str) -> list[tuple[str, int, int, str]]:
    (folder / "acceptance.yml").write_text(text)
    with pytest.raises(InvalidPack) as caught:
        load_pack(folder)
    return [(item.code.value, item.line, item.column, item.message) for item in caught.value.problems]


def test_a_folder_without_a_file_is_an_empty_pack(tmp_path: Path) -> None:
    assert load_pack(tmp_path).scenarios == []


def test_a_good_pack(tmp_path: Path) -> None:
    (tmp_path / "acceptance.yml").write_text(GOOD)
    golden, down = load_pack(tmp_path).scenarios
    assert golden.expected.kpis == {"entities_processed": 195, "duration_seconds": "<= 300"}
    assert golden.expected.errors is not None
    assert (golden.expected.errors.count, golden.expected.errors.type) == (5, "schema_validation")
    assert (golden.expected.status, down.expected.status) == (Status.SUCCESS, Status.ABORTED)
    assert golden.expected.path is not None
    assert (golden.expected.path.ran, golden.expected.path.skipped) == (["fetch", "check"], [])
    assert golden.expected.path.failed is None


def test_two_scenarios_of_one_name(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD.replace("name: down", "name: golden")) == [
        ("RB602", 11, 11, "two scenarios are called 'golden'")
    ]


def test_comparisons_that_make_no_sense_are_all_named(tmp_path: Path) -> None:
    text = GOOD.replace('"<= 300"', '"<= many"').replace("count: 5", 'count: "~5"')
    assert problems(tmp_path, text) == [
        ("RB602", 6, 57, "'<= many' is not a comparison"),
        ("RB602", 7, 23, "'~5' is not a comparison"),
    ]


def test_the_shape_is_checked_at_its_places(tmp_path: Path) -> None:
    text = GOOD.replace("kpis:", "kpi:").replace("status: aborted", "status: abort")
    text = text.replace("    fixture: fixtures/down.json\n", "")
    text = text.replace("errors: {count: 5", "errors: {cuont: 5")
    assert problems(tmp_path, text) == [
        ("RB101", 6, 7, "unknown key 'kpi'"),
        ("RB101", 7, 16, "unknown key 'cuont'"),
        ("RB102", 11, 5, "scenario number 2 has no 'fixture'"),
        (
            "RB103",
            12,
            24,
            "'status' is 'abort', which is none of 'success', 'failure' or 'aborted'",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "RB010"), ("- a\n", "RB010"), ("scenarios: [\n", "RB004"), ("scenarios: 5\n", "RB103"),
     ("scenarios: [5]\n", "RB103"), ("a: &a 1\n", "RB007"), ("scenarios: []\nscenarios: []\n", "RB009")],
)  # fmt: skip
def test_a_pack_that_cannot_be_read(tmp_path: Path, text: str, code: str) -> None:
    assert [found[0] for found in problems(tmp_path, text)] == [code]


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("status: success", "status: running", "RB103", "which is none of 'success', 'failure' or 'aborted'"),
        ("type: schema_validation", "type: schema_validaton", "RB103", "no error type 'schema_validaton'"),
        ("errors: {count: 5, type: schema_validation}", "errors:", "RB103", "'errors' should say what is"),
        ("path: {ran: [fetch, check],", "path: {ran: null,", "RB103", "'ran' should say what is expected"),
        ("path: {ran: [fetch, check],", "path: {run: [fetch],", "RB101", "unknown key 'run'"),
        ("count: 5", "count: five", "RB602", "'count' is a number, which can never be 'five'"),
        ("count: 5", "count: true", "RB602", "'count' is a number, which can never be True"),
        ("count: 5", "count: -1", "RB602", "'count' is a count, which can never be -1"),
        ("retried: {fetch: 2}", "retried: {fetch: 1.5}", "RB602", "'fetch' is a count, which can never be"),
        ('"<= 300"', '"matches 3"', "RB602", "'duration_seconds' is a number, which can never be"),
        ('"> 0"', '"=> 0"', "RB602", "'=> 0' is not a comparison"),
        ('"> 0"', '"~= 5 +- -1"', "RB602", "can hold for nothing"),
        ('"> 0"', '"<= 1e999"', "RB602", "has a number that is too large"),
        ('"> 0"', '"matches ["', "RB602", "has a pattern that does not compile"),
        ("expected/fetch.json", "5", "RB602", "the outputs of step 'fetch' should be a mapping or a file"),
        ("expected/fetch.json", "fetch.json", "RB602", "the outputs of step 'fetch' should be a mapping"),
        ("expected/errors.json", "expected/errors.csv", "RB602", "'expected/errors.csv' is no JSON file"),
    ],
)
def test_what_can_never_be_checked_is_refused(
    tmp_path: Path, old: str, new: str, code: str, message: str
) -> None:
    assert old in GOOD
    ((found, line, column, said),) = problems(tmp_path, GOOD.replace(old, new))
    assert (found, message in said) == (code, True), said
    assert line in {5, 6, 7, 9, 10}
    assert column > 1
