"""`/audit`: an audit service, which keeps what it is sent, once."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo.access import guarded


class Received:
    """The entries in the order in which they came, and how many came more than once."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}
        self.repeated = 0

    def take(self, key: str, entry: Any) -> int:
        """Keeps the entry; gives the status: 201, 200 for one that came before, 409 for another one then."""
        if key not in self.entries:
            self.entries[key] = entry
            return 201
        if self.entries[key] != entry:
            return 409
        self.repeated += 1
        return 200


def routes() -> list[Route]:
    """Both; they ask for the token."""
    return [
        Route("/audit", guarded(_post), methods=["POST"]),
        Route("/audit", guarded(_list), methods=["GET"]),
    ]


async def _post(request: Request) -> Response:
    key = request.headers.get("idempotency-key", "")
    if not key:
        return JSONResponse({"error": "the header Idempotency-Key is needed"}, status_code=400)
    try:
        entry = json.loads(await request.body())
    except (ValueError, RecursionError):
        return JSONResponse({"error": "the body is not JSON"}, status_code=400)
    received: Received = request.app.state.audit
    status = received.take(key, entry)
    return JSONResponse({"received": len(received.entries)}, status_code=status)


async def _list(request: Request) -> Response:
    received: Received = request.app.state.audit
    return JSONResponse({"entries": list(received.entries.values()), "repeated": received.repeated})
