"""Puts executions, as Dagster runs, and replays into the queue of the workers.

The only module that uses Dagster's private way from a request to a run.
"""

import asyncio
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from dagster import DagsterRun, DagsterRunStatus
from dagster._core.definitions.selector import JobSelector, JobSubsetSelector
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.workspace.context import WorkspaceRequestContext
from dagster_graphql.implementation.execution.launch_execution import do_launch
from dagster_graphql.implementation.utils import ExecutionMetadata, ExecutionParams, UserFacingGraphQLError
from dagster_shared.record import copy
from sqlalchemy import text

from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import engine
from runbook_factory.inputs import InputError, resolve_inputs
from runbook_factory.jobs import DIGEST_TAG, job_name
from runbook_factory.keys import deployment_key
from runbook_factory.opening import actor_tags
from runbook_factory.project import Project
from runbook_factory.request import RunRequest
from runbook_factory.sealed_inputs import erase_inputs, seal_inputs, split_inputs
from runbook_service.identities.identity import Identity
from runbook_service.launcher import enqueue
from runbook_service.run_queue import REPLAY, run_queue

LOCATION, REPOSITORY = "runbooks", "__repository__"
MAX_KEY = 200

_OF_THE_JOB = frozenset({"runbook/id", "runbook/version", DIGEST_TAG, ".dagster/repository"})


class LaunchError(Exception):
    """A run that cannot be started as it was asked for; `code` is for programs."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An execution that somebody asks for. The same `key` of the same caller gives the same execution."""

    runbook: LoadedRunbook
    inputs: Mapping[str, Any] = field(default_factory=dict)
    deny: tuple[str, ...] = ()
    key: str | None = None

    @property
    def digest(self) -> bytes:
        """Names what is asked for: another request under the same key is refused.

        Keyed, as it is stored: nobody can try which sensitive input it was made with.
        """
        parts = {"runbook": self.runbook.id, "inputs": dict(self.inputs), "deny": list(self.deny)}
        key = deployment_key(self.runbook.project)
        return hmac.digest(key, json.dumps(parts, sort_keys=True).encode(), "sha256")


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The Dagster run that is to be."""

    id: str
    runbook: LoadedRunbook
    config: Mapping[str, Any]
    tags: Mapping[str, str]


def launch(context: WorkspaceRequestContext, wanted: Wanted, identity: Identity) -> str:
    """Starts the execution, or finds the one that was started under its key; gives its id.

    Raises `LaunchError`.
    """
    _check(wanted)
    execution_id = str(uuid4())
    if wanted.key is not None:
        known = _reserve(wanted, identity, execution_id)
        if known is not None:
            return known
    inputs, hidden = split_inputs(wanted.runbook, wanted.inputs)
    project = wanted.runbook.project
    # Not in the run config: Dagster stores and shows it.
    seal_inputs(engine(project), project, execution_id, hidden)
    run = _Run(
        id=execution_id,
        runbook=wanted.runbook,
        config=RunRequest(inputs=inputs, deny=wanted.deny).run_config(),
        tags={**actor_tags(identity.actor), "runbook/mode": "live"},
    )
    try:
        if not _launch_like_before(context, run):
            _launch(context, run)
    except UserFacingGraphQLError as error:
        erase_inputs(engine(project), execution_id)
        message = getattr(error.error, "message", None) or type(error.error).__name__
        raise LaunchError("not_launched", f"Dagster refused the run: {str(message)[:500]}") from None
    return execution_id


# Of each definition, by its digest, a run that was launched: the next one differs in little.
_launched: dict[str, DagsterRun] = {}
_reloading = Lock()


def _launch(context: WorkspaceRequestContext, wanted: _Run) -> None:
    """Dagster's whole way: it asks the code server for the plan, and stores that and the job."""
    context = _current(context, wanted.runbook)
    params = ExecutionParams(
        selector=JobSubsetSelector(
            location_name=LOCATION,
            repository_name=REPOSITORY,
            job_name=job_name(wanted.runbook.id),
            op_selection=None,
        ),
        run_config=wanted.config,
        mode=None,
        execution_metadata=ExecutionMetadata(run_id=wanted.id, tags=wanted.tags),
        step_keys=None,
    )
    asyncio.run(do_launch(SimpleNamespace(context=context), params))  # type: ignore[arg-type]
    run = context.instance.get_run_by_id(wanted.id)
    if run is not None and run.tags.get(DIGEST_TAG) == wanted.runbook.digest:
        _launched[wanted.runbook.digest] = run


def _current(context: WorkspaceRequestContext, runbook: LoadedRunbook) -> WorkspaceRequestContext:
    """A context in which Dagster has the runbook as it is now."""

    def is_current(it: WorkspaceRequestContext) -> bool:
        job = JobSelector(location_name=LOCATION, repository_name=REPOSITORY, job_name=job_name(runbook.id))
        return it.has_job(job) and it.get_full_job(job).tags.get(DIGEST_TAG) == runbook.digest

    process: Any = context.process_context
    if is_current(context):
        return context
    with _reloading:
        now: WorkspaceRequestContext = process.create_request_context(context.source)
        if not is_current(now):  # nobody was faster
            process.reload_code_location(LOCATION)
            now = process.create_request_context(context.source)
    return now


def _launch_like_before(context: WorkspaceRequestContext, wanted: _Run) -> bool:
    """Launches without asking anybody what is known from another run of the same definition.

    Gives False where there was none, or what it stored was deleted.
    """
    before = _launched.get(wanted.runbook.digest)
    if before is None:
        return False
    own = {name: value for name, value in before.tags.items() if name in _OF_THE_JOB}
    run = copy(
        before,
        run_id=wanted.id,
        run_config=wanted.config,
        tags={**own, **wanted.tags},
        status=DagsterRunStatus.QUEUED,
    )
    try:
        context.instance.run_storage.add_run(run)
    except DagsterRunAlreadyExists:  # what Dagster makes of any constraint
        del _launched[wanted.runbook.digest]
        return False
    enqueue(context.instance, run)
    return True


def _check(wanted: Wanted) -> None:
    """Raises `LaunchError` for what is known to be wrong before anything is started."""
    known = {item.id for item in wanted.runbook.runbook.assumptions}
    for name in wanted.deny:
        if name not in known:
            raise LaunchError("unknown_assumption", f"{wanted.runbook.id} has no assumption {name!r}")
    try:
        resolve_inputs(wanted.runbook, wanted.inputs)
    except InputError as error:
        raise LaunchError("bad_inputs", error.message, hint=error.hint) from None
    if wanted.key is not None and not (0 < len(wanted.key) <= MAX_KEY and wanted.key.isprintable()):
        raise LaunchError("bad_key", f"an idempotency key has 1 to {MAX_KEY} printable characters")


def _reserve(wanted: Wanted, identity: Identity, execution_id: str) -> str | None:
    """The execution that was started under this key before; None when there is none, and now is."""
    values = {
        "actor": identity.token_id,
        "key": wanted.key,
        "digest": wanted.digest,
        "id": execution_id,
    }
    with engine(wanted.runbook.project).connect() as connection:
        made = connection.execute(
            text(
                "INSERT INTO runbook.requests (actor_id, key, digest, execution_id)"
                " VALUES (:actor, :key, :digest, :id) ON CONFLICT DO NOTHING RETURNING 1"
            ),
            values,
        ).first()
        if made is not None:
            return None
        row = connection.execute(
            text("SELECT digest, execution_id FROM runbook.requests WHERE actor_id = :actor AND key = :key"),
            values,
        ).one()
    if bytes(row.digest) != wanted.digest:
        raise LaunchError(
            "key_used",
            "another request was made under this idempotency key",
            hint="a key stands for one request: take a new one",
        )
    return str(row.execution_id)


def launch_replay(
    project: Project, execution_id: str, identity: Identity, *, live: bool, allow_writes: bool
) -> str:
    """Lets a worker replay an execution; gives the replay's id."""
    replay_id = str(uuid4())
    run_queue(engine(project)).put(
        replay_id,
        task=REPLAY,
        execution=execution_id,
        live=live,
        allow_writes=allow_writes,
        actor=vars(identity.actor),
    )
    return replay_id
