"""The demo as a process: one socket, one line that says where, a clean end on SIGTERM."""

import asyncio
import signal
import socket
import sys
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol


class ResettableProtocol(H11Protocol):
    """HTTP as uvicorn speaks it; the app also gets the transport, so that a switch can reset it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wraps the app once its connection is known."""
        super().connection_made(transport)
        self.app = _with_transport(self.app, transport)


def serve(app: Starlette, *, listening: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, then exits with 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn ends its work first and then hands the signal on to this.
        signal.signal(number, _exit_well)
    host, port = listening.getsockname()[:2]
    print(f"demo upstream on http://{host}:{port}", flush=True)
    config = uvicorn.Config(
        app,
        http=ResettableProtocol,
        loop="asyncio",
        lifespan="off",
        log_level="critical",
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _exit_well(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _with_transport(app: ASGIApp, transport: asyncio.Transport) -> ASGIApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})["demo.transport"] = {"transport": transport}
        await app(scope, receive, send)

    return wrapped
