"""A folder of runbooks in Dagster: what it loads, and how a broken file is told of."""

import logging
from pathlib import Path

import pytest
from dagster import DagsterInvalidConfigError, validate_run_config

from runbook_factory.definitions import build_definitions
from runbook_factory.instance import stored_instance
from tests.workshop import Workshop

ROOT = Path(__file__).resolve().parents[2]


def good(workshop: Workshop, runbook_id: str) -> None:
    steps = [{"id": "a", "type": "schema_check", "inputs": {"entities": [], "schema": "s.json"}}]
    workshop.runbook(steps, id=runbook_id, kpis={"max_error_rate": 0.1}, assumptions=[{"ok": True}])
    workshop.file(f"runbooks/{runbook_id}/s.json", "{}")


def test_a_broken_file_is_one_clear_error_and_the_others_load(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    good(workshop, "rb-one")
    good(workshop, "rb-two")
    workshop.file("runbooks/rb-bad/runbook.yaml", "id: rb-bad\nname: [\n")
    with caplog.at_level(logging.ERROR, logger="runbook"):
        definitions = build_definitions(workshop.project.root)
    jobs = {job.name: job for job in definitions.resolve_all_job_defs()}
    assert jobs.keys() == {"rb_one", "rb_two", "rb_bad", "__ASSET_JOB"}  # the last is Dagster's own
    (message,) = caplog.messages
    assert message.startswith("runbooks/rb-bad/runbook.yaml does not load:")
    assert "runbook.yaml:3:1 RB004 not YAML" in message
    assert "RB004" in (jobs["rb_bad"].description or "")
    result = jobs["rb_bad"].execute_in_process(raise_on_error=False)
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert "RB004" in str(failure.step_failure_data.user_failure_data)


def test_a_job_says_what_a_reader_of_the_ui_wants_to_know(workshop: Workshop) -> None:
    good(workshop, "rb-one")
    job = build_definitions(workshop.project.root).resolve_job_def("rb_one")
    assert job.metadata["runbook/legal_basis"].value == "none needed"
    assert "ok" in str(job.metadata["runbook/assumptions"].value)
    assert "max_error_rate" in str(job.metadata["runbook/kpis"].value)
    assert "runbook.yaml" in str(job.metadata["runbook/source"].value)
    (node,) = job.graph.nodes
    assert node.name == "a"
    assert node.definition.name == "rb_one__a"
    assert node.definition.tags["kind"] == "schema_check"


def test_a_run_config_cannot_ask_for_a_backtest_which_leaves_no_record(workshop: Workshop) -> None:
    good(workshop, "rb-one")
    job = build_definitions(workshop.project.root).resolve_job_def("rb_one")
    for mode in ("test", "replay"):
        assert validate_run_config(job, {"mode": mode})
    for mode in ("backtest", "nonsense"):
        with pytest.raises(DagsterInvalidConfigError):
            validate_run_config(job, {"mode": mode})


def test_two_runbooks_with_steps_of_one_name_load_together(workshop: Workshop) -> None:
    """Op names are unique in a repository, which only Dagster's own check of definitions sees."""
    good(workshop, "rb-one")
    good(workshop, "rb-two")
    done = workshop.dagster("definitions", "validate", "-w", "workspace.yaml")
    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location runbooks" in done.stderr + done.stdout


def test_a_run_launched_by_dagsters_own_launcher_is_recorded(workshop: Workshop) -> None:
    good(workshop, "rb-one")
    done = workshop.dagster("job", "execute", "-m", "runbook_factory.workspace", "-j", "rb_one")
    assert done.returncode == 0, done.stderr
    from runbook_factory import database
    from runbook_factory.execution_log import list_executions

    (newest, *_) = list_executions(database.engine(workshop.project), runbook_id="rb-one")
    assert newest.status.value == "success"
    with stored_instance(workshop.project) as instance:
        run = instance.get_run_by_id(newest.id)
        assert run is not None
        assert run.is_success
