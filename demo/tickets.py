"""`POST /api/tickets`: where runbooks call people."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo.access import guarded

FIRST_NUMBER = 1001


class Ticket(BaseModel):
    """What somebody should look at."""

    model_config = ConfigDict(extra="forbid", strict=True)

    queue: Annotated[str, Field(min_length=1)]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    text: str = ""


def routes() -> list[Route]:
    """The one; it asks for the token."""
    return [Route("/api/tickets", guarded(_open), methods=["POST"])]


async def _open(request: Request) -> Response:
    try:
        ticket = Ticket.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "body"
        return JSONResponse({"error": f"{place}: {first['msg']}"}, status_code=400)
    tickets: list[Ticket] = request.app.state.tickets
    tickets.append(ticket)
    number = FIRST_NUMBER + len(tickets) - 1
    return JSONResponse({"number": number, **ticket.model_dump()}, status_code=201)
