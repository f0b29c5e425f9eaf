"""The REST routes: for other services, k6 and curl."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from mimetypes import guess_type
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from runbook_defs.execution import Status
from runbook_service.executions import RUNNING, NotFound, runbook_data
from runbook_service.identities.identity import Identity
from runbook_service.identities.roles import Right
from runbook_service.launching import LaunchError
from runbook_service.pictures import list_artifacts, read_artifact
from runbook_service.service import MOST_LISTED, Forbidden, Service
from runbook_service.web.context import identity_of
from runbook_service.web.door import error
from runbook_service.web.openapi import document
from runbook_service.web.refusals import watched

MAX_WAIT = 300.0
_STATUSES = {
    "bad_inputs": 422,
    "bad_request": 422,
    "bad_key": 422,
    "unknown_assumption": 422,
    "key_used": 409,
    "not_running": 409,
    "not_replayable": 409,
    "not_cancelled": 409,
    "invalid_runbook": 409,
    "not_launched": 500,
}

MakeContext = Callable[[Request], Any]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Execute(_Body):
    """A request to execute a runbook. With `wait`, the answer comes at its end, or after `wait_seconds`."""

    runbook_id: Annotated[str, Field(max_length=200)]
    inputs: dict[str, Any] = {}
    deny: list[str] = []
    wait: bool = True
    wait_seconds: Annotated[float, Field(gt=0, le=MAX_WAIT)] = 60.0


class Replay(_Body):
    """A request to replay an execution."""

    live: bool = False
    allow_writes: bool = False
    wait: bool = True
    wait_seconds: Annotated[float, Field(gt=0, le=MAX_WAIT)] = 60.0


Body = TypeVar("Body", Execute, Replay)


def rest_routes(service: Service, context: MakeContext) -> list[Route]:
    """Every route below /api."""
    api = _Api(service, context)
    return [
        Route("/api/openapi.json", api.openapi, methods=["GET"]),
        Route("/api/runbooks", _told(api.runbooks), methods=["GET"]),
        Route("/api/runbooks/execute", _told(api.execute), methods=["POST"]),
        Route("/api/runbooks/{id}", _told(api.runbook), methods=["GET"]),
        Route("/api/executions", _told(api.executions), methods=["GET"]),
        Route("/api/executions/{id}", _told(api.execution), methods=["GET"]),
        Route("/api/executions/{id}/events", _told(api.events), methods=["GET"]),
        Route("/api/executions/{id}/replay", _told(api.replay), methods=["POST"]),
        Route("/api/executions/{id}/cancel", _told(api.cancel), methods=["POST"]),
        Route("/api/executions/{id}/artifacts", _told(api.artifacts), methods=["GET"]),
        Route("/api/executions/{id}/artifacts/{name:path}", _told(api.artifact), methods=["GET"]),
        Route("/api/{path:path}", _no_such_route, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


async def _no_such_route(request: Request) -> Response:
    return error(404, "not_found", f"there is no route {request.method} {request.url.path}")


def _told(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Every error of ours as its status and a sentence."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except NotFound as missing:
            return error(404, "not_found", missing.message, hint=missing.hint)
        except Forbidden as refused:
            await run_in_threadpool(watched(request).refused, refused.message)
            return error(403, "forbidden", refused.message)
        except LaunchError as wrong:
            return error(_STATUSES[wrong.code], wrong.code, wrong.message, hint=wrong.hint)
        except _BadBody as wrong:
            return error(wrong.status, "bad_request", str(wrong))

    return answer


class _BadBody(Exception):
    def __init__(self, message: str, *, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


class _Api:
    def __init__(self, service: Service, context: MakeContext) -> None:
        self._service, self._context = service, context

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(document({"Execute": Execute, "Replay": Replay}))

    async def runbooks(self, request: Request) -> Response:
        found = await run_in_threadpool(self._service.runbooks, identity_of(request))
        return JSONResponse({"runbooks": [runbook_data(runbook) for runbook in found]})

    async def runbook(self, request: Request) -> Response:
        found = await run_in_threadpool(
            self._service.runbook, request.path_params["id"], identity_of(request)
        )
        return JSONResponse(runbook_data(found))

    async def execute(self, request: Request) -> Response:
        body = await _body(request, Execute)
        identity = identity_of(request)

        def start() -> str:
            with self._context(request) as context:
                return self._service.execute(
                    context,
                    body.runbook_id,
                    identity,
                    inputs=body.inputs,
                    deny=tuple(body.deny),
                    key=request.headers.get("idempotency-key"),
                )

        execution_id = await run_in_threadpool(start)
        # Under a key it may be one that has ended long ago.
        is_new = "idempotency-key" not in request.headers
        return await self._ended(request, execution_id, identity, body, is_new=is_new)

    async def replay(self, request: Request) -> Response:
        body = await _body(request, Replay)
        identity = identity_of(request)
        replay_id = await run_in_threadpool(
            self._service.replay,
            request.path_params["id"],
            identity,
            live=body.live,
            allow_writes=body.allow_writes,
        )
        return await self._ended(request, replay_id, identity, body, is_new=True)

    async def _ended(
        self,
        request: Request,
        execution_id: str,
        identity: Identity,
        body: Execute | Replay,
        *,
        is_new: bool,
    ) -> Response:
        """The execution at its end; where that is not waited for, or takes too long, 202 and its id."""
        wait = body.wait and request.query_params.get("wait") != "false"
        started = {"id": execution_id, "status": RUNNING}
        if wait:
            try:
                async with asyncio.timeout(body.wait_seconds):
                    changes = self._service.progress.changes(execution_id, ends=True, is_new=is_new)
                    async for _ in changes:
                        found = await run_in_threadpool(self._service.ended, execution_id, identity)
                        if found is not None:
                            return JSONResponse(found)
                        if await request.is_disconnected():
                            break  # nobody listens any more: the execution goes on
            except TimeoutError:
                pass
        place = {"Location": f"/api/executions/{execution_id}"}
        return JSONResponse(started, status_code=202, headers=place)

    async def executions(self, request: Request) -> Response:
        asked = request.query_params
        unknown = set(asked) - {"runbook_id", "status", "mode", "limit"}
        if unknown:
            raise _BadBody(f"there is no parameter {sorted(unknown)[0]!r}")
        try:
            status = Status(asked["status"]) if "status" in asked else None
            limit = int(asked.get("limit", "20"))
        except ValueError:
            raise _BadBody("status is one of running, success, failure, aborted; limit is a number") from None
        if not 1 <= limit <= MOST_LISTED:
            raise _BadBody(f"limit is from 1 to {MOST_LISTED}")
        found = await run_in_threadpool(
            self._service.executions,
            identity_of(request),
            runbook_id=asked.get("runbook_id"),
            status=status,
            modes=tuple(asked.getlist("mode")) or ("live",),
            limit=limit,
        )
        return JSONResponse({"executions": found})

    async def execution(self, request: Request) -> Response:
        found = await run_in_threadpool(
            self._service.execution, request.path_params["id"], identity_of(request)
        )
        return JSONResponse(found)

    async def events(self, request: Request) -> Response:
        """The execution each time that something has happened to it, as server-sent events."""
        identity = identity_of(request)
        found = await run_in_threadpool(self._service.execution, request.path_params["id"], identity)

        async def told() -> AsyncIterator[str]:
            async for state in self._service.wait(found["id"], identity):
                yield f"data: {json.dumps(state)}\n\n"

        return StreamingResponse(told(), media_type="text/event-stream")

    async def cancel(self, request: Request) -> Response:
        found = await run_in_threadpool(self._service.cancel, request.path_params["id"], identity_of(request))
        return JSONResponse({"id": found, "status": RUNNING, "cancelling": True}, status_code=202)

    async def artifacts(self, request: Request) -> Response:
        execution_id = await self._readable(request)
        found = await run_in_threadpool(
            list_artifacts, self._service.project, self._service.engine, execution_id
        )
        return JSONResponse({"artifacts": [artifact.as_json() for artifact in found]})

    async def artifact(self, request: Request) -> Response:
        execution_id, name = await self._readable(request), request.path_params["name"]
        service = self._service
        data = await run_in_threadpool(read_artifact, service.project, service.engine, execution_id, name)
        if data is None:
            raise NotFound(f"there is no artifact {name!r}")
        kind, _ = guess_type(name)
        headers = {"X-Content-Type-Options": "nosniff"}
        return Response(data, media_type=kind or "application/octet-stream", headers=headers)

    async def _readable(self, request: Request) -> str:
        """The id of the execution, when they may see what it left."""
        identity = identity_of(request)
        found = await run_in_threadpool(self._service.execution, request.path_params["id"], identity)
        if not identity.has(Right.READ_VALUES):
            raise Forbidden(Right.READ_VALUES, identity)
        return str(found["id"])


async def _body(request: Request, model: type[Body]) -> Body:
    """The body, of the model's shape; an empty one is the model's defaults."""
    raw = await request.body()
    if raw and "json" not in request.headers.get("content-type", "json"):
        raise _BadBody("the body is JSON: send Content-Type: application/json", status=415)
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as wrong:
        told = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'the body'}: {item['msg']}"
            for item in wrong.errors(include_url=False, include_input=False)[:5]
        )
        raise _BadBody(told) from None
