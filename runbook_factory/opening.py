"""From a Dagster run to an execution that is ready for its first step."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from dagster import DagsterRun

from runbook_defs.execution import Actor
from runbook_defs.source import Location
from runbook_factory import schema
from runbook_factory.actors import local_actor
from runbook_factory.audit.executions import start_of
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import engine, reachable
from runbook_factory.execution import Aborted, Execution
from runbook_factory.execution_log import NoSuchExecution
from runbook_factory.inputs import InputError, resolve_inputs
from runbook_factory.keys import deployment_key, previous_keys
from runbook_factory.leases import Lease
from runbook_factory.project import Project
from runbook_factory.recorder import Recorder
from runbook_factory.replay.original import Original
from runbook_factory.replay.recording import NotReplayable, load_recording
from runbook_factory.request import CassetteRef, RunRequest
from runbook_factory.sealed_inputs import seal_inputs, sensitive_names, split_inputs, tainted, unseal_inputs
from runbook_factory.sealing import SealingError
from step_ops.cassette import Cassette, CassetteError, load_fixtures
from step_ops.connections import Connections, connection_of, load_connections
from step_ops.errors import ErrorType, StepError
from step_ops.gate import Mode
from step_ops.redaction import Redactor
from step_ops.secret_providers.chain import SecretChain, load_secrets
from step_ops.secrets import SecretProvider
from step_ops.step_type import Effect

ACTOR_ID, ACTOR_NAME, ACTOR_KIND = "runbook/actor_id", "runbook/actor", "runbook/actor_kind"


def actor_tags(actor: Actor) -> dict[str, str]:
    """The tags by which a run says who started it."""
    return {ACTOR_ID: actor.id, ACTOR_NAME: actor.name, ACTOR_KIND: actor.kind}


def make_ready(project: Project) -> None:
    """Looks after what every execution needs: the keys and the tables.

    Raises `ProjectError` or `DatabaseError`, before there is a run that could be lost by them.
    """
    deployment_key(project)
    previous_keys()
    with reachable():
        schema.ensure(engine(project))


def open_execution(runbook: LoadedRunbook, run: DagsterRun) -> Execution:
    """The execution of `run`, with its record begun.

    Raises `Aborted` when it cannot start; the record then says so.
    """
    request = RunRequest.from_run_config(run.run_config)
    actor = _actor(run)
    make_ready(runbook.project)
    redactor = Redactor(deployment_key(runbook.project))
    recorded = request.mode is not Mode.BACKTEST
    recorder = Recorder(
        engine(runbook.project) if recorded else None,
        run.run_id,
        redactor=redactor,
        remembers=request.replay is not None,
    )
    why = ""
    start = _Start(inputs=dict(request.inputs))
    try:
        start = _start(runbook, request, run.run_id, redactor)
    except (InputError, CassetteError, StepError, NotReplayable, NoSuchExecution, SealingError) as error:
        why = error.message
    with reachable(), ExitStack() as undo:
        lease = Lease(engine(runbook.project), run.run_id) if recorded else None
        if lease is not None:
            undo.callback(lease.release)
        recorder.begin(
            runbook,
            mode=request.mode.value,
            actor=actor,
            inputs=start.inputs,
            metadata={
                "job": run.job_name,
                "environment_names": list(start.from_environment),
                "clock": start.clock.isoformat(),
            },
            parent=start.original.id if start.original else None,
            entry=start_of(runbook, run.run_id, request, actor=actor, inputs=start.inputs),
        )
        undo.pop_all()
    execution = Execution(
        id=run.run_id,
        runbook=runbook,
        request=request,
        actor=actor,
        inputs=start.inputs,
        clock=start.clock,
        cassette=start.cassette,
        connections=start.connections,
        secrets=start.secrets,
        recorder=recorder,
        redactor=redactor,
        lease=lease,
        original=start.original,
    )
    if why:
        execution.finish(reason=why)
        raise Aborted(why)
    return execution


@dataclass(frozen=True, kw_only=True)
class _Start:
    """What an execution begins with."""

    inputs: dict[str, object]
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    from_environment: tuple[str, ...] = ()
    cassette: Cassette | None = None
    connections: Connections = field(default_factory=lambda: Connections({}))
    secrets: SecretProvider = field(default_factory=SecretChain)
    original: Original | None = None

    @property
    def clock(self) -> datetime:
        """When it starts, as its steps see it: of a replay that keeps the name of its original, with it."""
        if self.cassette is not None:
            return self.cassette.fixture.clock
        if self.original is not None and not self.original.writes:
            return self.original.started_at
        return self.now


def _start(runbook: LoadedRunbook, request: RunRequest, run_id: str, redactor: Redactor) -> _Start:
    original = _original(runbook, request) if request.replay is not None else None
    if (request.mode in {Mode.REPLAY, Mode.BACKTEST}) is not (original is not None):
        raise InputError("a replay, and nothing else, names the execution that it does again")
    cassette = _cassette(request.cassette) if request.mode is Mode.TEST else None
    connections = load_connections(runbook.project.connections)
    hidden = _hidden(runbook, request, run_id, original)
    given = {**request.inputs, **hidden}
    inputs, from_environment = _inputs(runbook, given, cassette, original)
    start = _Start(
        inputs=tainted(runbook, inputs, redactor=redactor),
        from_environment=from_environment,
        cassette=cassette,
        connections=connections,
        secrets=load_secrets(runbook.project.connections),
        original=original,
    )
    if request.asks_the_world:
        _, sensitive = split_inputs(
            runbook, {name: value for name, value in inputs.items() if value is not None}
        )
        with reachable():
            seal_inputs(engine(runbook.project), runbook.project, run_id, sensitive)
        _check_deployment(runbook, connections, start.secrets)
    return start


def _original(runbook: LoadedRunbook, request: RunRequest) -> Original | None:
    """What a replay is held against; raises `NoSuchExecution` or `NotReplayable`."""
    wanted = request.replay
    if wanted is None:
        return None
    with reachable():
        recording = load_recording(engine(runbook.project), wanted.execution)
    if request.mode is Mode.REPLAY and runbook.digest != recording.record.definition_digest:
        raise NotReplayable(
            "it ran with another definition than this job has",
            hint=f"start it with: rb replay {wanted.execution}",
        )
    writes = {step.id for step in runbook.runbook.steps if runbook.effect(step) is not Effect.READ}
    return Original(
        recording=recording,
        runbook=runbook.runbook,
        definition=runbook.text,
        files=runbook.files,
        digest=runbook.digest,
        redraws=request.mode is Mode.REPLAY and not wanted.live,
        live=wanted.live,
        writes=wanted.live and wanted.allow_writes,
        answered=frozenset(writes) if wanted.live and not wanted.allow_writes else frozenset(),
    )


def _check_deployment(runbook: LoadedRunbook, connections: Connections, secrets: SecretProvider) -> None:
    """Raises one `StepError` for all that steps will surely ask of the deployment and it lacks.

    Known before step one, it costs nothing; found by the fourth step, it leaves three done.
    """
    asked: list[Callable[[], object]] = [
        partial(secrets.get, name)
        for name, use in runbook.checked.uses.secrets.items()
        if _surely_runs(runbook, use.location)
    ]
    for step in [*runbook.probes.values(), *runbook.runbook.steps]:
        name = connection_of(runbook.step_types[step.id], step.inputs)
        if name is not None and step.when is None:
            asked.append(partial(connections.check, name, secret=secrets.get))
    missing = dict.fromkeys(reason for ask in asked for reason in _lacking(ask))
    if missing:
        raise StepError(ErrorType.CONFIG, "; ".join(missing))


def _surely_runs(runbook: LoadedRunbook, location: Location) -> bool:
    match location:
        case ("steps", int(index), *_):
            return runbook.runbook.steps[index].when is None
        case ("assumptions", *_):
            return True
        case _:
            return False


def _lacking(ask: Callable[[], object]) -> list[str]:
    try:
        ask()
    except StepError as error:
        return [error.message]
    return []


def _actor(run: DagsterRun) -> Actor:
    if ACTOR_ID in run.tags and ACTOR_NAME in run.tags:
        kind = run.tags.get(ACTOR_KIND, Actor.kind)
        return Actor(id=run.tags[ACTOR_ID], name=run.tags[ACTOR_NAME], kind=kind)
    return local_actor()


def _cassette(ref: CassetteRef | None) -> Cassette:
    if ref is None:
        raise InputError("a test or replay needs a cassette")
    path = Path(ref.file)
    for fixture in load_fixtures(path):
        if fixture.scenario == ref.scenario:
            return Cassette(fixture, path)
    raise CassetteError(path, f"there is no scenario {ref.scenario!r} in the fixture")


def _hidden(
    runbook: LoadedRunbook, request: RunRequest, run_id: str, original: Original | None
) -> dict[str, str]:
    """The values of sensitive inputs that were sealed for this run, or for the one that it does again.

    A replay that asks nobody needs none: it has their pseudonyms.
    """
    names = sensitive_names(runbook)
    if not names:
        return {}
    unseal = partial(unseal_inputs, engine(runbook.project), runbook.project)
    with reachable():
        if original is None:
            return unseal(run_id)
        if not original.live:
            return {}
        found = unseal(original.id)
    recorded = original.recording.record.inputs
    for name in sorted(names):
        if name not in found and recorded.get(name) is not None:
            raise InputError(
                f"the sensitive input {name!r} of {original.id} is not kept any more",
                hint=f"a replay from the record needs none: rb replay {original.id}",
            )
    return found


def _inputs(
    runbook: LoadedRunbook,
    asked: Mapping[str, object],
    cassette: Cassette | None,
    original: Original | None,
) -> tuple[dict[str, object], tuple[str, ...]]:
    if original is not None:
        # As they were; what another definition asks besides has its default, or fails.
        known = {*runbook.runbook.inputs, *runbook.checked.uses.implicit}
        recorded = original.recording.record.inputs
        given = {name: value for name, value in recorded.items() if name in known}
        return resolve_inputs(runbook, {**given, **asked}, environment={})
    if cassette is None:
        return resolve_inputs(runbook, asked)
    # A test sees nothing of the environment: what it needs stands in the fixture.
    return resolve_inputs(runbook, {**cassette.fixture.inputs, **asked}, environment={})
