"""Who may ask: the one token of the demo."""

import hmac
from collections.abc import Callable
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse


def guarded(route: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """`route` for those who bring the token of the app; 401 for all others."""

    @wraps(route)
    async def asked(request: Request) -> Any:
        sent = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(sent, f"Bearer {request.app.state.token}".encode()):
            return JSONResponse(
                {"error": "a valid bearer token is needed"},
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await route(request)

    return asked
