"""`rb baseline`: recorded pictures are approved without another run, and every approval is on record."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook_factory import database
from runbook_factory.actors import local_actor
from runbook_factory.execution_log import get_execution, list_executions
from step_ops.drivers.find_browser import find_browser
from tests.ledger import Ledger
from tests.scripted import Says, Server
from tests.workshop import Workshop

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no browser on this machine")

ID = "rb-shot"
BASELINE = f"acceptance/{ID}/screenshots/baseline-box.png"
STEPS: list[dict[str, Any]] = [
    {"id": "shot", "type": "ui_screenshot", "inputs": {"url": "http://page.test/", "selector": "#box"}},
    {"id": "rest", "type": "wait", "depends_on": ["shot"], "inputs": {"seconds": 0}},
]


class Studio:
    """A project with a runbook that photographs a box, and the current folder in it."""

    def __init__(self, workshop: Workshop, rb: Callable[..., Any], ledger: Ledger) -> None:
        self.workshop, self.rb, self.ledger, self.root = workshop, rb, ledger, workshop.project.root

    def pack(self, **screenshots: str | None) -> None:
        """A scenario for each, which names this file for the picture, if it names one."""
        self.workshop.runbook(STEPS, id=ID)
        scenarios = [
            {
                "name": name,
                "fixture": f"fixtures/{name}.json",
                "expected": {"screenshots": {"box": file}} if file else {},
            }
            for name, file in screenshots.items()
        ]
        for name in screenshots:
            fixture = {"format": 1, "runbook": ID, "steps": {"shot": [{"page": f"{name}.html"}]}}
            self.workshop.file(f"acceptance/{ID}/fixtures/{name}.json", json.dumps(fixture))
            self.page(name)
        self.workshop.file(f"acceptance/{ID}/acceptance.yml", json.dumps({"scenarios": scenarios}))

    def page(self, scenario: str = "golden", *, width: int = 100, half: str = "navy") -> None:
        """The page that a scenario has: a box whose right half has this colour."""
        self.workshop.file(f"acceptance/{ID}/fixtures/{scenario}.html", _page(width, half))

    def test(self, scenario: str = "golden") -> str:
        """Runs the scenario; gives the name of the execution."""
        self.rb("test", ID, "-k", scenario)
        engine = database.engine(self.workshop.project)
        return list_executions(engine, runbook_id=ID, modes=("test",), limit=1)[0].short_name

    def picture(self, execution: str) -> Path:
        record = get_execution(database.engine(self.workshop.project), execution)
        (picture,) = record.steps[0].pictures
        return self.root / str(picture["path"])

    def approvals(self) -> list[dict[str, Any]]:
        entries = [entry.as_json() for entry in self.ledger.entries()]
        return [entry for entry in entries if entry["action"] == "baseline_approved"]


def _page(width: int = 100, half: str = "navy") -> str:
    left, right = (
        f"<div style='width: 50%; height: 50px; background: {each}'></div>" for each in ("navy", half)
    )
    return f"<body><div id=box style='width: {width}px; display: flex'>{left}{right}</div></body>"


@pytest.fixture
def studio(
    workshop: Workshop, ledger: Ledger, rb: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Studio:
    monkeypatch.delenv("RUNBOOK_PROJECT", raising=False)
    monkeypatch.chdir(workshop.project.root)
    studio = Studio(workshop, rb, ledger)
    studio.pack(golden=None)
    return studio


# What is approved


def test_a_picture_without_a_baseline_becomes_one_and_the_test_passes(studio: Studio) -> None:
    first = studio.rb("test", ID)
    assert first.code == 1
    execution = studio.test()
    assert f"hint: if it is right: rb baseline approve {execution}:shot" in studio.rb("show", execution).out
    answer = studio.rb("baseline", "approve", execution)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"✓ Baseline box: new, 100x50: {BASELINE}\n"
    assert (studio.root / BASELINE).read_bytes() == studio.picture(execution).read_bytes()
    assert studio.rb("test", ID).code == 0


def test_an_approval_is_in_the_audit_log_with_all_that_tells_what_was_approved(studio: Studio) -> None:
    execution = studio.test()
    studio.rb("baseline", "approve", f"{execution}:shot")
    studio.page(half="red")
    second = studio.test()
    studio.rb("baseline", "approve", second)
    first_entry, entry = studio.approvals()
    record = get_execution(database.engine(studio.workshop.project), second)
    before, after = (
        hashlib.sha256(studio.picture(name).read_bytes()).hexdigest() for name in (execution, second)
    )
    assert entry["subject"] == BASELINE
    assert entry["outcome"] == "allowed"
    assert entry["actor"]["id"] == local_actor().id
    assert entry["details"] == {
        "runbook": ID,
        "execution": record.id,
        "step": "shot",
        "picture": "box",
        "digest": after,
        "previous": before,
    }
    assert first_entry["details"]["previous"] is None
    assert studio.ledger.verify().is_whole


def test_each_line_says_what_changes_and_in_how_many_pixels(studio: Studio) -> None:
    execution = studio.test()
    studio.rb("baseline", "approve", execution)
    same = studio.rb("baseline", "approve", execution)
    assert same.out == f"- Baseline box: same: {BASELINE}\n"
    studio.page(half="red")
    answer = studio.rb("baseline", "approve", studio.test())
    assert answer.out == f"✓ Baseline box: 50.00% changed, in 1 place: {BASELINE}\n"
    studio.page(width=80, half="red")
    answer = studio.rb("baseline", "approve", studio.test())
    assert answer.out == f"✓ Baseline box: the size changed from 100x50 to 80x50: {BASELINE}\n"
    (studio.root / BASELINE).write_bytes(b"no picture")
    answer = studio.rb("baseline", "approve", execution)
    assert answer.out == f"✓ Baseline box: in place of a file that is no picture: {BASELINE}\n"
    assert (studio.root / BASELINE).read_bytes() == studio.picture(execution).read_bytes()
    assert [path.name for path in (studio.root / BASELINE).parent.iterdir()] == ["baseline-box.png"]


def test_a_dry_run_says_the_same_and_writes_nothing(studio: Studio) -> None:
    execution = studio.test()
    answer = studio.rb("baseline", "approve", execution, "--dry-run")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"✓ Baseline box: new, 100x50: {BASELINE}",
        "nothing was written, because of --dry-run",
    ]
    assert not (studio.root / BASELINE).exists()
    assert studio.approvals() == []


def test_the_picture_of_a_live_execution_becomes_what_live_ones_are_compared_with(
    studio: Studio, server: Server
) -> None:
    server.answers["/"] = Says(text=_page(), headers={"Content-Type": "text/html"})
    studio.pack(golden="screenshots/golden.png")
    step = {**STEPS[0], "inputs": {"url": server.url + "/", "selector": "#box"}}
    studio.workshop.runbook([step], id=ID)
    execution = studio.workshop.live(ID).short_name
    assert studio.rb("baseline", "approve", execution).out == f"✓ Baseline box: new, 100x50: {BASELINE}\n"
    answer = studio.rb("baseline", "approve", execution, "--scenario", "golden")
    assert answer.out.endswith("screenshots/golden.png\n")


def test_of_several_files_it_is_the_one_that_the_picture_was_compared_with(studio: Studio) -> None:
    studio.pack(golden="screenshots/a.png", other="screenshots/b.png")
    folder = studio.root / f"acceptance/{ID}/screenshots"
    answer = studio.rb("baseline", "approve", studio.test("golden"))
    assert answer.code == 2  # neither is there
    assert "rb-shot have different baselines for 'box'" in answer.err
    assert "--scenario: 'golden', 'other'" in answer.err
    for scenario, colour in (("golden", "navy"), ("other", "red")):
        studio.page(scenario, half=colour)
        made = studio.rb("baseline", "approve", studio.test(scenario), "--scenario", scenario)
        assert made.code == 0, made.err
    right = (folder / "a.png").read_bytes()
    studio.page("other", half="green")
    assert "/b.png" in studio.rb("baseline", "approve", studio.test("other")).out
    assert (folder / "a.png").read_bytes() == right


# What is refused


@pytest.mark.parametrize(
    ("asked", "said", "move"),
    [
        (["exec-2020-01-01-abcdef"], "there is no execution", "rb ls --all"),
        (["golden"], "is not the name of an execution", "rb ls"),
        (["{}:shto"], "'shto' is no step of exec-", "did you mean 'shot'?"),
        (["{}:rest"], "'rest' took no picture", "pictures were taken by: shot"),
        (["{}:"], "names no step behind the colon", "rb baseline approve"),
        (["{}", "--scenario", "goldn"], "has no scenario 'goldn'", "did you mean 'golden'?"),
    ],
)
def test_what_is_not_there_is_refused_with_the_next_move(
    studio: Studio, asked: list[str], said: str, move: str
) -> None:
    execution = studio.test()
    answer = studio.rb("baseline", "approve", *(word.format(execution) for word in asked))
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert move in answer.err
    assert studio.approvals() == []


def test_an_execution_without_pictures_is_refused(studio: Studio) -> None:
    studio.workshop.runbook([{**STEPS[1], "depends_on": []}], id=ID)
    record = studio.workshop.live(ID)
    answer = studio.rb("baseline", "approve", record.short_name)
    assert (answer.code, answer.out) == (2, "")
    assert f"{record.short_name} took no picture" in answer.err


def test_a_picture_that_is_gone_or_another_one_is_refused(studio: Studio) -> None:
    execution = studio.test()
    path = studio.picture(execution)
    right = path.read_bytes()
    path.write_bytes(right + b"x")
    answer = studio.rb("baseline", "approve", execution)
    assert (answer.code, answer.out) == (2, "")
    assert "is not the one that was taken" in answer.err
    path.unlink()
    answer = studio.rb("baseline", "approve", execution)
    assert "is not here: it was deleted, or taken on another machine" in answer.err
    assert f"rb test {ID} takes a new one" in answer.err
    assert studio.approvals() == []
    assert not (studio.root / BASELINE).exists()


def test_without_a_pack_or_a_runbook_there_is_nothing_to_be_the_baseline_of(studio: Studio) -> None:
    execution = studio.test()
    shutil.rmtree(studio.root / "acceptance")
    answer = studio.rb("baseline", "approve", execution)
    assert "rb-shot has no acceptance pack" in answer.err
    assert f"rb pack from {execution}" in answer.err
    shutil.rmtree(studio.root / "runbooks" / ID)
    answer = studio.rb("baseline", "approve", execution)
    assert "'rb-shot', is not in" in answer.err
    assert answer.code == 2


def test_a_link_that_leads_out_of_the_pack_is_not_followed(studio: Studio, tmp_path: Path) -> None:
    execution = studio.test()
    outside = tmp_path / "outside"
    outside.mkdir()
    (studio.root / f"acceptance/{ID}/screenshots").symlink_to(outside)
    answer = studio.rb("baseline", "approve", execution)
    assert "does not lie in the pack" in answer.err
    assert list(outside.iterdir()) == []


def test_a_pack_with_errors_is_explained(studio: Studio) -> None:
    execution = studio.test()
    studio.workshop.file(f"acceptance/{ID}/acceptance.yml", "scenarios: 3\n")
    for command in (("approve", execution), ("list",)):
        answer = studio.rb("baseline", *command)
        assert answer.code == 1
        assert "acceptance.yml:1:12" in answer.out


def test_a_baseline_that_cannot_be_written_is_as_it_was(studio: Studio) -> None:
    execution = studio.test()
    studio.workshop.file(f"acceptance/{ID}/screenshots", "in the way")
    answer = studio.rb("baseline", "approve", execution)
    assert (answer.code, answer.out) == (2, "")
    assert f"cannot write {BASELINE}" in answer.err


# The list


def test_the_list_tells_who_approved_what_and_what_was_changed_since(studio: Studio) -> None:
    studio.pack(golden=None, other="screenshots/other.png")
    execution = studio.test("golden")
    studio.rb("baseline", "approve", execution, "--scenario", "golden")

    def listed() -> dict[str, dict[str, Any]]:
        rows = json.loads(studio.rb("baseline", "list", ID, "--json").out)
        return {row["path"].rpartition("/")[2]: row for row in rows}

    rows = listed()
    own, other = rows["baseline-box.png"], rows["other.png"]
    assert (own["state"], own["size"], own["live"]) == ("approved", [100, 50], True)
    assert own["approved_by"] == local_actor().name
    assert (other["state"], other["size"], other["scenarios"]) == ("missing", None, ["other"])
    shutil.copy(studio.root / BASELINE, studio.root / f"acceptance/{ID}/screenshots/other.png")
    (studio.root / BASELINE).write_bytes((studio.root / BASELINE).read_bytes() + b"x")
    rows = listed()
    assert (rows["baseline-box.png"]["state"], rows["other.png"]["state"]) == ("changed", "unknown")
    heading, first, second = studio.rb("baseline", "list").out.splitlines()
    assert heading.split()[:4] == ["RUNBOOK", "PICTURE", "SIZE", "STATE"]
    assert first.split()[:4] == [ID, "box", "100x50", "changed"]
    assert local_actor().name in first
    assert second.split()[:4] == [ID, "box", "100x50", "unknown"]


def test_the_list_of_a_runbook_that_is_not_there_is_refused(studio: Studio) -> None:
    answer = studio.rb("baseline", "list", "rb-shoot")
    assert answer.code == 2
    assert "did you mean 'rb-shot'?" in answer.err
    assert "no baselines in any pack" in studio.rb("baseline", "list").out


# Other ways to a baseline


def test_an_update_of_a_test_is_an_approval_too(studio: Studio) -> None:
    answer = studio.rb("test", ID, "--update")
    assert answer.code == 0, answer.out
    (entry,) = studio.approvals()
    assert (entry["subject"], entry["details"]["step"]) == (BASELINE, "shot")
    (row,) = json.loads(studio.rb("baseline", "list", "--json").out)
    assert row["state"] == "approved"


def test_a_scenario_made_of_an_execution_has_approved_pictures(studio: Studio) -> None:
    studio.rb("test", ID, "--update")
    answer = studio.rb("pack", "from", studio.test(), "--name", "again")
    assert answer.code == 0, answer.out + answer.err
    rows = json.loads(studio.rb("baseline", "list", "--json").out)
    assert [(row["state"], row["scenarios"]) for row in rows if row["scenarios"]] == [("approved", ["again"])]
