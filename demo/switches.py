"""Switches that make a path of the demo answer badly or slowly, and the gate that obeys them."""

import asyncio
import json
import socket
import struct
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOGIN_PAGE = (
    '<!doctype html><html lang="en"><title>Sign in</title>'
    "<h1>Sign in</h1><p>Your session has ended.</p></html>"
)

Path = Literal[
    "/api/entities",
    "/api/policies/entity-retention",
    "/api/simulations",
    "/api/tickets",
    "/audit",
    "/graphql",
    "/entities",
]


class Answer(StrEnum):
    """What comes back in place of the real answer."""

    HTML = "html"  # a login page
    HANG = "hang"  # nothing, until the client gives up
    RESET = "reset"  # a TCP reset


class Switch(BaseModel):
    """One way in which one path misbehaves, for the next `times` requests (null: until cleared)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: Path
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[int, Field(ge=0, le=3600)] | None = None
    delay_seconds: Annotated[float, Field(ge=0, le=600)] | None = None
    answer: Annotated[Answer, Field(strict=False)] | None = None
    rename: dict[str, str] | None = None
    set: dict[str, Any] | None = None
    times: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> "Switch":
        if not self.model_fields_set & {"status", "delay_seconds", "answer", "rename", "set"}:
            raise ValueError("a switch needs a status, a delay_seconds or an answer, or a rename or a set")
        if (self.rename or self.set) and (self.status or self.answer):
            raise ValueError("rename and set change the real answer: they go with neither status nor answer")
        if self.retry_after is not None and self.status is None:
            raise ValueError("retry_after needs a status")
        if self.status is not None and self.answer in (Answer.HANG, Answer.RESET):
            raise ValueError(f"the answer {self.answer.value!r} has no status")
        return self


_SWITCHES = TypeAdapter(list[Switch])


class Switchboard:
    """The switches that are set. The first one left for a path rules its next request."""

    def __init__(self) -> None:
        self._switches: list[Switch] = []

    def set(self, body: bytes) -> None:
        """Replaces all switches by the JSON list in `body`; raises pydantic's `ValidationError`."""
        self._switches = _SWITCHES.validate_json(body)

    def clear(self) -> None:
        """Takes all switches off."""
        self._switches = []

    def as_json(self) -> list[dict[str, Any]]:
        """The switches left, with the times they are still good for."""
        return [switch.model_dump(mode="json", exclude_none=True) for switch in self._switches]

    def take(self, path: str) -> Switch | None:
        """The switch that rules this request to `path`, counted down; used-up ones are dropped."""
        switch = next((switch for switch in self._switches if switch.path == path), None)
        if switch is not None and switch.times is not None:
            switch.times -= 1
            if switch.times == 0:
                self._switches.remove(switch)
        return switch


class SwitchGate:
    """ASGI middleware in front of all routes that lets the switchboard have its way."""

    def __init__(self, app: ASGIApp, *, switchboard: Switchboard) -> None:
        self._app = app
        self._switchboard = switchboard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the ruling switch says, or passes the request on."""
        switch = self._switchboard.take(scope["path"]) if scope["type"] == "http" else None
        if switch is None:
            return await self._app(scope, receive, send)
        if switch.delay_seconds:
            await asyncio.sleep(switch.delay_seconds)
        match switch.answer:
            case Answer.HANG:
                return await _until_gone(receive)
            case Answer.RESET:
                _reset(scope)
                return await _until_gone(receive)
        if switch.rename or switch.set:
            return await _Changed(switch, send).answer(self._app, scope, receive)
        bad = _bad_response(switch)
        return await (bad or self._app)(scope, receive, send)


class _Changed:
    """The real answer with its JSON changed: every key of that name, however deep."""

    def __init__(self, switch: Switch, send: Send) -> None:
        self._renamed, self._set = switch.rename or {}, switch.set or {}
        self._send = send
        self._start: Message = {}
        self._body = b""

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        await app(scope, receive, self._hold)
        body = json.dumps(self._change(json.loads(self._body))).encode()
        kept = [(name, value) for name, value in self._start["headers"] if name != b"content-length"]
        headers = [*kept, (b"content-length", str(len(body)).encode())]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def _hold(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._body += message.get("body", b"")

    def _change(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._change(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            self._renamed.get(key, key): self._set.get(key, self._change(item)) for key, item in value.items()
        }


def _bad_response(switch: Switch) -> Response | None:
    headers = {} if switch.retry_after is None else {"Retry-After": str(switch.retry_after)}
    if switch.answer is Answer.HTML:
        return HTMLResponse(LOGIN_PAGE, status_code=switch.status or 200, headers=headers)
    if switch.status is None:
        return None
    error = {"error": f"switched to status {switch.status}"}
    return JSONResponse(error, status_code=switch.status, headers=headers)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _reset(scope: Scope) -> None:
    transport: asyncio.Transport = scope["extensions"]["demo.transport"]["transport"]
    # Lingering for zero seconds turns the close into a reset.
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
