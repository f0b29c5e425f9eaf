"""What the step types that speak HTTP share: the token's header, and what an error answer means."""

from collections.abc import Mapping
from typing import Any

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest, HttpResponse


def authorized(headers: Mapping[str, Any], token: Any) -> dict[str, Any]:
    """The headers with `Authorization: Bearer <token>`, when there is a token."""
    return dict(headers) if token is None else {**headers, "Authorization": "Bearer " + token}


def expect_success(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The response, when its status is 2xx; else raises `StepError` of type `http`."""
    if 200 <= response.status < 300:
        return response
    place = str(request.url).split("?")[0]  # of an address that is a secret, its name
    raise StepError(
        ErrorType.HTTP,
        f"{request.method} {place} answered {response.status}",
        hint=_HINTS.get(response.status, ""),
        details={"status": response.status, "answer": response.start(300)},
        retry_after=_retry_after(response),
    )


_HINTS = {
    401: "the token is missing, wrong or expired",
    403: "the token may not do this",
    404: "check the address",
    429: "the other side asks to slow down",
}


def _retry_after(response: HttpResponse) -> float | None:
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime  # only an answer with a date pays for it

    try:
        # From the answer's own date, not our clock: played back, it is the same.
        asked = parsedate_to_datetime(value) - parsedate_to_datetime(response.headers["date"])
        return max(0.0, asked.total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
