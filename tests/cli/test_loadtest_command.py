"""`rb loadtest generate`: what is in the script, what is refused, what is no longer current."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook_factory.loadtest.k6 import need_k6
from runbook_factory.loadtest.options import Api, ScriptOptions, parse_command, parse_stage
from runbook_factory.loadtest.script import inputs_of
from tests.scripted import Says, Server
from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parents[2]
TRIAGE = "rb-002-entity-triage"
SCRIPT = f"loadtests/{TRIAGE}.js"

Rb = Callable[..., Any]

READING = [{"id": "fetch", "type": "api_call", "inputs": {"endpoint": "/a"}}]


@pytest.fixture
def here(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.chdir(workshop.project.root)
    return workshop


def options_as_k6_reads_them(path: Path) -> dict[str, Any]:
    done = subprocess.run([need_k6(), "inspect", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    options: dict[str, Any] = json.loads(done.stdout)
    return options


def generated(rb: Rb, *arguments: str) -> str:
    answer = rb("loadtest", "generate", *arguments, "--stdout")
    assert (answer.code, answer.err) == (0, "")
    return str(answer.out)


def fixture(runbook: str = "rb-test", *scenarios: tuple[str, dict[str, Any]]) -> str:
    told = [
        {"format": 1, "scenario": name, "runbook": runbook, "inputs": inputs, "steps": {}}
        for name, inputs in scenarios
    ]
    return json.dumps({"scenarios": told})


def test_the_committed_scripts_are_what_would_be_generated(rb: Rb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    answer = rb("loadtest", "generate", "--check")
    assert (answer.out, answer.code) == (f"✓ {SCRIPT} is current\n", 0)


@pytest.mark.parametrize("api", list(Api))
def test_k6_reads_the_stages_and_thresholds_of_the_specification(rb: Rb, shipped: Path, api: str) -> None:
    assert rb("loadtest", "generate", TRIAGE, "--api", api).out == f"{SCRIPT} written\n"
    options = options_as_k6_reads_them(shipped / SCRIPT)
    assert [(stage["duration"], stage["target"]) for stage in options["stages"]] == [
        ("1m0s", 10),
        ("3m0s", 50),
        ("1m0s", 0),
    ]
    thresholds = options["thresholds"]
    assert thresholds["http_req_duration"] == ["p(95)<2000"]
    assert thresholds["http_req_failed"] == ["rate<0.05"]
    assert thresholds["checks{check:execution succeeded}"] == ["rate>0.95"]
    assert ("iteration_duration" in thresholds) is (api == "graphql")
    assert options["tags"] == {"runbook": TRIAGE}


def test_key_figures_that_are_numbers_become_thresholds_and_others_are_told_of(
    rb: Rb, here: Workshop
) -> None:
    here.runbook(
        READING,
        kpis={
            "max_duration_seconds": 0.5,
            "max_error_rate": 0.05,
            "between": {"value": "${1}", "min": -1.5, "max": 2},
            "exact": {"value": "${3}", "equals": 3},
            "word": {"value": "${'a'}", "equals": "a"},
        },
    )
    assert rb("loadtest", "generate", "rb-test").code == 0
    path = here.project.root / "loadtests/rb-test.js"
    thresholds = options_as_k6_reads_them(path)["thresholds"]
    assert {name: limits for name, limits in thresholds.items() if name.startswith("kpi_")} == {
        "kpi_max_duration_seconds": ["max<=0.5"],
        "kpi_max_error_rate": ["max<=0.05"],
        "kpi_between": ["min>=-1.5", "max<=2"],
        "kpi_exact": ["min>=3", "max<=3"],
    }
    assert '// not "word": not a number; an execution that misses it fails, which counts' in path.read_text()


def test_nothing_but_the_options_and_the_runbook_makes_a_difference(rb: Rb, shipped: Path) -> None:
    assert generated(rb, TRIAGE) == generated(rb, TRIAGE)
    assert "sleep(1)" in generated(rb, TRIAGE)  # for a service that refuses
    other = generated(rb, TRIAGE, "--stage", "30s:10", "--stage", "1m30s:0", "--scenario", "broken record")
    assert "{ duration: '1m30s', target: 0 }" in other
    assert inputs_of(other) == [{"page": 3}]


def test_inputs_are_of_the_first_scenario_that_is_to_succeed_unless_others_are_named(
    rb: Rb, here: Workshop
) -> None:
    here.runbook(READING, inputs={"day": {"default": "mon"}})
    assert inputs_of(generated(rb, "rb-test")) == [{}]
    pack = here.project.pack("rb-test")
    here.file(
        "acceptance/rb-test/acceptance.yml",
        json.dumps(
            {
                "scenarios": [
                    {"name": "Bad", "fixture": "fixtures/bad.json", "expected": {"status": "aborted"}},
                    {"name": "Good", "fixture": "fixtures/good.json"},
                ]
            }
        ),
    )
    here.file(f"{pack}/fixtures/bad.json", fixture("rb-test", ("bad", {"day": "sun"})))
    days = [("one", {"day": "tue"}), ("same", {"day": "tue"}), ("two", {"day": "wed"})]
    here.file(f"{pack}/fixtures/good.json", fixture("rb-test", *days))
    assert inputs_of(generated(rb, "rb-test")) == [{"day": "tue"}]
    assert inputs_of(generated(rb, "rb-test", "--fixture", "good.json")) == [{"day": "tue"}, {"day": "wed"}]
    assert inputs_of(generated(rb, "rb-test", "--scenario", "two")) == [{"day": "wed"}]
    assert inputs_of(generated(rb, "rb-test", "--scenario", "Bad")) == [{"day": "sun"}]
    answer = rb("loadtest", "generate", "rb-test", "--scenario", "three")
    assert answer.code == 2
    assert "rb-test has no scenario 'three'" in answer.err


def test_a_fixture_is_named_so_that_it_is_found_from_anywhere(
    rb: Rb, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shipped / "acceptance" / TRIAGE / "fixtures")
    assert rb("loadtest", "generate", TRIAGE, "--fixture", "no-such-page.json").code == 0
    text = (shipped / SCRIPT).read_text()
    assert f"rb loadtest generate {TRIAGE} --fixture fixtures/no-such-page.json\n" in text
    monkeypatch.chdir(shipped)
    assert rb("loadtest", "generate", "--check").code == 0


def test_sensitive_inputs_and_addresses_are_not_in_the_script(rb: Rb, here: Workshop) -> None:
    here.runbook(
        [
            {
                "id": "fetch",
                "type": "data_fetch",
                "inputs": {"source_url": "${PLACE}/a", "headers": {"X-Word": "${word}-${customer}"}},
            }
        ],
        inputs={"customer": {"sensitive": True}, "word": {}},
    )
    values = {"customer": "jane-doe-of-cell-7", "PLACE": "https://fixture.example", "word": "good"}
    path = here.file("acceptance/rb-test/fixtures/a.json", fixture("rb-test", ("a", values)))
    text = generated(rb, "rb-test", "--fixture", str(path))
    assert inputs_of(text) == [{"word": "good"}]
    assert "jane" not in text
    assert "fixture.example" not in text
    assert 'const FROM_ENVIRONMENT = {"customer": true, "PLACE": false};' in text


def test_an_input_that_nobody_gives_is_asked_for(rb: Rb, here: Workshop) -> None:
    here.runbook(READING, inputs={"word": {}})
    answer = rb("loadtest", "generate", "rb-test")
    assert answer.code == 2
    assert "rb-test needs inputs that are not in the runbook's own defaults: word" in answer.err
    assert "--fixture FILE" in answer.err


def test_a_number_that_javascript_would_change_is_refused(rb: Rb, here: Workshop) -> None:
    here.runbook(READING, inputs={"n": {"type": "integer", "default": 1}})
    path = here.file("acceptance/rb-test/fixtures/a.json", fixture("rb-test", ("a", {"n": 2**53 + 1})))
    answer = rb("loadtest", "generate", "rb-test", "--fixture", str(path))
    assert answer.code == 2
    assert "a number that k6 cannot send as it is" in answer.err


def test_a_runbook_that_changes_the_world_is_refused_unless_that_is_allowed(rb: Rb, here: Workshop) -> None:
    telling = {"id": "tell", "type": "api_call", "inputs": {"endpoint": "/a", "method": "POST"}}
    here.runbook([*READING, telling])
    answer = rb("loadtest", "generate", "rb-test")
    assert answer.code == 2
    assert "rb-test changes the world in tell, which a load test does over and over" in answer.err
    assert not (here.project.root / "loadtests").exists()
    assert rb("loadtest", "generate", "rb-test", "--allow-writes").code == 0
    assert rb("loadtest", "generate", "--check").code == 0


def test_a_script_made_before_the_runbook_changed_the_world_is_not_run(
    rb: Rb, here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.runbook(READING)
    assert rb("loadtest", "generate", "rb-test").code == 0
    here.runbook([{**READING[0], "effect": "write"}])
    monkeypatch.setenv("RB_TOKEN", "any")
    answer = rb("loadtest", "run", "rb-test")
    assert answer.code == 2
    assert "rb-test changes the world, and its load test was made when it did not" in answer.err


def test_a_script_that_is_no_longer_what_would_be_generated_is_found(rb: Rb, here: Workshop) -> None:
    here.runbook(READING)
    assert rb("loadtest", "generate", "rb-test", "--stage", "2s:1").code == 0
    assert rb("loadtest", "generate", "rb-test", "--stage", "2s:1").out == "loadtests/rb-test.js is current\n"
    here.runbook(READING, kpis={"max_duration_seconds": 5})
    answer = rb("loadtest", "generate", "--check")
    assert answer.code == 1
    assert "✗ loadtests/rb-test.js is not what would be generated now" in answer.out
    assert "rb loadtest generate rb-test --stage 2s:1" in answer.out
    path = here.project.root / "loadtests/rb-test.js"
    here.file(str(path.with_name("gone.js")), path.read_text())
    assert rb("loadtest", "generate", "gone", "--check").code == 2


def test_inputs_of_recorded_executions_stay_in_the_script_when_it_is_checked(
    rb: Rb, here: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = {"/a": Says({"n": 1})}
    step = {"id": "fetch", "type": "data_fetch", "inputs": {"source_url": f"{server.url}/a?${{day}}"}}
    inputs: dict[str, Any] = {"day": {"default": "mon"}, "customer": {"sensitive": True, "required": False}}
    here.runbook([step], inputs=inputs)
    answer = rb("loadtest", "generate", "rb-test", "--from-executions", "2")
    assert "no execution of rb-test that succeeded is recorded" in answer.err
    for day in ("sat", "sun", "mon"):
        here.live(inputs={"day": day})
    assert rb("loadtest", "generate", "rb-test", "--from-executions", "2").code == 0
    path = here.project.root / "loadtests/rb-test.js"
    assert inputs_of(path.read_text()) == [{"day": "sun"}, {"day": "mon"}]
    here.live(inputs={"day": "tue"})
    assert rb("loadtest", "generate", "--check").code == 0
    here.runbook([{**step, "inputs": {"source_url": f"{server.url}/a"}}])
    answer = rb("loadtest", "generate", "--check")
    assert answer.code == 1
    assert "inputs that are no longer the runbook's: day" in answer.out


def test_a_script_that_somebody_wrote_stays(rb: Rb, here: Workshop) -> None:
    here.runbook(READING)
    path = here.file("loadtests/rb-test.js", "// mine\n")
    answer = rb("loadtest", "generate", "rb-test")
    assert answer.code == 2
    assert "rb-test.js in loadtests/ stays as it is" in answer.err
    assert path.read_text() == "// mine\n"
    assert rb("loadtest", "generate", "--check").code == 1
    assert rb("loadtest", "run", "rb-test").code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate"], "which runbook?"),
        (["generate", "rb-test", "--api", "soap"], "--api soap is none of rest, graphql"),
        (["generate", "rb-test", "--stage", "5"], "'5' is not a stage"),
        (["generate", "rb-test", "--stage", "5s:-1"], "'5s:-1' is not a stage"),
        (["generate", "rb-test", "--check", "--api", "graphql"], "leave others out"),
        (["generate", "rb-test", "--from-executions", "1", "--scenario", "a"], "leave --from-executions out"),
        (["generate", "--check"], "there is no load test in loadtests/"),
        (["generate", "rb-test", "--fixture", "none.json"], "there is no such fixture"),
        (["run", "rb-test"], "rb-test has no load test"),
        (["run", "rb-test", "--vus", "2"], "--vus and --duration go together"),
        (["run", "rb-test", "--duration", "soon", "--vus", "2"], "'soon' is not a duration"),
        (["run", "rb-test", "--vus", "2", "--stage", "1s:1"], "leave --vus and --duration out"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(rb: Rb, here: Workshop, arguments: list[str], said: str) -> None:
    here.runbook(READING)
    answer = rb("loadtest", *arguments)
    assert answer.code == 2
    assert said in answer.err


def test_the_command_in_a_script_says_all_of_its_options() -> None:
    options = ScriptOptions(
        api=Api.GRAPHQL,
        stages=(parse_stage("30s:10"), parse_stage("1m:0")),
        fixture="fixtures/with 'quotes' and \"more\".json",
        scenario="--stage 1s:1; $(x)",
        allow_writes=True,
    )
    assert parse_command(options.command("rb-test")) == ("rb-test", options)
    recorded = ScriptOptions(from_executions=7)
    assert parse_command(recorded.command("rb-test")) == ("rb-test", recorded)


def test_names_cannot_break_out_of_the_comment_that_they_stand_in(rb: Rb, here: Workshop) -> None:
    here.runbook(READING)
    name = "x\nexec.test.abort();"
    path = here.file("acceptance/rb-test/fixtures/a.json", fixture("rb-test", (name, {})))
    answer = rb("loadtest", "generate", "rb-test", "--scenario", name, "--fixture", str(path))
    assert answer.code == 2
    assert "a character that cannot be printed" in answer.err
    assert "\nexec.test.abort();" not in generated(rb, "rb-test", "--fixture", str(path))
