"""`rb init`: what it makes passes at once, and it never writes over anything."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runbook_defs.source import load_document
from runbook_factory import database
from runbook_factory.project import Project

ROOT = Path(__file__).parents[2]
ID = "my-first-runbook"
Rb = Callable[..., Any]


@pytest.fixture
def empty(tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder as the current one, with a database to run on."""
    for name in ("RUNBOOK_PROJECT", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(database.VARIABLE, postgres)
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    database.engine(Project(folder)).dispose()


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_in_an_empty_folder_the_three_commands_it_names_succeed(rb: Rb, empty: Path) -> None:
    answer = rb("init")
    assert (answer.err, answer.code) == ("", 0)
    listed, commands = answer.out.split("next:\n")
    made = [line.strip() for line in listed.splitlines()[1:]]
    assert sorted(made) == sorted(files(empty))
    said = []
    for line in commands.splitlines():
        program, *arguments = line.split()
        assert program == "rb"
        said.append(rb(*arguments))
        assert (said[-1].err, said[-1].code) == ("", 0), said[-1].out
    checked, tested, ran = said
    assert checked.out == "1 runbook: no problems\n"
    assert "\n2 passed, 0 failed" in tested.out
    assert tested.out.endswith("\nPASS\n")
    assert "✓ Step: check (3 valid, 1 errors)" in ran.out
    assert ran.out.splitlines()[-1].startswith("SUCCESS exec-")


def test_its_tests_can_fail(rb: Rb, empty: Path) -> None:
    rb("init")
    schema = empty / "runbooks" / ID / "order.json"
    schema.write_text(schema.read_text().replace('"exclusiveMinimum": 0', '"minimum": -5'))
    answer = rb("test", ID)
    assert answer.code == 1
    assert "\n1 passed, 1 failed" in answer.out
    assert answer.out.endswith("\nFAIL\n")


def test_what_the_comments_offer_is_valid_too(rb: Rb, empty: Path) -> None:
    rb("init")
    path = empty / "runbooks" / ID / "runbook.yaml"
    before, mark, after = path.read_text().partition("  # - id: fetch\n")
    assert mark
    fetch = (mark + after).replace("  # ", "  ")
    text = before.replace('"${orders}"', '"${steps.fetch.outputs.orders}"')
    path.write_text(text.replace("type: schema_check", "type: schema_check\n    depends_on: [fetch]") + fetch)
    assert rb("validate", ID).code == 0
    connections = empty / "connections.yaml"
    connections.write_text(connections.read_text().replace(": {}\n#", ":\n#").replace("\n#  ", "\n  "))
    assert "connection api: needs the environment variable API_BASE_URL" in rb("doctor").out


def test_its_settings_of_dagster_are_the_projects_own() -> None:
    for name in ("dagster.yaml", "workspace.yaml"):
        template = ROOT / "runbook_factory" / "scaffold" / "project" / name
        assert template.read_text() == (ROOT / name).read_text()


def test_the_runbook_names_the_schema_that_is_written(rb: Rb, empty: Path) -> None:
    rb("init")
    path = empty / "runbooks" / ID / "runbook.yaml"
    mark, _, name = path.read_text().splitlines()[0].partition("$schema=")
    assert mark == "# yaml-language-server: "
    schema = json.loads((path.parent / name).read_text())
    assert Draft202012Validator(schema).is_valid(json.loads(json.dumps(load_document(path).data)))


def test_in_a_project_only_the_runbook_is_added(rb: Rb, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rb("init")
    before = files(empty)
    monkeypatch.chdir(empty / "acceptance")
    answer = rb("init", "second")
    assert answer.code == 0
    after = files(empty)
    new = after.keys() - before.keys()
    assert {name.split("/")[1] for name in new} == {"second"}
    assert before.items() <= after.items()
    assert "\n  cd " not in answer.out
    assert rb("validate", "--strict").out == "2 runbooks: no problems\n"


def test_a_second_time_nothing_is_written_and_every_file_in_the_way_is_named(rb: Rb, empty: Path) -> None:
    rb("init")
    before = files(empty)
    (empty / "acceptance" / ID / "fixtures" / "no-orders.json").unlink()
    before.pop(f"acceptance/{ID}/fixtures/no-orders.json")
    answer = rb("init")
    assert (answer.out, answer.code) == ("", 2)
    assert files(empty) == before
    for name in before:
        assert (name in answer.err) == (ID in name)


def test_a_folder_with_other_things_in_it_is_left_alone(rb: Rb, empty: Path) -> None:
    (empty / "thesis.doc").write_text("years of work")
    answer = rb("init")
    assert answer.code == 2
    assert "is not empty, it has: thesis.doc" in answer.err
    assert "rb init --in " in answer.err
    assert files(empty) == {"thesis.doc": b"years of work"}


def test_a_fresh_repository_counts_as_empty_and_keeps_its_own_files(rb: Rb, empty: Path) -> None:
    (empty / ".git").mkdir()
    (empty / ".gitignore").write_text("*.bak\n")
    answer = rb("init")
    assert answer.code == 0
    assert ".gitignore" not in answer.out
    assert (empty / ".gitignore").read_text() == "*.bak\n"


def test_a_project_can_be_made_elsewhere(rb: Rb, empty: Path) -> None:
    answer = rb("init", "night-report", "--in", "a/new place")
    assert answer.code == 0
    assert "  cd 'a/new place'\n" in answer.out
    assert Project(empty / "a" / "new place").runbook_ids() == ["night-report"]


def test_the_project_of_dagster_home_is_not_taken(
    rb: Rb, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other" / "runbooks").mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "other"))
    assert rb("init").out.startswith(f"a new project in {empty}\n")


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc", "A", "a b", "a_b", "-a", "a-", "a--b", "", ".", "x\n", "é", "a/b", "x" * 81, "$(x)"],
)
def test_an_id_that_will_not_do_is_refused_with_the_rule(rb: Rb, empty: Path, name: str) -> None:
    answer = rb("init", "--", name)
    assert answer.code == 2
    assert "cannot be the id of a runbook" in answer.err
    assert "lower case letters and digits" in answer.err
    assert not any(empty.iterdir())
    assert not (empty.parent / "x").exists()


def test_when_writing_fails_what_was_written_is_taken_back(rb: Rb, empty: Path) -> None:
    (empty / "runbooks").mkdir()
    (empty / "acceptance").write_text("a file where a folder should be")
    before = sorted(path.relative_to(empty) for path in empty.rglob("*"))
    answer = rb("init")
    assert answer.code == 2
    assert "acceptance: file exists" in answer.err
    assert sorted(path.relative_to(empty) for path in empty.rglob("*")) == before


def test_a_dangling_link_is_in_the_way(rb: Rb, empty: Path) -> None:
    target = empty.parent / "elsewhere"
    folder = empty / "runbooks" / ID
    folder.mkdir(parents=True)
    (folder / "runbook.yaml").symlink_to(target)
    assert rb("init").code == 2
    assert not os.path.lexists(target)
