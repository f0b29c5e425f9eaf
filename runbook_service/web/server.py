"""Dagster's web server with our schema, routes and door.

The only module that extends Dagster's webserver; a contract test holds it to what it relies on.
"""

import json
import logging
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from uuid import uuid4

from dagster_webserver.webserver import DagsterWebserver
from graphene import Schema
from graphql import ASTValidationRule, GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from runbook_factory.audit.log import append
from runbook_service.executions import NotFound
from runbook_service.launching import LaunchError
from runbook_service.service import Forbidden, Service
from runbook_service.web.context import RunbookProcessContext, RunbookRequestContext
from runbook_service.web.door import Door, error
from runbook_service.web.graphql import build_schema
from runbook_service.web.guards import Bounded, guard
from runbook_service.web.health import Latency, health_routes
from runbook_service.web.refusals import Refusals
from runbook_service.web.rest import rest_routes
from runbook_service.web.signin import signin_routes

MAX_TOKENS = 20_000  # of a GraphQL document
_TOLD = (NotFound, Forbidden, LaunchError)
_log = logging.getLogger("runbook.service")


class RunbookWebserver(DagsterWebserver[RunbookProcessContext, RunbookRequestContext]):
    """The web server of the service."""

    def __init__(self, context: RunbookProcessContext, service: Service) -> None:
        self._service = service
        self._latency = Latency()
        super().__init__(context)

    def build_graphql_schema(self) -> Schema:
        """Dagster's schema with ours, guarded."""
        schema = build_schema()
        guard(schema.graphql_schema)
        return schema

    def build_graphql_validation_rules(self) -> Collection[type[ASTValidationRule]]:
        """The standard rules and our bounds."""
        return [*super().build_graphql_validation_rules(), Bounded]

    def build_middleware(self) -> list[Middleware]:
        """The door stands before everything."""
        refusals = Refusals(partial(append, self._service.engine))
        door = Middleware(Door, engine=self._service.engine, refusals=refusals)
        return [Middleware(_Timed, latency=self._latency), door, *super().build_middleware()]

    def build_routes(self) -> list[BaseRoute]:
        """Ours come before Dagster's, whose last one takes everything."""
        ours = [
            *health_routes(self._service.engine, self._latency),
            *signin_routes(self._service.engine),
            *rest_routes(self._service, self._context),
        ]
        self._latency.routes = ours
        return [*ours, *super().build_routes()]

    def _context(self, connection: HTTPConnection) -> AbstractContextManager[RunbookRequestContext]:
        context: AbstractContextManager[RunbookRequestContext] = self.request_context(connection)
        return context

    async def graphql_http_endpoint(self, request: Request) -> Response:
        """GraphQL over HTTP: a GET only reads, and a document is bounded before it is looked at."""
        refused = await _refused_document(request)
        if refused is not None:
            return refused
        answer: Response = await super().graphql_http_endpoint(request)
        return answer

    def handle_graphql_errors(self, errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
        """Errors without stack traces: what is not ours to tell is in the log, under a number."""
        return [_formatted(item) for item in errors]


def _formatted(problem: GraphQLError) -> dict[str, Any]:
    told = dict(problem.formatted)
    cause = problem.original_error
    if cause is None or isinstance(cause, GraphQLError):
        return told
    if isinstance(cause, _TOLD):
        told["message"] = cause.message
        told["extensions"] = {"code": getattr(cause, "code", type(cause).__name__.lower())}
        return told
    number = uuid4().hex[:8]
    _log.error("GraphQL error %s", number, exc_info=cause)
    told["message"] = f"an internal error, which the server's log has as {number}"
    return told


async def _refused_document(request: Request) -> Response | None:
    """Why the request is refused, or None."""
    if request.method == "GET":
        query: Any = request.query_params.get("query")
        if query is None:
            return None  # the page to try queries in
    else:
        kind = request.headers.get("content-type", "")
        if "application/json" not in kind and "application/graphql" not in kind:
            return error(415, "bad_request", "send Content-Type: application/json")
        body = await request.body()
        try:
            data = json.loads(body) if "application/json" in kind else {"query": body.decode()}
        except (ValueError, RecursionError):
            return error(400, "bad_request", "the body is not JSON")
        if not isinstance(data, dict):
            return error(400, "bad_request", "one operation at a time: the body is a JSON object")
        query = data.get("query")
        variables = data.get("variables")
        if not isinstance(variables, dict | str | None):
            return error(400, "bad_request", "`variables` is an object")
    if not isinstance(query, str):
        return error(400, "bad_request", "`query` is a text")
    try:
        parsed = parse(query, max_tokens=MAX_TOKENS)
    except (GraphQLError, RecursionError) as wrong:
        return error(400, "bad_request", f"the document cannot be read: {str(wrong)[:200]}")
    kinds = {item.operation for item in parsed.definitions if isinstance(item, OperationDefinitionNode)}
    if request.method == "GET" and kinds - {OperationType.QUERY}:
        return error(
            405, "bad_request", "a GET only reads: send mutations by POST", headers={"Allow": "POST"}
        )
    return None


class _Timed:
    def __init__(self, app: Any, latency: Latency) -> None:
        self._app = latency.wrap(app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)
