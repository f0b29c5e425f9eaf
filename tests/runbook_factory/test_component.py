"""Runbooks in somebody's own Dagster: the Component, and a project whose instance knows nothing of us."""

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import Definitions, JobDefinition, fs_io_manager
from dagster.components.core.package_entry import discover_entry_point_package_objects
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox

from runbook_factory import database
from runbook_factory.catalog import load_runbook
from runbook_factory.component import RunbookComponent
from runbook_factory.definitions import build_definitions
from runbook_factory.execution_log import list_executions
from runbook_factory.project import Project, ProjectError
from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parents[2]
TYPE = "runbook_factory.component.RunbookComponent"

# What Dagster says of its own parts while it loads a project.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*parse_obj_as:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.* is currently in (beta|preview)"),
]


def simple(workshop: Workshop, runbook_id: str, *, steps: int = 1, **more: Any) -> None:
    inputs = {"entities": [], "schema": "s.json"}
    numbered = [{"id": f"s{number}", "type": "schema_check", "inputs": inputs} for number in range(steps)]
    workshop.runbook(numbered, id=runbook_id, **more)
    workshop.file(f"runbooks/{runbook_id}/s.json", "{}")


def jobs_of(definitions: Definitions) -> dict[str, JobDefinition]:
    """The jobs but the one that Dagster makes for whatever has assets."""
    return {job.name: job for job in definitions.resolve_all_job_defs() if job.name != "__ASSET_JOB"}


# What the attributes mean


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    """A project of Dagster's with an empty folder defs/."""
    with create_defs_folder_sandbox() as made:
        yield made


@pytest.fixture
def load(sandbox: DefsFolderSandbox) -> Callable[..., dict[str, JobDefinition]]:
    """The jobs of a project whose defs/operations/defs.yaml has these attributes."""

    def jobs(**attributes: Any) -> dict[str, JobDefinition]:
        folder = sandbox.scaffold_component(
            RunbookComponent,
            defs_path="operations",
            defs_yaml_contents={"type": TYPE, "attributes": attributes},
        )
        with sandbox.load_component_and_build_defs(folder) as (component, definitions):
            assert isinstance(component, RunbookComponent)
            return jobs_of(definitions)

    return jobs


def put(workshop: Workshop, folder: Path) -> None:
    """Puts the workshop's runbooks into `folder`."""
    shutil.copytree(workshop.project.runbooks, folder / "runbooks")


def test_dg_finds_the_component_by_its_entry_point() -> None:
    found = {key.to_typename(): item for key, item in discover_entry_point_package_objects().items()}
    ours = {name: item for name, item in found.items() if name.startswith("runbook_")}
    assert ours == {TYPE: RunbookComponent}


def test_each_attribute_tells_what_it_is_for() -> None:
    model = RunbookComponent.get_model_cls()
    assert model is not None
    described = {
        name: field["description"] for name, field in model.model_json_schema()["properties"].items()
    }
    assert described.keys() == {"path", "only"}
    assert all(described.values())


def test_without_a_path_the_runbooks_lie_at_the_root_of_the_project(
    workshop: Workshop, sandbox: DefsFolderSandbox, load: Callable[..., dict[str, JobDefinition]]
) -> None:
    simple(workshop, "rb-one")
    simple(workshop, "rb-two")
    put(workshop, sandbox.project_root)
    assert load().keys() == {"rb_one", "rb_two"}


@pytest.mark.parametrize("path", [".", "../../../../elsewhere", "{{ context.project_root }}/elsewhere"])
def test_a_path_starts_at_the_folder_of_the_defs_file(
    path: str,
    workshop: Workshop,
    sandbox: DefsFolderSandbox,
    load: Callable[..., dict[str, JobDefinition]],
) -> None:
    simple(workshop, "rb-one")
    here = path == "."
    put(workshop, sandbox.defs_folder_path / "operations" if here else sandbox.project_root / "elsewhere")
    assert load(path=path).keys() == {"rb_one"}


def test_a_component_made_in_python_counts_from_its_file_too(
    workshop: Workshop, sandbox: DefsFolderSandbox
) -> None:
    simple(workshop, "rb-one")
    put(workshop, sandbox.defs_folder_path)
    file = sandbox.defs_folder_path / "operations.py"
    file.write_text(
        textwrap.dedent("""
            from dagster import component_instance
            from runbook_factory.component import RunbookComponent

            @component_instance
            def operations(context):
                return RunbookComponent(path=".")
            """)
    )
    with sandbox.build_all_defs() as definitions:
        assert jobs_of(definitions).keys() == {"rb_one"}


def test_a_component_brings_schedules_and_assets_too(workshop: Workshop, sandbox: DefsFolderSandbox) -> None:
    simple(workshop, "rb-one", schedule={"cron": "@daily"})
    put(workshop, sandbox.project_root)
    folder = sandbox.scaffold_component(
        RunbookComponent, defs_path="operations", defs_yaml_contents={"type": TYPE}
    )
    with sandbox.load_component_and_build_defs(folder) as (_, definitions):
        assert definitions.resolve_schedule_def("rb_one__schedule").job_name == "rb_one"
        (spec,) = definitions.resolve_all_asset_specs()
        assert spec.key.path == ["runbooks", "rb_one", "kpis"]


def test_only_loads_the_runbooks_it_names(
    workshop: Workshop, sandbox: DefsFolderSandbox, load: Callable[..., dict[str, JobDefinition]]
) -> None:
    simple(workshop, "rb-one")
    workshop.file("runbooks/rb-bad/runbook.yaml", "id: [")
    put(workshop, sandbox.project_root)
    assert load(only=["rb-one"]).keys() == {"rb_one"}


def test_a_runbook_with_errors_is_a_job_that_refuses_beside_the_good_ones(
    workshop: Workshop, sandbox: DefsFolderSandbox, load: Callable[..., dict[str, JobDefinition]]
) -> None:
    simple(workshop, "rb-one")
    workshop.file("runbooks/rb-bad/runbook.yaml", "id: [")
    put(workshop, sandbox.project_root)
    jobs = load()
    assert jobs.keys() == {"rb_one", "rb_bad"}
    assert "RB004" in (jobs["rb_bad"].description or "")


def test_templates_of_a_runbook_are_left_to_the_runbook(
    workshop: Workshop, sandbox: DefsFolderSandbox, load: Callable[..., dict[str, JobDefinition]]
) -> None:
    """Dagster fills in `{{ ... }}` of a defs.yaml; a runbook is not one, though it lies beside it."""
    inputs = {"source_url": "http://localhost/${DAY}?q={{ project_root }}"}
    workshop.runbook([{"id": "a", "type": "data_fetch", "inputs": inputs}], id="rb-one")
    folder = sandbox.defs_folder_path / "operations"
    put(workshop, folder)
    definition = load(path=".")["rb_one"].metadata["runbook/definition"].value
    assert "${DAY}?q={{ project_root }}" in str(definition)
    runbook = load_runbook(Project(folder), "rb-one")
    assert runbook.runbook.steps[0].inputs == inputs


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        ({"only": ["rb-onne"]}, "no runbook 'rb-onne'", "did you mean 'rb-one'?"),
        ({"path": "nowhere"}, "has no folder runbooks/", "name the folder that holds runbooks/"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    more: dict[str, Any],
    message: str,
    hint: str,
    workshop: Workshop,
    sandbox: DefsFolderSandbox,
    load: Callable[..., dict[str, JobDefinition]],
) -> None:
    simple(workshop, "rb-one")
    put(workshop, sandbox.project_root)
    with pytest.raises(Exception, match="operations") as caught:
        load(**more)
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, ProjectError):
        error = error.__cause__
    assert error is not None
    assert message in error.message and error.hint == hint


def test_a_folder_without_runbooks_is_not_taken_for_one_with_none(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="has no folder runbooks/"):
        build_definitions(tmp_path)


def test_runbooks_merge_into_the_definitions_of_somebody(workshop: Workshop) -> None:
    simple(workshop, "rb-one")
    simple(workshop, "rb-two")
    whole = Definitions.merge(
        build_definitions(workshop.project.root, only=["rb-two"]),
        Definitions(resources={"io_manager": fs_io_manager}),
    )
    job = whole.resolve_job_def("rb_two")
    assert job.resource_defs["io_manager"] is not whole.resources["io_manager"]  # type: ignore[index]
    assert jobs_of(whole).keys() == {"rb_two"}


# A project of Dagster's with an instance of its own: SQLite, its queue, its default executor


THEIRS = """
from dagster import Definitions, IOManager, definitions, io_manager, job, op


@io_manager
def warehouse(context):
    raise RuntimeError("a runbook opened the warehouse")


@op(out={})
def hello(): ...


@job
def their_job():
    hello()


@definitions
def defs():
    return Definitions(jobs=[their_job], resources={"io_manager": warehouse})
"""


DEFINITIONS = """
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""

PYPROJECT = """
[project]
name = "shop"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop"
"""


@dataclass(frozen=True)
class Theirs:
    """A project as `create-dagster` lays it out, and the home of its instance."""

    root: Path
    home: Path

    def dagster(self, *command: str) -> str:
        """Runs a command of Dagster's; gives what it says."""
        ours = {"RUNBOOK_PROJECT", "DAGSTER_HOME", "PYTHONPATH"}
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        environment |= {"DAGSTER_HOME": str(self.home), "PYTHONPATH": str(self.root / "src")}
        done = subprocess.run(
            [sys.executable, "-m", "dagster", *command, "-m", "shop.definitions"],
            cwd=self.home,  # not the project: where it is started is no matter
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def theirs(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    """A project around the workshop's runbooks."""
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    workshop.file("pyproject.toml", PYPROJECT)
    workshop.file("src/shop/__init__.py", "")
    workshop.file("src/shop/definitions.py", DEFINITIONS)
    workshop.file("src/shop/defs/__init__.py", "")
    workshop.file("src/shop/defs/theirs.py", THEIRS)
    workshop.file("src/shop/defs/operations/defs.yaml", f"type: {TYPE}\nattributes: {{}}\n")
    return Theirs(workshop.project.root, home)


def test_all_shipped_runbooks_are_good_definitions_of_a_project_of_dagsters(
    workshop: Workshop, theirs: Theirs
) -> None:
    shutil.copytree(ROOT / "runbooks", workshop.project.runbooks, dirs_exist_ok=True)
    said = theirs.dagster("definitions", "validate")
    assert "All code locations passed validation" in said
    assert "does not load" not in said


def test_a_job_in_somebodys_instance_is_recorded_in_our_database(workshop: Workshop, theirs: Theirs) -> None:
    simple(workshop, "rb-one", steps=8)  # at once, on SQLite
    theirs.dagster("job", "execute", "-j", "rb_one")
    (record,) = list_executions(database.engine(workshop.project), runbook_id="rb-one")
    assert record.status.value == "success"
    with closing(sqlite3.connect(theirs.home / "history" / "runs.db")) as runs:
        kept = runs.execute("SELECT run_id, pipeline_name, status FROM runs").fetchall()
    assert kept == [(record.id, "rb_one", "SUCCESS")]
