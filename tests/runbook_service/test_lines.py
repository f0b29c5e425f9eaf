"""Runs of one line are executed one after the other, whatever is free."""

import time
from itertools import pairwise
from uuid import uuid4

from dagster import DagsterRun, DagsterRunStatus
from dagster_shared.record import copy

from runbook_factory.database import engine
from runbook_factory.execution_log import get_execution
from runbook_factory.instance import stored_instance
from runbook_factory.schedules import LINE_TAG
from runbook_service.launcher import enqueue
from tests.served import Running


def test_the_runs_of_a_line_do_not_overlap(running: Running) -> None:
    first = running.execute("brief").json()
    with stored_instance(running.project) as instance:
        model = instance.get_run_by_id(first["id"])
        assert model is not None
        names = [str(uuid4()) for _ in range(3)]
        for name in names:
            run: DagsterRun = copy(
                model,
                run_id=name,
                status=DagsterRunStatus.NOT_STARTED,
                tags={**model.tags, LINE_TAG: "one_at_a_time"},
            )
            instance.run_storage.add_run(run)
            enqueue(instance, run)
    deadline = time.monotonic() + 30
    for name in names:
        while running.ask("GET", f"/api/executions/{name}").json()["status"] == "running":
            assert time.monotonic() < deadline
            time.sleep(0.1)
    records = [get_execution(engine(running.project), name) for name in names]
    assert [record.status.value for record in records] == ["success"] * 3
    for before, after in pairwise(records):
        assert before.completed_at is not None
        assert before.completed_at <= after.started_at
