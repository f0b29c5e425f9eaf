"""The runbook types and operations, in Dagster's own GraphQL schema."""

from collections.abc import AsyncIterator
from typing import Any

import graphene
from dagster_graphql.schema import types as dagster_types
from dagster_graphql.schema.roots.mutation import GrapheneMutation
from dagster_graphql.schema.roots.query import GrapheneQuery
from dagster_graphql.schema.roots.subscription import GrapheneSubscription
from graphene.types.generic import GenericScalar

from runbook_defs.execution import Status
from runbook_factory.catalog import LoadedRunbook
from runbook_service.identities.identity import Identity
from runbook_service.service import MOST_LISTED, Service


class JSON(GenericScalar):
    """Any JSON value."""


ExecutionStatus = graphene.Enum("ExecutionStatus", [(item.name, item.value) for item in Status])


class RunbookStep(graphene.ObjectType):
    """One step of a runbook."""

    id = graphene.ID(required=True)
    type = graphene.String(required=True)
    description = graphene.String(required=True)
    depends_on = graphene.List(graphene.NonNull(graphene.ID), required=True)


class Runbook(graphene.ObjectType):
    """A runbook."""

    id = graphene.ID(required=True)
    name = graphene.String(required=True)
    version = graphene.String(required=True)
    owner = graphene.String(required=True)
    legal_basis = graphene.String()
    description = graphene.String(required=True)
    steps = graphene.List(graphene.NonNull(RunbookStep), required=True)


class StepLog(graphene.ObjectType):
    """One attempt of one step. What it was given and gave is null for those who may not read values."""

    step_id = graphene.ID(required=True)
    type = graphene.String(required=True)
    attempt = graphene.Int(required=True)
    status = graphene.String(required=True)
    started_at = graphene.DateTime()
    completed_at = graphene.DateTime()
    seconds = graphene.Float()
    summary = graphene.String(required=True)
    inputs = JSON()
    outputs = JSON()
    errors = JSON()


class RunbookExecution(graphene.ObjectType):
    """One execution of a runbook."""

    id = graphene.ID(required=True)
    name = graphene.String()
    runbook_id = graphene.ID(required=True)
    status = ExecutionStatus(required=True)
    mode = graphene.String(required=True)
    reason = graphene.String(required=True)
    started_at = graphene.DateTime()
    completed_at = graphene.DateTime()
    duration_seconds = graphene.Float()
    actor = graphene.String()
    parent_id = graphene.ID()
    step_logs = graphene.List(graphene.NonNull(StepLog), required=True)
    kpis = JSON()
    inputs = JSON()
    replay = JSON()


class RunbookProgress(graphene.ObjectType):
    """How an execution stands, each time that something has happened to it."""

    execution = graphene.Field(RunbookExecution, required=True)


def _service(info: Any) -> tuple[Service, Identity]:
    context = info.context
    return context.process_context.service, context.identity


class Query(GrapheneQuery):
    """Dagster's queries and those for runbooks."""

    class Meta:
        """As Dagster calls it."""

        name = "Query"

    runbook = graphene.Field(Runbook, id=graphene.ID(required=True))
    runbooks = graphene.List(graphene.NonNull(Runbook), required=True)
    runbook_execution = graphene.Field(RunbookExecution, id=graphene.ID(required=True))
    runbook_executions = graphene.List(
        graphene.NonNull(RunbookExecution),
        required=True,
        runbook_id=graphene.ID(),
        status=ExecutionStatus(),
        modes=graphene.List(graphene.NonNull(graphene.String)),
        first=graphene.Int(),
    )

    def resolve_runbook(self, info: Any, id: str) -> Runbook:  # noqa: A002 - the specification's word
        """One runbook."""
        service, identity = _service(info)
        return _runbook(service.runbook(id, identity))

    def resolve_runbooks(self, info: Any) -> list[Runbook]:
        """Every runbook that is theirs."""
        service, identity = _service(info)
        return [_runbook(item) for item in service.runbooks(identity)]

    def resolve_runbook_execution(self, info: Any, id: str) -> RunbookExecution:  # noqa: A002
        """One execution."""
        service, identity = _service(info)
        return _execution(service.execution(id, identity))

    def resolve_runbook_executions(
        self,
        info: Any,
        runbook_id: str | None = None,
        status: Any = None,
        modes: list[str] | None = None,
        first: int = 20,
    ) -> list[RunbookExecution]:
        """The newest executions."""
        service, identity = _service(info)
        found = service.executions(
            identity,
            runbook_id=runbook_id,
            status=Status(getattr(status, "value", status)) if status else None,
            modes=tuple(modes or ("live",)),
            limit=max(1, min(first, MOST_LISTED)),
        )
        return [_execution(item) for item in found]


class ExecuteRunbook(graphene.Mutation):
    """Starts an execution."""

    class Arguments:
        """What it takes."""

        id = graphene.ID(required=True)
        inputs = JSON()
        deny = graphene.List(graphene.NonNull(graphene.String))
        idempotency_key = graphene.String()

    Output = graphene.NonNull(RunbookExecution)

    async def mutate(
        self,
        info: Any,
        id: str,  # noqa: A002
        inputs: dict[str, Any] | None = None,
        deny: list[str] | None = None,
        idempotency_key: str | None = None,
    ) -> RunbookExecution:
        """The execution, which has just begun."""
        from starlette.concurrency import run_in_threadpool

        service, identity = _service(info)
        execution_id = await run_in_threadpool(
            service.execute,
            info.context,
            id,
            identity,
            inputs=inputs or {},
            deny=tuple(deny or ()),
            key=idempotency_key,
        )
        return _execution(service.execution(execution_id, identity))


class ReplayExecution(graphene.Mutation):
    """Starts the replay of an execution."""

    class Arguments:
        """What it takes."""

        execution_id = graphene.ID(required=True)
        live = graphene.Boolean()
        allow_writes = graphene.Boolean()

    Output = graphene.NonNull(RunbookExecution)

    def mutate(
        self,
        info: Any,
        execution_id: str,
        live: bool = False,
        allow_writes: bool = False,
    ) -> RunbookExecution:
        """The replay, which is about to begin."""
        service, identity = _service(info)
        replay = service.replay(execution_id, identity, live=live, allow_writes=allow_writes)
        original = service.execution(execution_id, identity)
        return RunbookExecution(
            id=replay,
            runbook_id=original["runbook_id"],
            status=Status.RUNNING.value,
            mode="replay",
            reason="",
            parent_id=original["id"],
            step_logs=[],
        )


class CancelExecution(graphene.Mutation):
    """Tells a running execution to stop."""

    class Arguments:
        """What it takes."""

        execution_id = graphene.ID(required=True)

    Output = graphene.NonNull(RunbookExecution)

    def mutate(self, info: Any, execution_id: str) -> RunbookExecution:
        """The execution, which will end as aborted."""
        service, identity = _service(info)
        return _execution(service.execution(service.cancel(execution_id, identity), identity))


class Mutation(GrapheneMutation):
    """Dagster's mutations and those for runbooks."""

    class Meta:
        """As Dagster calls it."""

        name = "Mutation"

    execute_runbook = ExecuteRunbook.Field()
    replay_execution = ReplayExecution.Field()
    cancel_execution = CancelExecution.Field()


class Subscription(GrapheneSubscription):
    """Dagster's subscriptions and the progress of an execution."""

    class Meta:
        """As Dagster calls it."""

        name = "Subscription"

    runbook_progress = graphene.Field(RunbookProgress, execution_id=graphene.ID(required=True), required=True)

    async def subscribe_runbook_progress(
        self,
        info: Any,
        execution_id: str,
    ) -> AsyncIterator[RunbookProgress]:
        """A message each time that something has happened, the last when it has ended."""
        service, identity = _service(info)
        async for found in service.wait(execution_id, identity):
            yield RunbookProgress(execution=_execution(found))


def build_schema() -> graphene.Schema:
    """Dagster's schema with ours in it."""
    return graphene.Schema(query=Query, mutation=Mutation, subscription=Subscription, types=dagster_types())


def _runbook(runbook: LoadedRunbook) -> Runbook:
    model = runbook.runbook
    return Runbook(
        id=model.id,
        name=model.name,
        version=model.version,
        owner=model.owner,
        legal_basis=model.legal_basis,
        description=model.description,
        steps=[
            RunbookStep(id=step.id, type=step.type, description=step.description, depends_on=step.depends_on)
            for step in model.steps
        ],
    )


def _execution(found: dict[str, Any]) -> RunbookExecution:
    return RunbookExecution(
        id=found["id"],
        name=found.get("name"),
        runbook_id=found["runbook_id"],
        status=found["status"],
        mode=found["mode"],
        reason=found["reason"],
        started_at=_moment(found.get("started_at")),
        completed_at=_moment(found.get("completed_at")),
        duration_seconds=found.get("duration_seconds"),
        actor=found.get("actor"),
        parent_id=found.get("parent_id"),
        step_logs=[_step(step) for step in found["steps"]],
        kpis=found.get("kpis"),
        inputs=found.get("inputs"),
        replay=found.get("replay"),
    )


def _step(step: dict[str, Any]) -> StepLog:
    return StepLog(
        step_id=step["step"],
        type=step["type"],
        attempt=step["attempt"],
        status=step["status"],
        started_at=_moment(step["started_at"]),
        completed_at=_moment(step["completed_at"]),
        seconds=step["seconds"],
        summary=step["summary"],
        inputs=step.get("inputs"),
        outputs=step.get("outputs"),
        errors=step.get("errors"),
    )


def _moment(text: str | None) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text) if text else None
