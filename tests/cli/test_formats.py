"""`rb validate --format github` and `--format sarif`: for code hosts, exact to the character."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.reporters.github import as_github
from cli.reporters.sarif import as_sarif
from runbook_defs.problems import Code, Problem, Severity

CORPUS = Path(__file__).parents[1] / "corpus"
MISTAKES = CORPUS / "ten-mistakes.yaml"
Rb = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    monkeypatch.delenv("RUNBOOK_PROJECT", raising=False)
    monkeypatch.chdir(CORPUS.parent)


def problem(path: Path, **more: Any) -> Problem:
    return Problem(**{"code": Code.UNKNOWN_KEY, "message": "m", "path": path, **more})


def test_github_gets_a_command_for_each_problem_at_its_place(rb: Rb) -> None:
    answer = rb("validate", "--format", "github", "corpus/ten-mistakes.yaml")
    *commands, conclusion = answer.out.splitlines()
    told = json.loads(rb("validate", "--format", "json", "corpus/ten-mistakes.yaml").out)["problems"]
    assert (answer.code, conclusion) == (1, "1 runbook: 10 errors")
    assert len(commands) == len(told) == 10
    for command, said in zip(commands, told, strict=True):
        place = "file=corpus/ten-mistakes.yaml,line={line},col={column},title={code}".format(**said)
        assert command.startswith(f"::error {place}::{said['message'].replace('%', '%25')}")
    assert commands[3].endswith("%0Ahint: did you mean 'schema_check'?")


def test_a_warning_is_a_warning_and_fails_under_strict(rb: Rb) -> None:
    name = "corpus/invalid/RB308-unused-input.yaml"
    answer = rb("validate", "--format", "github", name)
    assert answer.out.startswith(f"::warning file={name},line=")
    assert (answer.code, rb("validate", "--format", "github", "--strict", name).code) == (0, 1)


def test_nothing_in_a_file_can_end_a_command_or_begin_one(tmp_path: Path) -> None:
    path = tmp_path / "a,b:c%\n::stop.yaml"
    line = as_github(problem(path, message="100%\r\n::set-env name=X::y\x1b[2J", hint="a: b, c"))
    assert "\n" not in line
    assert "\r" not in line
    assert "\x1b" not in line
    assert re.fullmatch(r"::error file=[^,:]+,line=1,col=1,title=RB101::[^\n]*", line)
    assert "a%2Cb%3Ac%25%0A%3A%3Astop.yaml" in line
    assert line.endswith("%0Ahint: a: b, c")


def test_paths_begin_at_the_root_of_the_repository(rb: Rb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(CORPUS.parents[1]))
    monkeypatch.chdir(CORPUS)
    assert "file=tests/corpus/ten-mistakes.yaml," in rb("validate", "--format", "github", MISTAKES.name).out
    log = json.loads(rb("validate", "--format", "sarif", MISTAKES.name).out)
    assert uris(log) == {"tests/corpus/ten-mistakes.yaml"}


def uris(log: Any) -> set[str]:
    return {
        location["physicalLocation"]["artifactLocation"]["uri"]
        for result in log["runs"][0]["results"]
        for location in result["locations"]
    }


def test_sarif_has_all_that_the_format_requires(rb: Rb) -> None:
    answer = rb("validate", "--format", "sarif", "corpus/ten-mistakes.yaml")
    log = json.loads(answer.out)
    assert answer.code == 1
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "rb validate"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", driver["semanticVersion"])
    rules = [rule["id"] for rule in driver["rules"]]
    assert rules == [code.value for code in Code]
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert "(docs/problems.md)" in rule["help"]["markdown"]
        assert rule["help"]["text"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["message"]["text"]


def test_sarif_says_the_same_as_json(rb: Rb) -> None:
    log = json.loads(rb("validate", "--format", "sarif", "corpus/ten-mistakes.yaml").out)
    told = json.loads(rb("validate", "--format", "json", "corpus/ten-mistakes.yaml").out)["problems"]
    found = []
    for result in log["runs"][0]["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "corpus/ten-mistakes.yaml"
        region = place["region"]
        found.append((result["ruleId"], region["startLine"], region["startColumn"], result["level"]))
        assert region["startLine"] >= 1
        assert region["startColumn"] >= 1
    assert found == [(item["code"], item["line"], item["column"], item["severity"]) for item in told]


def test_sarif_of_good_files_has_no_results(rb: Rb) -> None:
    answer = rb("validate", "--format", "sarif", "corpus/valid/conditions.yaml")
    assert answer.code == 0
    assert json.loads(answer.out)["runs"][0]["results"] == []


def test_the_uri_of_a_file_is_encoded_and_of_one_outside_is_whole(tmp_path: Path) -> None:
    inside = Path.cwd() / "50% of ä#1.yaml"
    assert uris(json.loads(as_sarif([(inside, [problem(inside)])]))) == {"50%25%20of%20%C3%A4%231.yaml"}
    outside = tmp_path / "x y.yaml"
    warning = problem(outside, severity=Severity.WARNING)
    log = json.loads(as_sarif([(outside, [warning])]))
    assert uris(log) == {outside.as_uri()}
    assert log["runs"][0]["results"][0]["level"] == "warning"
