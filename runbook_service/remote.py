"""A service somewhere else, asked over its REST API."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

VARIABLE = "RB_TOKEN"
TIMEOUT = 90.0  # between two signs of life
MAX_ANSWER = 64 * 1024 * 1024


class RemoteError(Exception):
    """The service cannot be reached, or refuses; the message is its own where it gave one."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token elsewhere."""

    def redirect_request(self, *arguments: Any, **more: Any) -> None:
        return None


@dataclass(frozen=True)
class Remote:
    """The service at `url`; raises `RemoteError` from every method."""

    url: str
    token: str

    @staticmethod
    def at(url: str) -> "Remote":
        """The service at `url`, with the token in RB_TOKEN."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise RemoteError(
                f"{url!r} is not the address of a service", hint="such as http://localhost:8080"
            )
        token = os.environ.get(VARIABLE, "")
        if not token:
            hint = "make one there with: rb token create NAME --role operator"
            raise RemoteError(f"{VARIABLE} is not set", hint=hint)
        return Remote(url.rstrip("/"), token)

    def runbook(self, runbook_id: str) -> dict[str, Any]:
        """The runbook as the service has it."""
        return self._ask("GET", f"/api/runbooks/{urllib.parse.quote(runbook_id, safe='')}", None)

    def execute(self, runbook_id: str, *, inputs: Mapping[str, Any], deny: list[str]) -> str:
        """Starts an execution; gives its id."""
        body = {"runbook_id": runbook_id, "inputs": dict(inputs), "deny": deny, "wait": False}
        return str(self._ask("POST", "/api/runbooks/execute", body)["id"])

    def replay(self, execution: str, *, live: bool, allow_writes: bool) -> str:
        """Starts a replay; gives its id."""
        body = {"live": live, "allow_writes": allow_writes, "wait": False}
        name = urllib.parse.quote(execution, safe="")
        return str(self._ask("POST", f"/api/executions/{name}/replay", body)["id"])

    def cancel(self, execution: str) -> None:
        """Tells an execution to stop."""
        self._ask("POST", f"/api/executions/{execution}/cancel", {})

    def follow(self, execution: str) -> Iterator[dict[str, Any]]:
        """The execution each time that something has happened to it, at last when it has ended."""
        with self._open("GET", f"/api/executions/{execution}/events", None) as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    def _ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        with self._open(method, path, body) as answer:
            try:
                told: dict[str, Any] = json.loads(answer.read(MAX_ANSWER))
            except (ValueError, OSError, HTTPException) as error:
                raise RemoteError(f"{self.url} gave no JSON: is it a runbook service? ({error})") from None
        return told

    def _open(self, method: str, path: str, body: Any) -> HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - http and https only, see `at`
            self.url + path, data=data, headers=headers, method=method
        )
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            answer: HTTPResponse = opener.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as refused:
            raise _refusal(refused, self.url) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise RemoteError(f"{self.url} cannot be reached: {reason}") from None
        return answer


def _refusal(refused: urllib.error.HTTPError, url: str) -> RemoteError:
    """What the service said, else what its status means."""
    try:
        told = json.loads(refused.read(65536))["error"]
        return RemoteError(str(told["message"]), hint=str(told.get("hint", "")))
    except (ValueError, KeyError, TypeError, OSError):
        return RemoteError(f"{url} answered {refused.code}: is it a runbook service?")
