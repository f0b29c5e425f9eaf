"""`wait`: lets time pass, or asks again and again until an answer is as it should be, up to a deadline."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, Strict, model_validator

from step_ops.condition import Condition
from step_ops.errors import ErrorType, StepError, shortened
from step_ops.exchanges import HttpRequest, HttpResponse
from step_ops.http_steps import authorized, expect_success
from step_ops.step_type import (
    Effect,
    ExpressionField,
    Headers,
    Result,
    SecretText,
    StepConfig,
    StepType,
    Text,
)

if TYPE_CHECKING:
    from step_ops.gate import Gate

MAX_SECONDS = 86_400
MAX_ATTEMPTS = 20_000  # each is kept in the record
REQUEST_SECONDS = 30.0
LAST_REQUEST_SECONDS = 5.0  # what a request has that begins right before the deadline
MAX_SHOWN = 300  # characters of an answer in a message

# Statuses below 500 that may well be another a moment later.
PASSING_STATUSES = frozenset({404, 408, 425, 429})
_PASSING_ERRORS = frozenset({ErrorType.CONNECTION, ErrorType.TIMEOUT})

_Seconds = Annotated[float, Strict(), Field(le=MAX_SECONDS, allow_inf_nan=False)]


class Request(StepConfig):
    """What is asked: a whole address as `url`, or an `endpoint` of a connection."""

    url: Text | None = None
    endpoint: Text | None = None
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: Headers = {}
    params: dict[str, Any] = {}
    body: Any = None
    auth_token: SecretText = None
    connection: Text = "api"

    @model_validator(mode="after")
    def _one_address(self) -> "Request":
        if (self.url is None) == (self.endpoint is None):
            raise ValueError("give either `url`, a whole address, or `endpoint`, a path below a connection")
        if self.body is not None and self.method in {"GET", "HEAD"}:
            raise ValueError(f"a {self.method} has no body: remove it, or use `method: POST`")
        return self


class Config(StepConfig):
    """Inputs of `wait`: `seconds`, or all the others."""

    seconds: Annotated[_Seconds, Field(ge=0)] | None = None
    request: Request | None = None
    until: ExpressionField = None
    every_seconds: Annotated[_Seconds, Field(ge=0.1)] = 5
    deadline_seconds: Annotated[_Seconds, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Config":
        polling = self.model_fields_set - {"seconds"}
        if self.seconds is not None and polling:
            names = ", ".join(f"`{name}`" for name in sorted(polling))
            raise ValueError(f"`seconds` is all that a delay has, but there is {names}: keep one of the two")
        if self.seconds is not None:
            return self
        if self.request is None:
            raise ValueError("say how long: `seconds`, or `request`, `until` and `deadline_seconds`")
        if self.until is None:
            raise ValueError("a `request` without `until` has nothing to wait for: add it")
        if self.deadline_seconds is None:
            raise ValueError("polling needs an end: add `deadline_seconds`")
        if self.deadline_seconds / self.every_seconds > MAX_ATTEMPTS:
            message = f"this may ask more than {MAX_ATTEMPTS:,} times: raise `every_seconds`"
            raise ValueError(message)
        return self


def run(config: Config, gate: "Gate") -> Result:
    """How often it asked, how long it waited, and the last answer."""
    if config.request is None or config.deadline_seconds is None:
        seconds = config.seconds or 0.0
        gate.sleep(seconds)
        return Result(value={"attempts": 0, "waited_seconds": seconds, "response": None})
    poll = _Poll(
        request=config.request,
        until=config.until,
        every=config.every_seconds,
        deadline=config.deadline_seconds,
        gate=gate,
    )
    return poll.run()


@dataclass(kw_only=True)
class _Poll:
    """One polling. Its clock adds up what was recorded, so that a replay decides as the run did."""

    request: Request
    until: Condition
    every: float
    deadline: float
    gate: "Gate"
    attempts: int = 0
    passed: float = 0.0
    last: list[str] = field(default_factory=list)  # what was wrong with the last answer, for a reader
    unmet: dict[str, Any] | None = None  # the last answer, where `until` could be held against it

    def run(self) -> Result:
        """Asks until the condition holds; raises `StepError` of type `timeout` at the deadline."""
        while True:
            response, pause = self._ask()
            if response is not None:
                value = {
                    "attempts": self.attempts,
                    "waited_seconds": self.passed,
                    "response": response,
                }
                return Result(value=value)
            left = round(self.deadline - self.passed, 6)
            if left <= 0:
                raise self._too_late()
            pause = min(max(pause, self.every), left)
            self.gate.sleep(pause)
            self.passed = round(self.passed + pause, 6)

    def _ask(self) -> tuple[dict[str, Any] | None, float]:
        """The answer, when it is as it should be; else the pause that the other side asks for."""
        self.attempts += 1
        seen = len(self.gate.exchanges)
        request = self._request()
        try:
            response = self.gate.http(request)
        except StepError as error:
            if error.type not in _PASSING_ERRORS:
                raise
            self.last, self.unmet = [error.message], None
            return None, 0.0
        finally:
            self.passed = round(self.passed + sum(round(e.seconds, 6) for e in self.gate.exchanges[seen:]), 6)
        told = _told(response)
        try:
            expect_success(request, response)
        except StepError as error:
            return self._judged(told, error), _asked_pause(response)
        if self.until({"response": told}):
            return told, 0.0
        self.last, self.unmet = [], told
        return None, _asked_pause(response)

    def _judged(self, told: dict[str, Any], error: StepError) -> dict[str, Any] | None:
        """An error answer: it only counts where the condition is about the status; some end all waiting."""
        self.last, self.unmet = [error.message], None
        if self.until.uses("response", "status"):
            try:
                if self.until({"response": told}):
                    return told
            except StepError:
                pass  # such as the body of an error page, which has no keys
            self.unmet = told
        status = told["status"]
        if status < 500 and status not in PASSING_STATUSES:
            raise error
        return None

    def _request(self) -> HttpRequest:
        asked = self.request
        left = self.deadline - self.passed
        return HttpRequest(
            method=asked.method,
            url=asked.url if asked.url is not None else asked.endpoint or "",
            connection=asked.connection if asked.url is None else None,
            headers=authorized(asked.headers, asked.auth_token),
            params=asked.params,
            json=asked.body,
            timeout=min(REQUEST_SECONDS, max(LAST_REQUEST_SECONDS, left)),
        )

    def _explained(self) -> list[str]:
        """Each part of `until` with its value in the last answer, as the record has that."""
        lines = self.until.explain({"response": self.gate.masked(self.unmet)}) if self.unmet else []
        return [line.strip() for line in lines]

    def _too_late(self) -> StepError:
        times = "once" if self.attempts == 1 else f"{self.attempts} times"
        why = shortened(self.gate.masked(" | ".join([*self.last, *self._explained()])), MAX_SHOWN)
        return StepError(
            ErrorType.TIMEOUT,
            f"`until` did not hold within {self.deadline:g} s, asked {times}; at last: {why}",
            hint="raise `deadline_seconds`, or look at what is waited for",
            details={"attempts": self.attempts, "waited_seconds": self.passed},
        )


def _told(response: HttpResponse) -> dict[str, Any]:
    """The answer as expressions see it: the body parsed where it is JSON, else as text."""
    body: Any = None
    if response.body:
        try:
            body = response.json()
        except StepError:
            body = response.text()
    return {"status": response.status, "headers": dict(response.headers), "body": body}


def _asked_pause(response: HttpResponse) -> float:
    """The seconds of Retry-After; a date there is not heeded, as it means another pause in a replay."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


def effect(inputs: Mapping[str, Any], query_text: str) -> Effect:
    """A write, unless what it sends is a GET or a HEAD, or nothing."""
    request = inputs.get("request")
    method = request.get("method", "GET") if isinstance(request, Mapping) else "GET"
    return Effect.READ if method in {"GET", "HEAD"} else Effect.WRITE


def summary(result: Result, outputs: Mapping[str, Any]) -> str:
    """Such as `waited 30s`, or `done after 3 attempts (20s)`."""
    seconds = f"{result.value['waited_seconds']:.6g}s"
    attempts = result.value["attempts"]
    if attempts == 0:
        return f"waited {seconds}"
    return f"done after {attempts} attempt{'' if attempts == 1 else 's'} ({seconds})"


STEP = StepType(name="wait", config=Config, run=run, effect=effect, summary=summary)
