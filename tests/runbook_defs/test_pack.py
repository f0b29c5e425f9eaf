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


def test_two_scenarios_of_one_name(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD.replace("name: down", "name: golden")) == [
        ("RB602", 9, 11, "two scenarios are called 'golden'")
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
        ("RB102", 9, 5, "scenario number 2 has no 'fixture'"),
        (
            "RB103",
            10,
            24,
            "'status' is 'abort', which is none of 'running', 'success', 'failure' or 'aborted'",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "RB010"), ("- a\n", "RB010"), ("scenarios: [\n", "RB004"), ("scenarios: 5\n", "RB103"),
     ("scenarios: [5]\n", "RB103"), ("a: &a 1\n", "RB007"), ("scenarios: []\nscenarios: []\n", "RB009")],
)  # fmt: skip
def test_a_pack_that_cannot_be_read(tmp_path: Path, text: str, code: str) -> None:
    assert [found[0] for found in problems(tmp_path, text)] == [code]
