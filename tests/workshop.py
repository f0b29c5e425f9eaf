"""A project that a test fills and runs."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from runbook_defs.execution import Event, ExecutionFinished, ExecutionRecord
from runbook_defs.replay import ReplayReport
from runbook_factory.actors import local_actor
from runbook_factory.catalog import load_runbook
from runbook_factory.instance import passing_instance, stored_instance
from runbook_factory.project import Project
from runbook_factory.replay.recording import NotReplayable
from runbook_factory.replay.replays import open_replay
from runbook_factory.request import CassetteRef, RunRequest
from runbook_factory.runs import run_runbook
from runbook_service.dagster_process import dagster_environment
from step_ops.gate import Mode

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Workshop:
    """A project that a test fills and runs."""

    project: Project
    events: list[Event]

    def runbook(self, steps: list[dict[str, Any]], **more: Any) -> str:
        """Writes a runbook with these steps; gives its id."""
        runbook_id = more.pop("id", "rb-test")
        definition = {
            "id": runbook_id,
            "name": "Test",
            "version": "1.0.0",
            "owner": "tests",
            "legal_basis": "none needed",
            **more,
            "steps": steps,
        }
        self.file(f"runbooks/{runbook_id}/runbook.yaml", json.dumps(definition, indent=2))
        return runbook_id

    def file(self, name: str, text: str) -> Path:
        path = self.project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def dagster(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What Dagster's own program says in this project, with our settings."""
        for name in ("dagster.yaml", "workspace.yaml"):
            self.file(name, (ROOT / name).read_text())
        return subprocess.run(
            [sys.executable, "-m", "dagster", *arguments],
            cwd=self.project.root,
            env=dict(dagster_environment(self.project)),
            capture_output=True,
            text=True,
            check=False,
        )

    def test(
        self, runbook_id: str = "rb-test", *, steps: Mapping[str, Any] | None = None, **more: Any
    ) -> ExecutionRecord:
        """Runs it on a fixture with these exchanges."""
        fixture = {
            "format": 1,
            "scenario": "s",
            "runbook": runbook_id,
            "steps": dict(steps or {}),
            **more,
        }
        path = self.file("acceptance/fixture.json", json.dumps(fixture))
        request = RunRequest(mode=Mode.TEST, cassette=CassetteRef(file=str(path), scenario="s"))
        with passing_instance() as instance:
            return self.run(runbook_id, request, instance)

    def live(self, runbook_id: str = "rb-test", **request: Any) -> ExecutionRecord:
        """Runs it for real, on the stored instance."""
        with stored_instance(self.project) as instance:
            return self.run(runbook_id, RunRequest(**request), instance)

    def replay(
        self, execution: str, *, against: str | None = None, live: bool = False, allow_writes: bool = False
    ) -> ReplayReport:
        """The report of a replay; `against` is the id of a runbook to hold the execution against."""
        definition = load_runbook(self.project, against) if against else None
        with (
            open_replay(
                self.project, execution, against=definition, live=live, allow_writes=allow_writes
            ) as opened,
            stored_instance(self.project) if opened.is_stored else passing_instance() as instance,
        ):
            self.events = list(opened.run(actor=local_actor(), instance=instance))
            last = self.events[-1]
            assert isinstance(last, ExecutionFinished)
            self.replayed = last.record
            run = instance.get_runs(RunsFilter(run_ids=[last.record.id]))[0]
            self.dagster_status, self.dagster_tags = run.status, run.tags
            if last.report is None:
                raise NotReplayable(last.record.reason)
            return last.report

    def run(self, runbook_id: str, request: RunRequest, instance: DagsterInstance) -> ExecutionRecord:
        runbook = load_runbook(self.project, runbook_id)
        self.events = list(run_runbook(runbook, request, actor=local_actor(), instance=instance))
        last = self.events[-1]
        assert isinstance(last, ExecutionFinished)
        run = instance.get_runs(RunsFilter(run_ids=[last.record.id]))[0]
        self.dagster_status: DagsterRunStatus = run.status
        self.dagster_tags = run.tags
        self.dagster_events = instance.all_logs(last.record.id)
        return last.record
