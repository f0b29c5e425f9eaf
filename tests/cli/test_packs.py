"""`rb test` on whole packs and projects, its reports and updates, and `rb validate` on packs."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from step_ops.drivers.find_browser import find_browser
from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = "rb-001-entity-enrichment"
Rb = Callable[..., Any]

FETCH = {
    "id": "fetch",
    "type": "data_fetch",
    "inputs": {"source_url": "https://a.test/items"},
    "outputs": {"items": "$.items"},
}
OK = {"status": 200, "json": {"items": [1, 2]}}


class Bench:
    """A project with the current folder in it, and packs that are quickly written."""

    def __init__(self, workshop: Workshop, rb: Rb) -> None:
        self.workshop, self.rb, self.root = workshop, rb, workshop.project.root

    def pack(self, runbook_id: str, **scenarios: dict[str, Any]) -> Path:
        """A runbook of one step with these scenarios: each its answer under `told`, and what it expects."""
        self.workshop.runbook([FETCH], id=runbook_id)
        written = []
        for name, expected in scenarios.items():
            answer = expected.pop("told", OK)
            fixture = {"format": 1, "runbook": runbook_id, "steps": {"fetch": [answer]}}
            self.workshop.file(f"acceptance/{runbook_id}/fixtures/{name}.json", json.dumps(fixture))
            written.append({"name": name, "fixture": f"fixtures/{name}.json", "expected": expected})
        text = json.dumps({"scenarios": written}, indent=1)
        return self.workshop.file(f"acceptance/{runbook_id}/acceptance.yml", text)

    def validate(self, *arguments: str) -> list[str]:
        """The places, codes and sentences that `rb validate` prints."""
        out = self.rb("validate", *arguments).out
        return [line for line in out.splitlines() if re.match(r"\S+:\d+:\d+ RB", line)]


@pytest.fixture
def bench(workshop: Workshop, rb: Rb, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.delenv("RUNBOOK_PROJECT", raising=False)
    monkeypatch.chdir(workshop.project.root)
    return Bench(workshop, rb)


# Which scenarios run


def test_a_whole_pack_has_a_heading_for_each_scenario_and_a_closing_line(bench: Bench) -> None:
    bench.pack("rb-a", good={}, down={"told": {"status": 404}, "status": "aborted"}, bad={"kpis": {"x": 1}})
    answer = bench.rb("test", "rb-a")
    assert answer.code == 1
    said = re.sub(r"in \d+\.\ds", "in 0.0s", answer.out)
    blocks = [block.splitlines() for block in said.split("\n\n")]
    assert [block[0] for block in blocks[:3]] == ["good", "down", "bad"]
    assert [block[-1] for block in blocks[:3]] == ["PASS", "PASS", "FAIL"]
    assert "✓ Status: aborted (as expected)" in blocks[1]
    assert "✗ KPI x was expected, but there are only: duration_seconds" in blocks[2]
    assert blocks[3] == ["2 passed, 1 failed in 0.0s", "FAIL"]


def test_all_packs_of_the_project_run_and_a_broken_one_fails_the_rest_not(bench: Bench) -> None:
    bench.pack("rb-a", one={})
    bench.pack("rb-b", two={})
    path = bench.pack("rb-c", three={})
    path.write_text(path.read_text().replace("fixtures/three.json", "fixtures/tree.json"))
    bench.workshop.runbook([FETCH], id="rb-d")
    answer = bench.rb("test", "--all")
    assert answer.code == 1
    assert "RB305 there is no fixture 'fixtures/tree.json'" in answer.out
    assert "did you mean 'three.json'?" in answer.out
    assert "- rb-d has no scenarios" in answer.out
    assert "rb-a::one\n" in answer.out
    assert "rb-b::two\n" in answer.out
    assert re.search(r"\n2 passed, 0 failed, 1 broken in \d+\.\ds\nFAIL\n$", answer.out)
    path.unlink()
    assert bench.rb("test", "--all").code == 0


def test_the_first_failure_ends_it_when_asked_to(bench: Bench) -> None:
    bench.pack("rb-a", one={}, two={"status": "failure"}, three={})
    for option in ("-x", "--fail-fast"):
        answer = bench.rb("test", "rb-a", option)
        assert answer.code == 1
        assert "1 passed, 1 failed, 1 not run in" in answer.out
        assert "three" not in answer.out


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("GOLDEN", ["golden day", "golden night"]),
        ("golden   night", ["golden night"]),
        ("not golden", ["broken"]),
        ("golden and not day", ["golden night"]),
        ("day or broken", ["golden day", "broken"]),
        ("rb-a::golden d", ["golden day"]),
    ],
)
def test_scenarios_are_chosen_by_parts_of_their_names(
    bench: Bench, expression: str, names: list[str]
) -> None:
    bench.pack("rb-a", **{"golden day": {}, "golden night": {}, "broken": {}})
    out = bench.rb("test", "--all", "-k", expression).out
    assert re.findall(r"^rb-a::(.+)$", out, re.MULTILINE) == names


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ([], "which runbook?", "--all"),
        (["rb-a", "--all"], "--all tests every runbook", "leave one"),
        (["--all", "--fixture", "f.json"], "--fixture is for one runbook", "rb test ID --fixture"),
        (["rb-a", "-k", "nothing"], "no scenario matches -k 'nothing'", "rb-a::one"),
        (["rb-a", "-k", "one and"], "has a part without a word", "-k golden"),
        (["rb-a", "-k", ""], "has a part without a word", "-k golden"),
        (["rb-a", "--report", "connections.yaml/x"], "cannot make the folder", "--report"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_next_move(
    bench: Bench, arguments: list[str], message: str, hint: str
) -> None:
    bench.pack("rb-a", one={})
    bench.workshop.file("connections.yaml", "")
    answer = bench.rb("test", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert hint in answer.err
    assert answer.out == ""


def test_a_project_where_nothing_could_run_is_no_pass(bench: Bench) -> None:
    bench.workshop.runbook([FETCH], id="rb-a")
    assert bench.rb("test", "--all").code == 2


# Updates


def test_an_update_rewrites_what_differs_and_shows_it(bench: Bench) -> None:
    bench.pack("rb-a", one={"outputs": {"fetch": {"items": "expected/items.json"}}})
    first = bench.rb("test", "rb-a")
    assert first.code == 1
    assert "hint: if what it gives is right: rb test rb-a --update" in first.out
    made = bench.rb("test", "rb-a", "--update")
    assert made.code == 0
    assert "↻ Updated: acceptance/rb-a/expected/items.json (new)\nPASS" in made.out
    path = bench.root / "acceptance/rb-a/expected/items.json"
    path.write_text("[1, 2, 3]")
    differs = bench.rb("test", "rb-a")
    assert "✗ output fetch.items is not as in expected/items.json: 1 difference" in differs.out
    assert "      fetch.items[2]: missing, expected 3" in differs.out
    assert bench.rb("test", "rb-a", "--update").out.count("items[2]: missing, expected 3") == 1
    assert json.loads(path.read_text()) == [1, 2]
    assert bench.rb("test", "rb-a").code == 0


def test_an_update_says_why_it_changes_nothing(bench: Bench) -> None:
    bench.pack("rb-a", one={"outputs": {"fetch": {"items": "expected/items.json"}}, "kpis": {"x": 1}})
    answer = bench.rb("test", "rb-a", "--update")
    assert answer.code == 1
    assert "nothing was updated: the scenario failed for other reasons too" in answer.out
    assert not (bench.root / "acceptance/rb-a/expected").exists()


@pytest.fixture
def shipped(bench: Bench) -> Bench:
    """A copy of the shipped runbook with its pack."""
    for name in ("runbooks", "acceptance"):
        shutil.copytree(ROOT / name / SHIPPED, bench.root / name / SHIPPED)
    return bench


@pytest.mark.skipif(find_browser() is None, reason="no browser on this machine")
def test_an_update_makes_a_baseline_that_is_missing_and_keeps_one_that_is_there(shipped: Bench) -> None:
    baseline = shipped.root / "acceptance" / SHIPPED / "screenshots" / "baseline-entity-list.png"
    right = baseline.read_bytes()
    baseline.unlink()
    golden = ("test", SHIPPED, "--fixture", "golden-scenarios.json")
    assert shipped.rb(*golden).code == 1
    assert "Updated: " in shipped.rb(*golden, "--update").out
    assert shipped.rb(*golden).code == 0
    page = baseline.parents[1] / "fixtures/pages/entities.html"
    page.write_text(
        page.read_text().replace("</style>", "#entity-list { background: #c00 !important }</style>")
    )
    made = baseline.read_bytes()
    assert made[:8] == right[:8]
    report = shipped.root / "out"
    assert shipped.rb(*golden, "--update", "--report", str(report)).code == 1
    assert baseline.read_bytes() == made
    (picture,) = json.loads((report / "report.json").read_text())["cases"][0]["pictures"]
    assert (picture["name"], picture["verdict"]) == ("entity-list", "changed")
    for kind in ("file", "expected", "diff"):
        assert (report / picture[kind]).read_bytes().startswith(b"\x89PNG")


# Reports


def test_the_report_has_each_scenario_for_machines(bench: Bench) -> None:
    bench.pack("rb-a", one={}, two={"told": {**OK, "json": {"items": ["\x01\x1b[2J"]}},
                                    "outputs": {"fetch": {"items": 5}}}, three={})  # fmt: skip
    path = bench.pack("rb-b", four={})
    path.write_text("scenarios: 5\n")
    folder = bench.root / "deep" / "report"
    assert bench.rb("test", "--all", "-x", "--report", str(folder)).code == 1  # broken: nothing runs
    assert ElementTree.parse(folder / "junit.xml").getroot().get("skipped") == "3"
    assert bench.rb("test", "--all", "--report", str(folder)).code == 1

    suites = ElementTree.parse(folder / "junit.xml").getroot()
    assert {name: suites.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "0",
    }  # fmt: skip
    (broken,), cases = ([*suite] for suite in sorted(suites, key=lambda suite: suite.get("name") != "rb-b"))
    assert "RB103" in (broken.findtext("error") or "")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        ("rb-a", "one"), ("rb-a", "two"), ("rb-a", "three"),
    ]  # fmt: skip
    assert [case.find("failure") is None for case in cases] == [True, False, True]
    failure = cases[1].find("failure")
    assert failure is not None
    assert "output fetch.items is " in failure.get("message", "")
    assert "✓ Step: fetch" in (cases[0].findtext("system-out") or "")
    assert all(float(case.get("time", "")) > 0 for case in cases)

    report = json.loads((folder / "report.json").read_text())
    assert (report["format"], report["passed"], report["failed"]) == (1, 2, 1)
    assert report["broken"][0]["problems"][0]["code"] == "RB103"
    two = report["cases"][1]
    assert (two["scenario"], two["passed"], two["status"], two["fixture"]) == (
        "two", False, "success", "acceptance/rb-a/fixtures/two.json",
    )  # fmt: skip
    assert "output fetch.items is " in two["findings"][0]["what"]
    assert (two["steps"][0]["id"], two["steps"][0]["status"]) == ("fetch", "success")


def test_a_control_character_does_not_break_the_xml(bench: Bench) -> None:
    bench.pack("rb-a", one={"told": {"error": "\x01\x1b[2Jboom\ufffe"}})
    assert bench.rb("test", "rb-a", "--report", "out").code == 1
    text = (bench.root / "out" / "junit.xml").read_text()
    assert "boom" in text
    (failure,) = ElementTree.fromstring(text).iter("failure")
    assert "\ufffd" in failure.get("message", "")


# The shipped packs


@pytest.mark.skipif(find_browser() is None, reason="no browser on this machine")
def test_the_shipped_pack_passes_and_tells_of_a_change_in_what_is_enriched(shipped: Bench) -> None:
    good = shipped.rb("test", SHIPPED)
    assert good.code == 0, good.out
    assert "2 passed, 0 failed in " in good.out
    assert "✓ Step: validate (96 valid, 6 errors)" in good.out
    path = shipped.root / "acceptance" / SHIPPED / "fixtures/enriched-entities.json"
    data = json.loads(path.read_text())
    entities = data["data"]["enrichEntities"]
    entities[3]["region"] = "Atlantis"
    path.write_text(json.dumps(data))
    bad = shipped.rb("test", SHIPPED, "-k", "happy")
    assert bad.code == 1
    assert re.search(r'enrich\.enriched\[3\]\.region: expected "[A-Z].+", is "Atlantis"', bad.out)


# `rb validate`


def test_a_good_pack_has_no_problems_by_id_by_file_and_by_folder(bench: Bench) -> None:
    path = bench.pack("rb-a", one={"outputs": {"fetch": {"items": [1, 2]}}})
    assert bench.rb("validate", "rb-a").out == "1 runbook: no problems\n"
    for name in (path, path.parent):
        assert bench.rb("validate", str(name)).out == "1 acceptance pack: no problems\n"
    both = bench.rb("validate", "rb-a", str(path))
    assert both.out == "1 runbook and 1 acceptance pack: no problems\n"


@pytest.mark.parametrize(
    ("expected", "at", "said"),
    [
        ({"kpis": {"x": "<= many"}}, '"<= many"', "RB602 '<= many' is not a comparison"),
        ({"status": "running"}, '"running"', "RB103 'status' is 'running', which is none of 'success', "),
        ({"errors": {"type": "htp"}}, '"htp"', "RB103 there is no error type 'htp'"),
        ({"outputs": {"fetsh": {"items": 1}}}, '"fetsh"', "RB301 the runbook has no step 'fetsh'"),
        ({"outputs": {"fetch": {"item": 1}}}, '"item"', "RB303 step 'fetch' has no output 'item'"),
        ({"path": {"ran": ["fetsh"]}}, '"fetsh"', "RB301 the runbook has no step 'fetsh'"),
        ({"path": {"retried": {"x": 2}}}, '"x"', "RB301 the runbook has no step 'x'"),
        ({"outputs": {"fetch": "expected/no.json"}}, '"expected', "RB603 there is no file 'exp"),
        ({"outputs": {"fetch": "expected/bad.json"}}, '"expected', "RB307 bad.json is not JSON at line 1"),
        ({"outputs": {"fetch": "expected/list.json"}}, '"expected', "RB307 'expected/list.json' stands"),
        ({"outputs": {"fetch": "expected/../x.json"}}, '"expected', "RB306 'expected/../x.json' leads"),
        ({"screenshots": {"page": "no.png"}}, '"no.png"', "RB603 there is no file 'no.png' yet"),
        ({"screenshots": {"page": "expected/bad.json"}}, '"expected', "RB307 'expected/bad.json' is not"),
        ({"screenshots": {"page": "../../x.png"}}, '"../../x', "RB306 '../../x.png' leads out of the pack's"),
    ],
)  # fmt: skip
def test_each_mistake_in_a_pack_is_found_at_its_place(
    bench: Bench, expected: dict[str, Any], at: str, said: str
) -> None:
    bench.workshop.file("acceptance/rb-a/expected/bad.json", "{")
    bench.workshop.file("acceptance/rb-a/expected/list.json", "[]")
    path = bench.pack("rb-a", one=expected)
    (line,) = bench.validate("rb-a")
    assert said in line
    assert text_at(path, line).startswith(at)
    assert bench.rb("validate", "rb-a").code == 1
    assert bench.validate("acceptance/rb-a/acceptance.yml") == [line]


def text_at(path: Path, problem: str) -> str:
    """What stands in the file where the problem is said to be."""
    _, line, column = problem.split(" ")[0].split(":")
    return path.read_text().splitlines()[int(line) - 1][int(column) - 1 :]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "RB602 the fixture 'fixtures/one.json' cannot be used: not JSON at line 1"),
        ('{"format": 1, "runbook": "rb-b"}', "the fixture is for 'rb-b', not for 'rb-a'"),
        ('{"format": 1, "runbook": "rb-a", "steps": {"fetsh": []}}', "the fixture has exchanges for 'fetsh'"),
    ],
)
def test_a_fixture_that_cannot_be_used_is_found_where_it_is_named(bench: Bench, text: str, said: str) -> None:
    path = bench.pack("rb-a", one={})
    (path.parent / "fixtures/one.json").write_text(text)
    (line,) = bench.validate("rb-a")
    assert text_at(path, line).startswith('"fixtures/one.json"')
    assert " RB602 " in line
    assert said in line
    answer = bench.rb("test", "rb-a")
    assert answer.code == 1
    assert line in answer.out


def test_a_link_that_leads_out_of_the_pack_is_refused(bench: Bench) -> None:
    path = bench.pack("rb-a", one={})
    outside = bench.workshop.file("outside.json", "{}")
    (path.parent / "fixtures/one.json").unlink()
    (path.parent / "fixtures/one.json").symlink_to(outside)
    (line,) = bench.validate("rb-a")
    assert "RB306 'fixtures/one.json' leads out of the pack's folder" in line


def test_two_scenarios_of_one_name_are_found_by_validate_and_by_test(bench: Bench) -> None:
    path = bench.pack("rb-a", one={}, two={})
    path.write_text(path.read_text().replace('"two"', '"one"'))
    (line,) = bench.validate()
    assert "RB602 two scenarios are called 'one'" in line
    assert line in bench.rb("test", "rb-a").out


def test_a_pack_without_its_runbook_is_told_so(bench: Bench) -> None:
    bench.pack("rb-a", one={})
    shutil.rmtree(bench.root / "runbooks/rb-a")
    (line,) = bench.validate("acceptance/rb-a/acceptance.yml")
    assert "RB602 there is no runbook 'rb-a' for this pack" in line


def test_a_pack_is_checked_although_its_runbook_has_errors(bench: Bench) -> None:
    bench.pack("rb-a", one={"kpis": {"x": "<"}})
    bench.workshop.runbook([{**FETCH, "type": "data_fetsh"}], id="rb-a")
    codes = [line.split()[1] for line in bench.validate("rb-a")]
    assert codes == ["RB203", "RB602"]


def test_json_has_the_problems_of_the_pack_under_its_own_path(bench: Bench) -> None:
    bench.pack("rb-a", one={"kpis": {"x": "<"}})
    said = json.loads(bench.rb("validate", "rb-a", "--format", "json").out)
    assert said["files"] == 2
    assert [item["path"] for item in said["problems"]] == ["acceptance/rb-a/acceptance.yml"]
