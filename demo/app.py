"""The demo's routes."""

from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from demo import audit, policy_api, tickets
from demo.access import guarded
from demo.entities import COUNT, entities
from demo.graph import BadRequestError, execute
from demo.page import render
from demo.switches import Switchboard, SwitchGate

DEFAULT_TOKEN = "demo-token-0123456789"  # noqa: S105 - guards invented data only


def create_app(*, token: str = DEFAULT_TOKEN) -> Starlette:
    """The whole upstream; all under `/api`, and the audit service, asks for `token`."""
    switchboard = Switchboard()
    app = Starlette(
        routes=[
            Route("/health", _health),
            Route("/api/entities", guarded(_entities)),
            *policy_api.routes(),
            *tickets.routes(),
            *audit.routes(),
            Route("/graphql", _graphql, methods=["POST"]),
            Route("/entities", _page),
            Route("/switches", _get_switches, methods=["GET"]),
            Route("/switches", _put_switches, methods=["PUT"]),
            Route("/switches", _delete_switches, methods=["DELETE"]),
        ],
        middleware=[Middleware(SwitchGate, switchboard=switchboard)],
    )
    app.state.token = token
    app.state.switchboard = switchboard
    app.state.simulations = policy_api.Simulations()
    app.state.tickets = []
    app.state.audit = audit.Received()
    return app


def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok", "entities": COUNT})


async def _entities(request: Request) -> Response:
    if not {"page", "page_size"} & request.query_params.keys():
        return JSONResponse({"data": {"entities": entities()}})
    try:
        return JSONResponse(_one_page(request))
    except ValueError as error:
        return JSONResponse({"error": str(error)}, status_code=400)


def _one_page(request: Request) -> dict[str, Any]:
    page = _whole_number(request, "page", default=1, most=COUNT)
    size = _whole_number(request, "page_size", default=50, most=COUNT)
    pages = -(-COUNT // size)
    following = request.url.include_query_params(page=page + 1, page_size=size)
    return {
        "data": {"entities": entities()[(page - 1) * size : page * size]},
        "paging": {
            "page": page,
            "pages": pages,
            "next": str(following) if page < pages else None,
        },
    }


def _whole_number(request: Request, name: str, *, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise ValueError(f"{name} must be a whole number from 1 to {most}")
    return int(text)


async def _graphql(request: Request) -> Response:
    try:
        return JSONResponse(execute(await request.body()))
    except BadRequestError as error:
        return JSONResponse({"errors": [{"message": str(error)}]}, status_code=400)


def _page(_request: Request) -> Response:
    return HTMLResponse(render())


async def _get_switches(request: Request) -> Response:
    return JSONResponse(request.app.state.switchboard.as_json())


async def _put_switches(request: Request) -> Response:
    try:
        request.app.state.switchboard.set(await request.body())
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}" for problem in error.errors()
        ]
        return JSONResponse({"errors": problems}, status_code=400)
    return await _get_switches(request)


async def _delete_switches(request: Request) -> Response:
    request.app.state.switchboard.clear()
    return Response(status_code=204)
