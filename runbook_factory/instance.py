"""Dagster's instance: stored in the project's database, or in memory for what is only a test."""

from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance
from dagster._core.instance import InstanceRef

from runbook_factory import schema
from runbook_factory.database import engine, reachable
from runbook_factory.endings import end_lost_runs
from runbook_factory.project import Project

# What `dagster.yaml` of a project says; a project without that file gets the same.
SETTINGS: Mapping[str, Any] = {
    "storage": {
        "custom": {
            "module": "runbook_factory.dagster_storage",
            "class": "RunbookStorage",
            "config": {},
        }
    },
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    },
    # Launched runs wait in our queue for a worker. Dagster's own queue would need the daemon.
    "run_coordinator": {"module": "runbook_service.launcher", "class": "QueueCoordinator"},
    "run_launcher": {"module": "runbook_service.launcher", "class": "QueueLauncher"},
    "python_logs": {"python_log_level": "INFO"},
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
}


def stored_instance(project: Project, *, settles: bool = True) -> DagsterInstance:
    """The instance whose runs are in the database; raises `DatabaseError` when that is away.

    Unless it `settles` nothing, it first ends the runs of executions whose process was lost.
    """
    home = project.state_folder() / "dagster"
    home.mkdir(exist_ok=True)
    own = (project.root / "dagster.yaml").is_file()
    ref = InstanceRef.from_dir(
        str(home),
        config_dir=str(project.root if own else home),
        overrides={} if own else dict(SETTINGS),
    )
    with reachable():
        # Asked first: Dagster would try for seconds, and log each time.
        engine(project).connect().close()
        instance = DagsterInstance.from_ref(ref)
        schema.ensure(engine(project))
        if settles:
            end_lost_runs(project, instance)
    return instance


def passing_instance() -> DagsterInstance:
    """An instance in memory, gone with the process: Dagster's pages do not list tests."""
    return DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}})
