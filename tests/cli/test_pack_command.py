"""`rb pack from`: executions of the shipped runbooks against the real demo become scenarios that pass."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.app import DEFAULT_TOKEN
from demo.warehouse import AS_OF, as_url, make
from demo.world import MissingPart, pushgateway, upstream
from runbook_defs.execution import ExecutionRecord
from step_ops.drivers.find_browser import find_browser
from tests.scripted import Says, Server
from tests.workshop import Workshop

ENTITIES, QUALITY, POLICY = "rb-001-entity-enrichment", "dq-001-data-quality", "gov-001-policy-simulation"
Rb = Callable[..., Any]


@pytest.fixture(scope="module")
def world() -> Iterator[dict[str, str]]:
    """The environment of a deployment with the demo and a Pushgateway."""
    try:
        with upstream() as api, pushgateway() as metrics:
            yield {
                "API_BASE_URL": api,
                "API_TOKEN": DEFAULT_TOKEN,
                "PUSHGATEWAY_URL": metrics,
                "SOURCE_API_URL": f"{api}/api/entities",
            }
    except MissingPart as missing:
        pytest.skip(str(missing))


@pytest.fixture
def deployed(
    workshop: Workshop, shipped: Path, world: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workshop]:
    """The shipped runbooks, copied, with the demo to run against, and the current folder there."""
    for name, value in world.items():
        monkeypatch.setenv(name, value)
    yield workshop
    requests.delete(f"{world['API_BASE_URL']}/switches", timeout=10).raise_for_status()


def without_screenshot(workshop: Workshop) -> None:
    file = workshop.project.runbook_file(ENTITIES)
    text = file.read_text()
    file.write_text(text[: text.index("  - id: screenshot_ui")])
    # Of the scenarios, only the one that the step is no part of.
    pack = workshop.project.pack(ENTITIES) / "acceptance.yml"
    text = pack.read_text()
    pack.write_text("scenarios:\n" + text[text.index('  - name: "Partial failure') :])
    path = workshop.project.pack(ENTITIES) / "fixtures/malformed-entities.json"
    fixture = json.loads(path.read_text())
    fixture["steps"].pop("screenshot_ui", None)
    path.write_text(json.dumps(fixture))


def packed(workshop: Workshop, rb: Rb, record: ExecutionRecord, *options: str) -> list[str]:
    """The lines of a scenario that is made, passes, and is good; each of its files is looked at."""
    answer = rb("pack", "from", record.short_name, *options)
    assert (answer.code, answer.err) == (0, ""), answer.out + answer.err
    lines: list[str] = answer.out.splitlines()
    assert lines[0].startswith(f"a new scenario of {record.runbook_id}: ")
    assert lines[-1] == "PASS"
    made = [line.strip() for line in lines if line.startswith("  acceptance/")]
    for path in (workshop.project.root / name for name in made):
        assert b"secret:" not in path.read_bytes()
        assert DEFAULT_TOKEN.encode() not in path.read_bytes()
    checked = rb("validate", "--strict", record.runbook_id)
    assert (checked.code, checked.out) == (0, "1 runbook: no problems\n"), checked.out
    again = rb("test", record.runbook_id, "--fixture", Path(made[0]).name)
    assert again.code == 0, again.out
    return lines


def expected(workshop: Workshop, runbook_id: str) -> str:
    """The last scenario of the pack, as written."""
    text = (workshop.project.pack(runbook_id) / "acceptance.yml").read_text()
    return text[text.rindex("\n  - name: ") + 1 :]


def test_the_entity_runbook_becomes_a_scenario_with_files_for_what_is_large(
    deployed: Workshop, rb: Rb
) -> None:
    without_screenshot(deployed)
    before = (deployed.project.pack(ENTITIES) / "acceptance.yml").read_text()
    lines = packed(deployed, rb, deployed.live(ENTITIES), "--name", "A real day")
    folder = f"acceptance/{ENTITIES}"
    assert lines[1:8] == [
        f"  {folder}/fixtures/a-real-day.json",
        f"  {folder}/fixtures/a-real-day/ingest.json",
        f"  {folder}/fixtures/a-real-day/enrich.json",
        *(
            f"  {folder}/expected/a-real-day/{name}.json"
            for name in ("ingest", "validate", "enrich", "report")
        ),
    ]
    assert "✓ Step: enrich (195 enriched)" in lines
    after = (deployed.project.pack(ENTITIES) / "acceptance.yml").read_text()
    assert after.startswith(before)
    assert after[len(before) :] == (
        """
  - name: A real day
    fixture: fixtures/a-real-day.json
    expected:
      status: success
      kpis:
        max_duration_seconds: <= 300
        min_success_rate: 0.975
        max_error_rate: 0.025
        entities_processed: 195
      errors:
        count: 5
        type: schema_validation
      outputs:
        ingest: expected/a-real-day/ingest.json
        validate: expected/a-real-day/validate.json
        enrich: expected/a-real-day/enrich.json
        report: expected/a-real-day/report.json
      path:
        ran: [ingest, validate, enrich, report]
        failed: []
        skipped: []
        not_run: []
        retried: {}
"""
    )
    fixture = json.loads((deployed.project.root / lines[1].strip()).read_text())
    assert fixture["secrets"] == {"API_TOKEN": "not-a-real-api-token"}
    sent = {step: entries[0]["expect"] for step, entries in fixture["steps"].items()}
    assert len(sent["enrich"]["body"]["variables"]["entities"]) == 195
    assert sent["report"] == {"method": "PUT"}  # its address has the execution's id in it


@pytest.mark.skipif(find_browser() is None, reason="no browser on this machine")
def test_a_photographed_page_is_kept_and_drawn_again(
    deployed: Workshop, rb: Rb, world: dict[str, str]
) -> None:
    file = deployed.project.runbook_file(ENTITIES)
    file.write_text(file.read_text().replace("http://localhost:3000", world["API_BASE_URL"]))
    lines = packed(deployed, rb, deployed.live(ENTITIES), "--name", "With a picture")
    assert "✓ Screenshot diff: 0.00% change (within threshold)" in lines
    made = deployed.project.pack(ENTITIES)
    (entry,) = json.loads((made / "fixtures/with-a-picture.json").read_text())["steps"]["screenshot_ui"]
    assert entry["page"] == "with-a-picture/screenshot_ui.har"
    assert (made / "screenshots/with-a-picture-entity-list.png").read_bytes().startswith(b"\x89PNG")
    written = expected(deployed, ENTITIES)
    assert "entity-list: screenshots/with-a-picture-entity-list.png" in written
    pattern = r"matches ^\.runbook/artifacts/[0-9a-f-]{36}/screenshot_ui/entity-list\.png$"
    assert f"screenshot_path: {pattern}" in written


def test_a_policy_simulation_with_a_busy_service_proposes_what_differs(
    deployed: Workshop, rb: Rb, world: dict[str, str]
) -> None:
    file = deployed.project.runbook_file(POLICY)
    # Polled more often, so that the test need not wait.
    file.write_text(file.read_text().replace("every_seconds: 1\n", "every_seconds: 0.1\n"))
    deployed.live(POLICY)
    busy = {"path": "/api/policies/entity-retention", "status": 503, "times": 1, "retry_after": 0}
    requests.put(f"{world['API_BASE_URL']}/switches", json=[busy], timeout=10).raise_for_status()
    lines = packed(deployed, rb, deployed.live(POLICY))
    start = lines.index("proposed for runbook.yaml, if these may differ:")
    assert lines[start - 1] == "the answers are not the same in 1 other execution with these inputs"
    assert lines[start + 1 : start + 7] == [
        "tolerances:",
        '  - {step: propose, in: [response], path: "$.id", ignore: true}',
        '  - {step: simulated, in: [response], path: "$.id", ignore: true}',
        '  - {step: result, in: [response], path: "$.simulation", ignore: true}',
        '  - {step: review, in: [response], path: "$.number", numeric: {abs: 1}}',
        '  - {step: review, in: [response], path: "$.title", ignore: true}',
    ]
    written = expected(deployed, POLICY)
    assert re.match(r"  - name: Recorded exec-\d{4}-\d\d-\d\d-[0-9a-f]{6}\n", written)
    assert "        retried:\n          current: 2\n" in written
    fixture = json.loads((deployed.project.root / lines[1].strip()).read_text())
    assert [entry["status"] for entry in fixture["steps"]["current"]] == [503, 200]
    assert len(fixture["steps"]["simulated"]) == 3
    assert {"assumptions.simulator_answers", "details[0]", "details[6]"} <= fixture["steps"].keys()


def test_an_aborted_simulation_becomes_a_scenario_that_expects_the_abort(deployed: Workshop, rb: Rb) -> None:
    lines = packed(deployed, rb, deployed.live(POLICY, inputs={"change": {"keep_day": 5}}))
    assert "✓ Status: aborted (as expected)" in lines
    assert (
        "no tolerances to propose: no other execution with these inputs to compare the answers with" in lines
    )
    written = expected(deployed, POLICY)
    assert "      status: aborted\n" in written
    assert "failed: [propose]" in written
    assert "not_run: [simulated, result, details, review, report]" in written


def test_queries_of_a_spoilt_warehouse_become_a_scenario_that_fails_as_it_did(
    deployed: Workshop, rb: Rb, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = as_url(str(deployed.project.root / "warehouse.db"))
    make(url, spoilt=True)
    monkeypatch.setenv("WAREHOUSE_URL", url)
    record = deployed.live(QUALITY, inputs={"as_of": int(AS_OF.timestamp())})
    lines = packed(deployed, rb, record)
    assert "✓ Status: failure (as expected)" in lines
    fixture = json.loads((deployed.project.root / lines[1].strip()).read_text())
    (asked,) = fixture["steps"]["duplicates"]
    assert len(asked["rows"]) == 23
    assert asked["expect"]["params"] == {"since": 1761814800, "until": 1764406800}
    assert "GROUP BY order_id" in asked["expect"]["sql"]


# What else is said


@pytest.fixture
def recorded(
    workshop: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], ExecutionRecord]:
    """Records an execution of one step, in a project with the current folder in it."""
    monkeypatch.chdir(workshop.project.root)
    monkeypatch.delenv("RUNBOOK_PROJECT", raising=False)
    server.answers = {"/a": Says({"n": 1})}

    def run() -> ExecutionRecord:
        inputs = {"source_url": f"{server.url}/a"}
        workshop.runbook([{"id": "a", "type": "data_fetch", "inputs": inputs, "outputs": {"n": "$.n"}}])
        return workshop.live()

    return run


def test_a_scenario_that_does_not_pass_is_kept_and_the_exit_code_says_so(
    workshop: Workshop, recorded: Callable[[], ExecutionRecord], rb: Rb
) -> None:
    record = recorded()
    file = workshop.project.runbook_file("rb-test")
    file.write_text(file.read_text().replace('"$.n"', '"$.m"'))
    answer = rb("pack", "from", record.id, "--name", "Changed")
    assert answer.code == 1
    assert "note: the runbook has changed since in a: the scenario is of what was recorded\n" in answer.out
    assert "✗ status is aborted, expected success" in answer.out
    *_, verdict, hint = answer.out.splitlines()
    assert verdict == "FAIL"
    assert hint.endswith("mend them, or the runbook, then rb test rb-test --fixture changed.json")
    assert (workshop.project.pack("rb-test") / "fixtures/changed.json").is_file()
    file.write_text(file.read_text().replace('"$.m"', '"$.n"'))
    assert rb("test", "rb-test").code == 0


def test_what_cannot_become_a_scenario_is_refused_in_a_sentence_and_nothing_is_written(
    workshop: Workshop, recorded: Callable[[], ExecutionRecord], rb: Rb
) -> None:
    record = recorded()

    def refused(reason: str, *arguments: str) -> None:
        answer = rb("pack", "from", *(arguments or (record.id,)))
        assert (answer.code, answer.out) == (2, ""), answer.out
        assert re.search(reason, answer.err), answer.err
        assert "internal error" not in answer.err
        assert not (workshop.project.pack("rb-test") / "fixtures").exists()

    refused("there is no execution 'abcd1234'", "abcd1234")
    refused("'yesterday' is not the name of an execution", "yesterday")
    refused("no file can be named after '夜': .*\n.*--scenario-file", record.id, "--name", "夜")
    refused("' ' cannot be the name of a scenario", record.id, "--name", " ")
    refused(r"'a\\nb' cannot be the name", record.id, "--name", "a\nb")
    replay = workshop.replay(record.id)
    assert replay.at == ""
    refused(f"is itself a replay of {record.id}\n    rb pack from {record.id}", workshop.replayed.id)
    pack = workshop.file("acceptance/rb-test/acceptance.yml", "scenarios:\n  - name: one\n")
    refused("acceptance.yml has errors: line 2: scenario number 1 has no 'fixture'\n.*rb validate")
    pack.unlink()
    file = workshop.project.runbook_file("rb-test")
    text = file.read_text()
    file.write_text(text.replace("data_fetch", "data_fetsh"))
    refused("the runbook rb-test has errors: line 10: unknown step type 'data_fetsh'\n.*rb validate rb-test")
    file.unlink()
    refused("no runbook 'rb-test' in ")


def test_names_of_scenario_and_files_are_the_users_to_choose(
    workshop: Workshop, recorded: Callable[[], ExecutionRecord], rb: Rb
) -> None:
    answer = rb("pack", "from", recorded().id, "--name", "夜: the night", "--scenario-file", "Night 1")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("a new scenario of rb-test: 夜: the night\n")
    assert (workshop.project.pack("rb-test") / "expected/night-1/a.json").read_text() == '{\n  "n": 1\n}\n'
    assert rb("test", "rb-test", "-k", "night").code == 0
