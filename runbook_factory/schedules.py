"""From the schedule of a runbook to one of Dagster's, which asks for a run at each tick."""

import json
from collections.abc import Mapping
from typing import Any

from dagster import (
    DagsterRunStatus,
    DefaultScheduleStatus,
    JobDefinition,
    RunsFilter,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
)
from dagster import RunRequest as Requested

from runbook_defs.model import Overlap, Schedule, as_written
from runbook_defs.templates import compile_template
from runbook_factory import schema
from runbook_factory.actors import schedule_actor
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import engine, reachable
from runbook_factory.leases import lost_executions, settle_lost
from runbook_factory.opening import ACTOR_ID, actor_tags
from runbook_factory.project import Project
from runbook_factory.request import RunRequest

LINE_TAG = "runbook/line"  # of a run that waits for those before it with the same one
TICK = "runbook/scheduled_for"  # the tag of a run that names the tick it was started for

# A run that is only created may be of this very tick, when the daemon died before it was started.
_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def build_schedule(runbook: LoadedRunbook, job: JobDefinition) -> ScheduleDefinition | None:
    """What starts `job` by itself; None when the runbook has no schedule.

    While a run that an earlier tick started still goes on, a tick is left out, with a reason, or its run
    waits, as the runbook says.
    """
    schedule = runbook.runbook.schedule
    if schedule is None:
        return None
    actor = schedule_actor(runbook.runbook.owner)
    config = RunRequest(inputs=_inputs(runbook, schedule)).run_config()

    def tick(context: ScheduleEvaluationContext) -> Requested | SkipReason:
        name = context.scheduled_execution_time.isoformat()
        tags = {**actor_tags(actor), "runbook/mode": "live", TICK: name}
        if schedule.overlap is Overlap.QUEUE:
            return Requested(run_key=name, run_config=config, tags={**tags, LINE_TAG: job.name})
        before = _unfinished(context, runbook.project, job=job.name, actor_id=actor.id, tick=name)
        if before is not None:
            return SkipReason(f"run {before}, which this schedule started before, is not finished")
        return Requested(run_key=name, run_config=config, tags=tags)

    return ScheduleDefinition(
        name=f"{job.name}__schedule",
        job=job,
        cron_schedule=" ".join(schedule.cron.split()),
        execution_timezone=schedule.timezone,
        execution_fn=tick,
        default_status=DefaultScheduleStatus.RUNNING,
        description=f"Starts {runbook.runbook.name}, as {actor.name}.",
    )


def _inputs(runbook: LoadedRunbook, schedule: Schedule) -> Mapping[str, Any]:
    """What each run is given, as plain data: `$${` as `${`, a number for a text as it was written."""
    declared = runbook.runbook.inputs
    texts = {name for name in schedule.inputs if name not in declared or declared[name].type == "string"}
    values = {name: as_written(value) if name in texts else value for name, value in schedule.inputs.items()}
    plain: dict[str, Any] = json.loads(json.dumps(compile_template(values).render({})))
    return plain


def _unfinished(
    context: ScheduleEvaluationContext, project: Project, *, job: str, actor_id: str, tick: str
) -> str | None:
    """A run that another tick started and that goes on: not one whose process was lost."""
    wanted = RunsFilter(job_name=job, statuses=_UNFINISHED, tags={ACTOR_ID: actor_id})
    runs = context.instance.get_runs(wanted)
    found = [run.run_id for run in runs if run.tags.get(TICK) != tick]
    if not found:
        return None
    with reachable():
        schema.ensure(engine(project))
        settle_lost(engine(project))
        lost = lost_executions(engine(project), found)
    return next((run_id for run_id in found if run_id not in lost), None)
