"""Starts a run in this process and tells what happens, as it happens.

The only module that uses Dagster's private way to execute a stored run with a job at hand.
"""

from collections import deque
from collections.abc import Iterator

from dagster import DagsterInstance, JobDefinition
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._utils.interrupts import capture_interrupts

from runbook_defs.execution import Actor, Event, ExecutionFinished
from runbook_factory.execution import listener
from runbook_factory.opening import actor_tags
from runbook_factory.request import RunRequest


class RunLost(Exception):
    """A run that ended without a verdict; the message is what Dagster knows."""


def run_job(
    job: JobDefinition, request: RunRequest, *, actor: Actor, instance: DagsterInstance
) -> Iterator[Event]:
    """The events of a new run of `job`, the last of them `ExecutionFinished`; raises `RunLost`.

    One run at a time per process: two would deadlock in logging.
    """
    events: deque[Event] = deque()
    token = listener.set(events)
    last: Event | None = None
    failure = ""
    try:
        run = instance.create_run_for_job(
            job_def=job,
            run_config=request.run_config(),
            tags={**actor_tags(actor), "runbook/mode": request.mode.value},
        )
        with capture_interrupts():
            for happened in execute_run_iterator(InMemoryJob(job), run, instance):
                if happened.is_failure:
                    failure = happened.message or ""
                while events:
                    last = events.popleft()
                    yield last
        while events:
            last = events.popleft()
            yield last
    finally:
        listener.reset(token)
    if not isinstance(last, ExecutionFinished):
        raise RunLost(failure or "the run ended without a verdict")
