"""Runbooks good and bad, and the exact text that `rb validate` prints for each bad one."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from runbook_defs.problems import Code

CORPUS = Path(__file__).parent / "corpus"
VALID = sorted((CORPUS / "valid").glob("*.yaml"))
INVALID = sorted((CORPUS / "invalid").glob("*.yaml"))
PROBLEMS_PAGE = CORPUS.parents[1] / "docs" / "problems.md"

# Codes that no file in the corpus can show, and where they are tested instead.
ELSEWHERE = {
    Code.UNREADABLE: "there is no file: test_validate.py",
    Code.TOO_LARGE: "the file would be large: test_source.py",
    Code.TOO_MANY_NODES: "the file would be large: test_source.py",
    Code.BROKEN_STEP_TYPE: "needs an installed package: test_registry.py",
    Code.ID_NOT_FOLDER: "needs a project: test_validate.py",
    Code.NO_PACK: "needs a project: test_validate.py",
    Code.PACK: "is about acceptance packs: test_pack.py",
    Code.NOT_MADE: "is about acceptance packs: test_packs.py",
}


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_good_runbook_has_no_problems(path: Path, rb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    answer = rb("validate", "--strict", path.name)
    assert (answer.out, answer.err, answer.code) == ("1 runbook: no problems\n", "", 0)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_a_bad_runbook_is_told_so_in_these_words(
    path: Path, rb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    answer = rb("validate", "--strict", path.name)
    snapshot = path.with_suffix(".txt")
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.write_text(answer.out, encoding="utf-8")
    assert answer.out == snapshot.read_text(encoding="utf-8")
    assert (answer.err, answer.code) == ("", 1)
    code = path.name.split("-")[0]
    assert re.search(rf"^{re.escape(path.name)}:\d+:\d+ {code} ", answer.out, re.MULTILINE)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_one_mistake_is_one_problem(path: Path) -> None:
    conclusion = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()[-1]
    several = {"RB103-steps-a-number": "1 runbook: 4 errors"}
    one = ("1 runbook: 1 error", "1 runbook: 1 warning")
    assert conclusion in ((several[path.stem],) if path.stem in several else one)


def test_every_code_is_in_the_corpus() -> None:
    shown = {path.name.split("-")[0] for path in INVALID}
    assert shown.isdisjoint(ELSEWHERE)
    assert {code.value for code in Code} == shown | set(ELSEWHERE)


def test_every_snapshot_has_its_runbook() -> None:
    stems = {path.stem for path in (CORPUS / "invalid").glob("*.txt")}
    assert stems == {path.stem for path in INVALID}


def test_every_code_has_a_section_in_the_page_of_problems() -> None:
    headings = re.findall(r"^## (RB\d{3}) \S", PROBLEMS_PAGE.read_text("utf-8"), re.MULTILINE)
    assert headings == [code.value for code in Code]
