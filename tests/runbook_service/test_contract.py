"""What the service relies on of Dagster's webserver: private, and pinned for that reason."""

import inspect
from typing import Any

from dagster._core.workspace.context import (
    BaseWorkspaceRequestContext,
    WorkspaceProcessContext,
    WorkspaceRequestContext,
)
from dagster._core.workspace.permissions import LOCATION_SCOPED_PERMISSIONS, VIEWER_PERMISSIONS, Permissions
from dagster_graphql.implementation.execution.launch_execution import do_launch
from dagster_webserver.webserver import DagsterWebserver
from graphql import get_named_type, is_input_object_type

from runbook_service.web.graphql import build_schema
from runbook_service.web.guards import _MUTATIONS, _VALUES


def test_the_webserver_is_built_from_the_parts_that_are_replaced() -> None:
    for name in (
        "build_graphql_schema",
        "build_graphql_validation_rules",
        "build_middleware",
        "build_routes",
        "graphql_http_endpoint",
        "handle_graphql_errors",
        "request_context",
        "create_asgi_app",
    ):
        assert callable(getattr(DagsterWebserver, name)), name


def test_a_request_context_is_made_of_what_is_known() -> None:
    wanted = {"instance", "current_workspace", "process_context", "version", "source", "read_only"}
    assert wanted <= inspect.signature(WorkspaceRequestContext.__init__).parameters.keys()
    assert "source" in inspect.signature(WorkspaceProcessContext.create_request_context).parameters
    assert list(inspect.signature(do_launch).parameters)[:2] == ["graphene_info", "execution_params"]


def test_every_permission_of_dagsters_has_a_right() -> None:
    assert set(LOCATION_SCOPED_PERMISSIONS) <= set(VIEWER_PERMISSIONS) == set(Permissions)


def test_the_guarded_fields_are_there() -> None:
    schema = build_schema().graphql_schema
    assert schema.mutation_type is not None
    assert _MUTATIONS.keys() <= schema.mutation_type.fields.keys()
    for type_name, names in _VALUES.items():
        assert set(names) <= schema.type_map[type_name].fields.keys()  # type: ignore[attr-defined]


def test_every_mutation_that_can_state_tags_or_a_config_does_so_where_they_are_made_anew() -> None:
    schema = build_schema().graphql_schema
    assert schema.mutation_type is not None

    def states(kind: Any) -> bool:
        named = get_named_type(kind)
        if named.name in {"ExecutionTag", "RunConfigData"}:
            return True
        return is_input_object_type(named) and any(states(item.type) for item in named.fields.values())

    found = {
        (name, str(argument.type))
        for field in schema.mutation_type.fields.values()
        for name, argument in field.args.items()
        if states(argument.type)
    }
    assert found == {
        ("executionParams", "ExecutionParams!"),
        ("executionParams", "ExecutionParams"),
        ("executionParamsList", "[ExecutionParams!]!"),
        ("reexecutionParams", "ReexecutionParams"),
        ("backfillParams", "LaunchBackfillParams!"),
    }
    assert "get_viewer_tags" in vars(BaseWorkspaceRequestContext)  # who asks for a backfill


def test_the_specifications_types_are_in_the_schema() -> None:
    schema = build_schema().graphql_schema
    wanted = {
        "Runbook": {"id", "name", "version", "owner", "legalBasis", "steps"},
        "RunbookExecution": {"id", "runbookId", "status", "startedAt", "completedAt", "stepLogs", "kpis"},
        "ExecutionStatus": {"RUNNING", "SUCCESS", "FAILURE", "ABORTED"},
    }
    for name, fields in wanted.items():
        found = schema.type_map[name]
        have = getattr(found, "fields", None) or getattr(found, "values", None)
        assert fields <= have.keys()
    assert str(schema.query_type.fields["runbook"].type) == "Runbook"  # type: ignore[union-attr]
    assert str(schema.mutation_type.fields["executeRunbook"].type) == "RunbookExecution!"  # type: ignore[union-attr]
