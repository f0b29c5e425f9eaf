"""The GraphQL schema of the demo, and how a request to it is answered."""

import json
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from demo.entities import Entity, enrich

SCHEMA = build_schema(
    """
    "What is known about an entity, as version 2 of the entity schema has it."
    input EntityInput {
      id: ID!
      type: EntityType!
      name: String!
      country: String!
      confidence: Float!
      first_seen: String!
      classification: String!
    }

    enum EntityType { person organization location vehicle }
    enum Risk { low medium high }

    type EnrichedEntity {
      id: ID!
      name: String!
      type: EntityType!
      region: String!
      risk: Risk!
      "Threat times confidence, 0 to 1."
      risk_score: Float!
      "Days from the first sighting to the day the graph was built."
      days_known: Int!
      linked_ids: [ID!]!
    }

    type Query {
      "What the graph knows about each entity, in the order given. Changes nothing."
      enrichEntities(entities: [EntityInput!]!): [EnrichedEntity!]!
    }
    """
)


class BadRequestError(Exception):
    """A body that is no GraphQL request at all."""


def execute(body: bytes) -> dict[str, Any]:
    """The GraphQL response to the request in `body`: `data`, and `errors` if there were any."""
    request = _parse(body)
    query, errors = _query(request["query"])
    if query is None or errors:
        return dict(ExecutionResult(data=None, errors=list(errors)).formatted)
    result = execute_sync(
        SCHEMA,
        query,
        root_value={"enrichEntities": _enrich_all},
        variable_values=request.get("variables"),
        operation_name=request.get("operationName"),
    )
    return dict(result.formatted)


@lru_cache(maxsize=100)  # as real servers do: to read and check a query takes longer than to answer it
def _query(text: str) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
    try:
        document = parse(text)
    except GraphQLError as error:
        return None, (error,)
    return document, tuple(validate(SCHEMA, document))


def _enrich_all(_info: object, *, entities: list[Entity]) -> list[Entity]:
    return [enrich(entity) for entity in entities]


def _parse(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(request, dict) or not isinstance(request.get("query"), str):
        raise BadRequestError('the body must be a JSON object with a text "query"')
    if not isinstance(request.get("variables"), dict | None):
        raise BadRequestError('"variables" must be a JSON object')
    if not isinstance(request.get("operationName"), str | None):
        raise BadRequestError('"operationName" must be text')
    return request
