"""What GraphQL lets through: by role, by runbook, and no more than a server can bear."""

from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

from runbook_service.identities.identity import Identity
from runbook_service.identities.roles import Right
from runbook_service.service import Forbidden
from runbook_service.web.launches import DishonestRun, in_their_name
from runbook_service.web.refusals import watched

MAX_DEPTH = 40  # Dagster's own pages ask up to some twenty levels deep
MAX_FIELDS = 5_000

_OURS = frozenset({"runbook", "runbooks", "runbookExecution", "runbookExecutions", "__typename", "__schema"})
_OUR_MUTATIONS = frozenset({"executeRunbook", "replayExecution", "cancelExecution"})

# Dagster's mutations that a role below admin may use, with the right each takes. All others are refused.
_MUTATIONS = {
    "launchRun": Right.RUN,
    "launchPipelineExecution": Right.RUN,
    "launchRunReexecution": Right.RUN,
    "launchPipelineReexecution": Right.RUN,
    "terminateRun": Right.CANCEL,
    "terminateRuns": Right.CANCEL,
    "terminatePipelineExecution": Right.CANCEL,
    "logTelemetry": Right.VIEW,
    "setNuxSeen": Right.VIEW,
}

# Fields that show what a run was given, or a stack trace, by type.
_VALUES = {
    "Run": ("runConfig", "runConfigYaml"),
    "PythonError": ("stack",),
}


def guard(schema: GraphQLSchema) -> GraphQLSchema:
    """Puts guards before the fields that need one; no other field pays for it."""
    if schema.mutation_type is not None:
        for name, field in schema.mutation_type.fields.items():
            ours = name in _OUR_MUTATIONS
            field.resolve = _noted(field.resolve) if ours else _guarded_mutation(name, field.resolve)
    if schema.query_type is not None:
        for name, field in schema.query_type.fields.items():
            if name not in _OURS:
                field.resolve = _guarded_query(field.resolve)
    for type_name, names in _VALUES.items():
        fields: Mapping[str, Any] = schema.type_map[type_name].fields  # type: ignore[attr-defined]
        for name in names:
            fields[name].resolve = _values_only(fields[name].resolve, [] if name == "stack" else "")
    return schema


def _identity(info: Any) -> Identity:
    identity: Identity = info.context.identity
    return identity


def _guarded_mutation(name: str, resolve: Any) -> Callable[..., Any]:
    right = _MUTATIONS.get(name, Right.MANAGE)

    def guarded(root: Any, info: Any, **arguments: Any) -> Any:
        identity = _identity(info)
        if not identity.has(right):
            raise _refused(info, f"the role {identity.role} does not have the right {right}")
        if identity.is_limited:
            message = "a token that is limited to some runbooks starts and stops them by executeRunbook"
            raise _refused(info, f"{message}, replayExecution and cancelExecution")
        try:
            told = in_their_name(arguments, info.context)
        except DishonestRun as wrong:
            raise _refused(info, wrong.message) from None
        return resolve(root, info, **told)

    return guarded


def _noted(resolve: Any) -> Callable[..., Any]:
    """The resolver of ours, which asks for the right itself; what it refuses is noted."""

    async def awaited(answer: Awaitable[Any], info: Any) -> Any:
        try:
            return await answer
        except Forbidden as refused:
            watched(info.context.source).refused(refused.message)
            raise

    def noted(root: Any, info: Any, **arguments: Any) -> Any:
        try:
            answer = resolve(root, info, **arguments)
        except Forbidden as refused:
            watched(info.context.source).refused(refused.message)
            raise
        return awaited(answer, info) if isawaitable(answer) else answer

    return noted


def _refused(info: Any, message: str) -> GraphQLError:
    """The error, once it is noted: requests are resolved in threads of their own, which may wait for that."""
    watched(info.context.source).refused(message)
    return GraphQLError(message)


def _guarded_query(resolve: Any) -> Callable[..., Any]:
    def guarded(root: Any, info: Any, **arguments: Any) -> Any:
        if _identity(info).is_limited:
            raise _refused(info, "a token that is limited to some runbooks has only the runbook queries")
        return resolve(root, info, **arguments)

    return guarded


def _values_only(resolve: Any, instead: Any) -> Callable[..., Any]:
    def guarded(root: Any, info: Any, **arguments: Any) -> Any:
        if not _identity(info).has(Right.READ_VALUES):
            return instead
        return resolve(root, info, **arguments)

    return guarded


class Bounded(ValidationRule):
    """Refuses a document that nests too deeply or asks for too many fields, fragments written out."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._fields = 0
        for definition in context.document.definitions:
            selections = getattr(definition, "selection_set", None)
            if selections is not None and not isinstance(definition, FragmentDefinitionNode):
                self._walk(selections)

    def _walk(self, selections: SelectionSetNode) -> None:
        waiting: list[tuple[SelectionSetNode, int, frozenset[str]]] = [(selections, 1, frozenset())]
        while waiting:
            current, depth, within = waiting.pop()
            if depth > MAX_DEPTH:
                self.report_error(GraphQLError(f"the query is more than {MAX_DEPTH} levels deep"))
                return
            for selection in current.selections:
                self._fields += 1
                if self._fields > MAX_FIELDS:
                    self.report_error(GraphQLError(f"the query asks for more than {MAX_FIELDS:,} fields"))
                    return
                match selection:
                    case FieldNode() | InlineFragmentNode():
                        if selection.selection_set is not None:
                            waiting.append((selection.selection_set, depth + 1, within))
                    case FragmentSpreadNode():
                        name = selection.name.value
                        fragment = self.context.get_fragment(name)
                        if fragment is not None and name not in within:
                            waiting.append((fragment.selection_set, depth, within | {name}))
