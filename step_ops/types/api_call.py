"""`api_call`: a GraphQL operation from a file, or a REST call."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, model_validator

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest
from step_ops.http_steps import authorized, expect_success
from step_ops.step_type import (
    Effect,
    FileName,
    Headers,
    Result,
    SecretText,
    StepConfig,
    StepType,
    Text,
)

if TYPE_CHECKING:
    from step_ops.gate import Gate


class Config(StepConfig):
    """Inputs of `api_call`; with a `query`, all others are the variables of the operation."""

    model_config = ConfigDict(extra="allow", frozen=True)

    endpoint: Text
    query: FileName | None = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    body: Any = None
    params: dict[str, Any] = {}
    auth_token: SecretText = None
    headers: Headers = {}
    connection: Text = "api"

    @model_validator(mode="after")
    def _one_kind(self) -> "Config":
        if self.query is not None and (self.method is not None or self.body is not None):
            raise ValueError("`query` makes a GraphQL call, `method` and `body` a REST call: keep one")
        if self.query is None and self.model_extra:
            names = ", ".join(repr(name) for name in self.model_extra)
            raise ValueError(f"without a `query` there are no variables, but there is {names}")
        return self


def run(config: Config, gate: "Gate") -> Result:
    """The parsed body; GraphQL `errors` are a failure."""
    if config.query is None:
        return _rest(config, gate)
    text = (
        gate.file(config.query).decode("utf-8", errors="replace") if _is_file(config.query) else config.query
    )
    request = _request(config, method="POST", body={"query": text, "variables": config.model_extra or {}})
    response = gate.http(request)
    # GraphQL servers put the reason into the body, also under an error status.
    answer = response.json() if response.status < 300 or _is_json(response.headers) else None
    if isinstance(answer, dict) and answer.get("errors"):
        raise _graphql_error(answer["errors"], gate)
    expect_success(request, response)
    return Result(value=answer)


def _rest(config: Config, gate: "Gate") -> Result:
    request = _request(config, method=config.method or "GET", body=config.body)
    response = expect_success(request, gate.http(request))
    return Result(value=response.json() if response.body else None)


def _request(config: Config, *, method: str, body: Any) -> HttpRequest:
    return HttpRequest(
        method=method,
        url=config.endpoint,
        connection=config.connection,
        headers=authorized(config.headers, config.auth_token),
        params=config.params,
        json=body,
    )


def _is_file(query: str) -> bool:
    return query.endswith((".graphql", ".gql"))


def _is_json(headers: Mapping[str, str]) -> bool:
    return "json" in headers.get("content-type", "")


def _graphql_error(errors: Any, gate: "Gate") -> StepError:
    first = errors[0] if isinstance(errors, list) and errors else errors
    message = first.get("message", "no message") if isinstance(first, dict) else str(first)
    count = len(errors) if isinstance(errors, list) else 1
    more = f" (and {count - 1} more)" if count > 1 else ""
    return StepError(
        ErrorType.GRAPHQL, f"the GraphQL server answered: {gate.masked(str(message))[:300]}{more}"
    )


def effect(inputs: Mapping[str, Any], query_text: str) -> Effect:
    """A write, unless it is a GET or a GraphQL query."""
    if query_text:
        return Effect.READ if is_query(query_text) else Effect.WRITE
    return Effect.READ if inputs.get("method", "GET") == "GET" else Effect.WRITE


def is_query(text: str) -> bool:
    """Whether every operation in a GraphQL document is a query."""
    from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

    try:
        document = parse(text, max_tokens=10_000)
    except (GraphQLError, RecursionError):
        return False
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    return all(node.operation is OperationType.QUERY for node in operations)


def summary(result: Result, outputs: Mapping[str, Any]) -> str:
    """Such as `195 enriched`."""
    counts = [f"{len(value)} {name}" for name, value in outputs.items() if isinstance(value, list)]
    return ", ".join(counts) or "answered"


STEP = StepType(name="api_call", config=Config, run=run, effect=effect, summary=summary)
