"""What GraphQL lets through: by role, by runbook, and no more than a server can bear."""

from collections.abc import Callable, Mapping
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
            if name not in _OUR_MUTATIONS:
                field.resolve = _guarded_mutation(name, field.resolve)
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
            raise GraphQLError(f"the role {identity.role} does not have the right {right}")
        if identity.is_limited:
            message = "a token that is limited to some runbooks starts and stops them by executeRunbook"
            raise GraphQLError(f"{message}, replayExecution and cancelExecution")
        return resolve(root, info, **arguments)

    return guarded


def _guarded_query(resolve: Any) -> Callable[..., Any]:
    def guarded(root: Any, info: Any, **arguments: Any) -> Any:
        if _identity(info).is_limited:
            raise GraphQLError("a token that is limited to some runbooks has only the runbook queries")
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
