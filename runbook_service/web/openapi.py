"""The OpenAPI document of the REST routes."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

Document = dict[str, Any]

_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_ERRORS = {
    "400": "the request cannot be read",
    "401": "there is no token, or it is refused",
    "403": "the role does not have the right",
    "404": "there is no such thing",
    "409": "it cannot be done as things stand",
    "413": "the request is too large",
    "415": "the body is not JSON",
    "422": "the request does not fit",
    "429": "too many refused requests, or refused tokens: wait as long as Retry-After says",
    "503": "the database cannot be reached",
}


def document(bodies: Mapping[str, type[BaseModel]]) -> Document:
    """The document; `bodies` are the models of request bodies, by name."""
    schemas: Document = {
        name: model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, model in bodies.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Runbook Engine", "version": version("runbook-engine")},
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**schemas, **_SCHEMAS},
        },
        "paths": {
            "/api/runbooks": {"get": _operation("listRunbooks", "Every runbook", "Runbooks")},
            "/api/runbooks/{id}": {"get": _operation("getRunbook", "One runbook", "Runbook", _ID)},
            "/api/runbooks/execute": {
                "post": _operation(
                    "executeRunbook",
                    "Execute a runbook: at its end 200 with all of it, else 202 with its id",
                    "Execution",
                    {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}},
                    {"name": "wait", "in": "query", "schema": {"type": "string", "enum": ["true", "false"]}},
                    body="Execute",
                    accepted=True,
                )
            },
            "/api/executions": {
                "get": _operation("listExecutions", "The newest executions", "Executions", *_FILTERS)
            },
            "/api/executions/{id}": {"get": _operation("getExecution", "One execution", "Execution", _ID)},
            "/api/executions/{id}/events": {
                "get": {
                    **_operation("followExecution", "Follow an execution to its end", None, _ID),
                    "responses": {
                        "200": {
                            "description": "an event each time that something has happened",
                            "content": {"text/event-stream": {"schema": {"type": "string"}}},
                        },
                        "404": {"description": _ERRORS["404"], "content": _content("Error")},
                        "403": {"description": _ERRORS["403"], "content": _content("Error")},
                        "401": {"description": _ERRORS["401"], "content": _content("Error")},
                        "429": {"description": _ERRORS["429"], "content": _content("Error")},
                    },
                }
            },
            "/api/executions/{id}/replay": {
                "post": _operation(
                    "replayExecution",
                    "Replay an execution",
                    "Execution",
                    _ID,
                    body="Replay",
                    accepted=True,
                )
            },
            "/api/executions/{id}/cancel": {
                "post": _operation("cancelExecution", "Cancel an execution", None, _ID, accepted=True)
            },
            "/api/executions/{id}/artifacts": {
                "get": _operation("listArtifacts", "The pictures of an execution", "Artifacts", _ID)
            },
        },
    }


_FILTERS = (
    {"name": "runbook_id", "in": "query", "schema": {"type": "string"}},
    {
        "name": "status",
        "in": "query",
        "schema": {"type": "string", "enum": ["running", "success", "failure", "aborted"]},
    },
    {
        "name": "mode",
        "in": "query",
        "schema": {"type": "array", "items": {"type": "string", "enum": ["live", "test", "replay"]}},
    },
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
)

_SCHEMAS: Document = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
            }
        },
    },
    "Started": {
        "type": "object",
        "required": ["id", "status"],
        "properties": {"id": {"type": "string"}, "status": {"const": "running"}},
    },
    "Runbook": {
        "type": "object",
        "required": ["id", "name", "version", "owner", "legal_basis", "steps"],
        "properties": {"id": {"type": "string"}, "steps": {"type": "array"}},
    },
    "Runbooks": {
        "type": "object",
        "required": ["runbooks"],
        "properties": {"runbooks": {"type": "array", "items": {"$ref": "#/components/schemas/Runbook"}}},
    },
    "Execution": {
        "type": "object",
        "required": ["id", "runbook_id", "status", "mode", "steps"],
        "properties": {
            "id": {"type": "string"},
            "runbook_id": {"type": "string"},
            "status": {"enum": ["running", "success", "failure", "aborted"]},
            "steps": {"type": "array"},
        },
    },
    "Executions": {
        "type": "object",
        "required": ["executions"],
        "properties": {"executions": {"type": "array", "items": {"$ref": "#/components/schemas/Execution"}}},
    },
    "Artifacts": {
        "type": "object",
        "required": ["artifacts"],
        "properties": {"artifacts": {"type": "array"}},
    },
}


def _operation(
    name: str,
    summary: str,
    answer: str | None,
    *parameters: Document,
    body: str = "",
    accepted: bool = False,
) -> Document:
    responses: Document = {
        status: {"description": why, "content": _content("Error")} for status, why in _ERRORS.items()
    }
    if answer is not None:
        responses["200"] = {"description": summary, "content": _content(answer)}
    if accepted:
        responses["202"] = {"description": "it has begun", "content": _content("Started")}
    operation: Document = {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": responses,
    }
    return operation | ({"requestBody": {"content": _content(body)}} if body else {})


def _content(schema: str) -> Document:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
