"""`rb validate` on files, ids, projects, and on ten mistakes at once."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

CORPUS = Path(__file__).parents[1] / "corpus"
GOOD = """\
id: {id}
name: Night report
version: 1.0.0
owner: night-team
legal_basis: Policy 4.2
steps:
  - id: fetch
    type: data_fetch
    inputs: {{source_url: "${{SOURCE_URL}}"}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a good runbook in a project of its own, which is the current folder."""
    monkeypatch.delenv("RUNBOOK_PROJECT", raising=False)
    file = tmp_path / "runbooks" / "night-report" / "runbook.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(GOOD.format(id="night-report"))
    pack = tmp_path / "acceptance" / "night-report" / "acceptance.yml"
    pack.parent.mkdir(parents=True)
    pack.write_text("scenarios: []\n")
    monkeypatch.chdir(tmp_path)
    return file


def test_ten_mistakes_are_named_at_once_each_at_its_place(rb: Any) -> None:
    answer = rb("validate", str(CORPUS / "ten-mistakes.yaml"))
    found = re.findall(r"ten-mistakes\.yaml:(\d+):(\d+) (RB\d+)", answer.out)
    assert [(code, int(line), int(column)) for line, column, code in found] == [
        ("RB101", 6, 1),
        ("RB103", 9, 25),
        ("RB501", 10, 21),
        ("RB203", 21, 11),
        ("RB202", 29, 18),
        ("RB204", 41, 18),
        ("RB305", 44, 14),
        ("RB302", 45, 21),
        ("RB303", 52, 43),
        ("RB401", 53, 49),
    ]
    assert answer.out.endswith("1 runbook: 10 errors\n")
    assert answer.code == 1


def test_json_says_the_same_as_text(rb: Any) -> None:
    path = str(CORPUS / "ten-mistakes.yaml")
    answer = rb("validate", "--format", "json", path)
    said = json.loads(answer.out)
    text = rb("validate", path).out
    assert (said["format"], said["files"], len(said["problems"])) == (1, 1, 10)
    for problem in said["problems"]:
        assert "{path}:{line}:{column} {code} {message}\n".format(**problem) in text
        assert problem["severity"] == "error"
    assert answer.code == 1


def test_all_files_are_checked_although_the_first_is_bad(rb: Any, project: Path) -> None:
    answer = rb("validate", "missing.yaml", str(project))
    assert answer.out.splitlines() == [
        "missing.yaml:1:1 RB001 cannot read the file: no such file or directory",
        "      hint: name a runbook file, or a runbook's id",
        "2 runbooks: 1 error",
    ]
    assert answer.code == 1


def test_a_runbook_is_found_by_file_folder_or_id_and_all_of_them_by_no_name(rb: Any, project: Path) -> None:
    for name in ([str(project)], [str(project.parent)], ["night-report"], []):
        answer = rb("validate", *name)
        assert (answer.out, answer.code) == ("1 runbook: no problems\n", 0)


def test_an_id_that_nobody_has_names_the_nearest(rb: Any, project: Path) -> None:
    answer = rb("validate", "day-report")
    assert answer.code == 2
    assert "no runbook 'day-report'" in answer.err
    assert "did you mean 'night-report'?" in answer.err


def test_a_project_without_runbooks_says_what_to_do(
    rb: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runbooks").mkdir()
    monkeypatch.delenv("RUNBOOK_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    answer = rb("validate")
    assert answer.err.startswith("rb: there is no runbook in ")
    assert answer.code == 2


def test_the_id_must_be_the_folder_of_the_project(rb: Any, project: Path) -> None:
    project.write_text(GOOD.format(id="day-report"))
    answer = rb("validate")
    assert "runbook.yaml:1:5 RB104 the id is 'day-report', but the folder is" in answer.out
    assert answer.code == 1


def test_a_runbook_without_a_pack_gets_a_warning(rb: Any, project: Path) -> None:
    (project.parents[2] / "acceptance" / "night-report" / "acceptance.yml").unlink()
    answer = rb("validate")
    assert "RB601 warning: the runbook has no acceptance pack" in answer.out
    assert answer.out.endswith("1 runbook: 1 warning\n")
    assert (answer.code, rb("validate", "--strict").code) == (0, 1)


def test_a_broken_runbook_gets_no_warning_about_its_pack_when_it_cannot_be_read(
    rb: Any, project: Path
) -> None:
    project.write_text("- no mapping\n")
    assert "RB601" not in rb("validate").out


def test_what_a_file_holds_cannot_steer_the_terminal(rb: Any, project: Path) -> None:
    project.write_text(GOOD.format(id="night-report") + '"\\e[2Jx\\u202e": 1\n')
    answer = rb("validate")
    assert "RB101" in answer.out
    assert "\x1b" not in answer.out
    assert "\u202e" not in answer.out


def test_a_long_line_is_shown_around_the_caret(rb: Any, project: Path) -> None:
    project.write_text(GOOD.format(id="night-report") + "tags: [" + "a, " * 500 + "true]\n")
    place, shown, caret, *_ = rb("validate").out.splitlines()
    assert place.split(" ")[0].endswith(f"runbook.yaml:10:{8 + 1500}")
    assert len(shown) < 200
    assert shown[caret.index("^") :] == "true]"


def test_a_name_longer_than_the_file_system_takes_is_a_missing_file(rb: Any, project: Path) -> None:
    text = GOOD.format(id="night-report").replace("data_fetch", "api_call")
    long_name = f"{'x' * 5000}.graphql"
    inputs = f"inputs: {{endpoint: /graphql, query: {long_name}}}"
    project.write_text(re.sub(r"inputs: .*", inputs, text))
    assert "RB305" in rb("validate").out
    assert "RB001" in rb("validate", "x" * 5000).out
