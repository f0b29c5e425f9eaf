"""From a Dagster run to an execution that is ready for its first step."""

from pathlib import Path

from dagster import DagsterRun

from runbook_defs.execution import Actor
from runbook_factory import schema
from runbook_factory.actors import local_actor
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import engine, reachable
from runbook_factory.execution import Aborted, Execution
from runbook_factory.inputs import InputError, resolve_inputs
from runbook_factory.keys import deployment_key
from runbook_factory.recorder import Recorder
from runbook_factory.request import CassetteRef, RunRequest
from step_ops.cassette import Cassette, CassetteError, load_fixtures
from step_ops.connections import Connections, load_connections
from step_ops.errors import StepError
from step_ops.gate import Mode
from step_ops.redaction import Redactor
from step_ops.secrets import EnvironmentSecrets

ACTOR_ID, ACTOR_NAME = "runbook/actor_id", "runbook/actor"


def actor_tags(actor: Actor) -> dict[str, str]:
    """The tags by which a run says who started it."""
    return {ACTOR_ID: actor.id, ACTOR_NAME: actor.name}


def open_execution(runbook: LoadedRunbook, run: DagsterRun) -> Execution:
    """The execution of `run`, with its record begun.

    Raises `Aborted` when it cannot start; the record then says so.
    """
    request = RunRequest.from_run_config(run.run_config)
    actor = _actor(run)
    redactor = Redactor(deployment_key(runbook.project))
    database = engine(runbook.project)
    with reachable():
        schema.ensure(database)
    recorder = Recorder(database, run.run_id, redactor=redactor)
    why = ""
    cassette: Cassette | None = None
    connections = Connections({})
    inputs: dict[str, object] = dict(request.inputs)
    from_environment: tuple[str, ...] = ()
    try:
        cassette = _cassette(request.cassette) if request.mode is not Mode.LIVE else None
        connections = load_connections(runbook.project.connections)
        inputs, from_environment = _inputs(runbook, request, cassette)
    except (InputError, CassetteError, StepError) as error:
        why = error.message
    with reachable():
        recorder.begin(
            runbook,
            mode=request.mode.value,
            actor=actor,
            inputs=inputs,
            metadata={"job": run.job_name, "environment_names": list(from_environment)},
        )
    execution = Execution(
        id=run.run_id,
        runbook=runbook,
        request=request,
        actor=actor,
        inputs=inputs,
        cassette=cassette,
        connections=connections,
        secrets=EnvironmentSecrets(),
        recorder=recorder,
        redactor=redactor,
    )
    if why:
        execution.finish(reason=why)
        raise Aborted(why)
    return execution


def _actor(run: DagsterRun) -> Actor:
    if ACTOR_ID in run.tags and ACTOR_NAME in run.tags:
        return Actor(id=run.tags[ACTOR_ID], name=run.tags[ACTOR_NAME])
    return local_actor()


def _cassette(ref: CassetteRef | None) -> Cassette:
    if ref is None:
        raise InputError("a test or replay needs a cassette")
    path = Path(ref.file)
    for fixture in load_fixtures(path):
        if fixture.scenario == ref.scenario:
            return Cassette(fixture, path)
    raise CassetteError(path, f"there is no scenario {ref.scenario!r} in the fixture")


def _inputs(
    runbook: LoadedRunbook, request: RunRequest, cassette: Cassette | None
) -> tuple[dict[str, object], tuple[str, ...]]:
    if cassette is None:
        return resolve_inputs(runbook, request.inputs)
    # A test sees nothing of the environment: what it needs stands in the fixture.
    return resolve_inputs(runbook, {**cassette.fixture.inputs, **request.inputs}, environment={})
