"""The door that step types come through: what happens when a stranger's package is at fault."""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, distribution, distributions
from pathlib import Path

import pytest

from runbook_defs.check import check_document
from runbook_defs.problems import Code
from runbook_defs.source import load_document
from step_ops.registry import GROUP, StepTypeError, StepTypes, step_types

GREETING = """
from step_ops.step_type import Effect, Result, StepConfig, StepType

class Config(StepConfig):
    whom: str

STEP = StepType(name="greeting", config=Config, run=lambda config, gate: Result(value=1), effect=Effect.READ)
"""

Install = Callable[..., list[EntryPoint]]


def ours() -> list[EntryPoint]:
    """The doors of the step types that come along."""
    return list(distribution("runbook-engine").entry_points.select(group=GROUP))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution with one step type where Python finds it; gives all entry points so far."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(called: str, module: str, source: str = GREETING, *, name: str = "greeting") -> list[EntryPoint]:
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{called.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {called}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}:STEP\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        found = [door for item in distributions(path=[str(tmp_path)]) for door in item.entry_points]
        return sorted(found, key=lambda door: door.dist.name if door.dist else "")

    return put


def test_a_step_type_of_another_distribution_is_there(install: Install) -> None:
    types = StepTypes(install("greeting-steps", "greeting_good"))
    assert list(types) == ["greeting"]
    assert types["greeting"].input_names == ("whom",)
    assert types.distributions("greeting") == ("greeting-steps",)
    assert types.broken() == {}


def test_a_step_type_is_imported_only_when_it_is_asked_for(install: Install) -> None:
    types = StepTypes(install("greeting-steps", "greeting_late"))
    assert "greeting" in types
    assert "greeting_late" not in sys.modules
    assert types["greeting"]
    assert "greeting_late" in sys.modules


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        (
            "import nowhere_to_be_found",
            "step type 'greeting' of greeting-steps cannot be loaded: "
            "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
            "mend greeting-steps or uninstall it",
        ),
        (
            "raise SystemExit('first line\\nsecond line')",
            "step type 'greeting' of greeting-steps cannot be loaded: SystemExit: first line second line",
            "mend greeting-steps or uninstall it",
        ),
        (
            "STEP = 'hello'",
            "step type 'greeting' of greeting-steps: greeting_bad:STEP is not a StepType",
            "the entry point must name one, such as my_package.greeting:STEP",
        ),
        (
            GREETING.replace('"greeting"', '"salute"'),
            "step type 'greeting' of greeting-steps: greeting_bad:STEP calls itself 'salute'",
            "the entry point and the StepType must have one name",
        ),
    ],
)
def test_a_package_at_fault_is_one_sentence_that_names_it(
    install: Install, source: str, message: str, hint: str
) -> None:
    types = StepTypes(install("greeting-steps", "greeting_bad", source))
    with pytest.raises(StepTypeError) as caught:
        types["greeting"]
    assert (str(caught.value), caught.value.message, caught.value.hint) == (message, message, hint)
    assert types.broken() == {"greeting": caught.value}
    assert types.get("greeting") is None


def test_two_distributions_with_one_name_are_both_refused(install: Install) -> None:
    install("greeting-steps", "greeting_one")
    types = StepTypes(install("other-steps", "greeting_two"))
    assert list(types) == ["greeting"]
    with pytest.raises(StepTypeError, match="brings a step type 'greeting': greeting-steps and other-steps"):
        types["greeting"]
    assert types.distributions("greeting") == ("greeting-steps", "other-steps")


def test_a_stranger_cannot_take_the_place_of_a_step_type_that_comes_along(install: Install) -> None:
    types = StepTypes([*ours(), *install("greedy-steps", "greedy", name="data_fetch")])
    with pytest.raises(StepTypeError, match="'data_fetch': runbook-engine and greedy-steps"):
        types["data_fetch"]


def test_one_distribution_that_is_found_twice_is_one(install: Install) -> None:
    """As a checkout is, with its metadata in the folder and in the environment."""
    found = install("greeting-steps", "greeting_twice")
    assert StepTypes([*found, *found])["greeting"].name == "greeting"


def test_what_is_wrong_stands_at_the_step_and_other_step_types_are_checked(
    install: Install, tmp_path: Path
) -> None:
    doors = install("greeting-steps", "greeting_broken", "import nowhere_to_be_found")
    path = tmp_path / "runbook.yaml"
    path.write_text(
        "id: x\nname: x\nversion: 1.0.0\nowner: x\nlegal_basis: x\nsteps:\n"
        "  - id: a\n    type: greeting\n"
        "  - id: b\n    type: greetnig\n"
        "  - id: c\n    type: schema_check\n    inputs: {entities: [], schema: s.json, whom: me}\n"
    )
    (tmp_path / "s.json").write_text("{}")
    types = StepTypes([*ours(), *doors])
    checked = check_document(load_document(path), step_types=types)
    assert [(item.line, item.column, item.code) for item in checked.problems] == [
        (8, 11, Code.BROKEN_STEP_TYPE),
        (10, 11, Code.UNKNOWN_STEP_TYPE),
        (13, 44, Code.UNKNOWN_STEP_INPUT),
    ]
    broken, unknown, *_ = checked.problems
    assert "of greeting-steps cannot be loaded" in broken.message
    assert broken.hint == "mend greeting-steps or uninstall it"
    assert unknown.hint == "did you mean 'greeting'?"


def test_every_step_type_that_comes_along_can_be_used() -> None:
    types = StepTypes(ours())
    assert types.broken() == {}
    assert set(types) <= set(step_types())
