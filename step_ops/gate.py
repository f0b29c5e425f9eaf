"""The one gate between a step and the world: it asks the world of the mode, and keeps what was said.

Live, the world is the network and the browser. In a test it is a fixture, in a replay a record. The
gate and the steps do not know which.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar
from uuid import UUID

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import (
    HttpRequest,
    HttpResponse,
    PageRequest,
    PageShot,
    SqlRequest,
    SqlRows,
    Transport,
)
from step_ops.pictures import Picture
from step_ops.redaction import Redactor
from step_ops.secrets import Secret
from step_ops.step_type import Effect

TOOK_TOO_LONG = "the step took longer than its timeout"

Answer = TypeVar("Answer", HttpResponse, PageShot, SqlRows)


class Mode(StrEnum):
    """Where answers come from."""

    LIVE = "live"
    TEST = "test"
    REPLAY = "replay"
    BACKTEST = "backtest"  # a replay of another definition, which leaves no record


class World(Transport, Protocol):
    """All that is not the step: the other side of exchanges, the clock, chance, secrets and files."""

    def now(self) -> datetime:
        """The time, in UTC."""
        ...

    def elapsed(self) -> float:
        """Seconds since this step began, on its own clock."""
        ...

    def sleep(self, seconds: float) -> None:
        """Lets time pass; raises `StepError` of type `cancelled` when the execution is."""
        ...

    def random(self) -> float:
        """A number from 0 up to 1."""
        ...

    def new_id(self) -> UUID:
        """A fresh identifier."""
        ...

    def secret(self, name: str) -> str:
        """The value of a secret."""
        ...

    def file(self, name: str) -> bytes:
        """A file beside the runbook."""
        ...


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One question to the world and its answer or error; `at` and `seconds` are on the step's clock."""

    request: HttpRequest | PageRequest | SqlRequest
    response: HttpResponse | PageShot | SqlRows | None
    error: StepError | None
    at: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Read:
    """One thing that may differ from run to run.

    `kind` is clock, random, id, secret, file, baseline or expression.
    """

    kind: str
    name: str
    value: Any


class Shelf(Protocol):
    """Where the pictures of an execution are kept, and their baselines are found."""

    def keep(self, name: str, data: bytes) -> str:
        """Keeps `data` as the file `name` of this step; gives its path, as a reader should see it."""
        ...

    def baseline(self, name: str) -> bytes | None:
        """The approved picture called `name`, if there is one."""
        ...


class Gate:
    """One attempt of one step at the gate; `runbook` and `execution` are the ids of what it belongs to.

    A database lets it write only when `effect` says that the step does.
    """

    def __init__(
        self,
        world: World,
        *,
        runbook: str,
        execution: str,
        redactor: Redactor,
        shelf: Shelf,
        effect: Effect = Effect.READ,
        timeout: float | None = None,
    ) -> None:
        self.runbook = runbook
        self.execution = execution
        self.effect = effect
        self._world = world
        self._redactor = redactor
        self._shelf = shelf
        self._timeout = timeout
        self.exchanges: list[Exchange] = []
        self.reads: list[Read] = []
        self.pictures: list[Picture] = []
        self.seen: list[bytes] = []  # what the record must hold besides, for a replay
        self.measures: dict[str, float] = {}
        self.overran = False  # whether it ended because its time was used up

    def http(self, request: HttpRequest) -> HttpResponse:
        """The answer to an HTTP request, of any status; raises `StepError` when there is none."""
        within = replace(request, timeout=self._time_left(request.timeout))
        response = self._exchange(request, lambda: self._world.http(within))
        return replace(response, mask=self.masked)

    def photograph(
        self, request: PageRequest, *, accept: Callable[[PageShot], bool] = lambda shot: False
    ) -> PageShot:
        """A stable picture of an element of a page; a first picture that `accept`s is taken as it is."""
        within = replace(request, timeout=self._time_left(request.timeout))
        return self._exchange(request, lambda: self._world.page(within, accept))

    def sql(self, request: SqlRequest) -> SqlRows:
        """The rows of one statement, which runs read-only unless the effect of the step is `write`."""
        request = replace(request, read_only=self.effect is not Effect.WRITE)
        within = replace(request, timeout=self._time_left(request.timeout))
        return self._exchange(request, lambda: self._world.sql(within, self.secret))

    def _exchange(self, request: HttpRequest | PageRequest | SqlRequest, ask: Callable[[], Answer]) -> Answer:
        at = self._world.elapsed()
        answer: Answer | None = None
        failure: StepError | None = None
        try:
            answer = ask()
        except StepError as error:
            failure = error
            raise
        except Exception as error:  # a fault of a driver: the record has it as the step will
            failure = StepError(ErrorType.INTERNAL, f"{type(error).__name__}: {error}")
            raise
        finally:
            seconds = self._world.elapsed() - at
            self.exchanges.append(
                Exchange(request=request, response=answer, error=failure, at=at, seconds=seconds)
            )
        self.check_time()
        return answer

    def check_time(self) -> None:
        """Raises `StepError` of type `timeout` when the step has used up its `timeout_seconds`."""
        if self._timeout is not None and self._world.elapsed() > self._timeout:
            raise self._took_too_long()

    def _took_too_long(self) -> StepError:
        self.overran = True
        return StepError(
            ErrorType.TIMEOUT,
            f"{TOOK_TOO_LONG} of {self._timeout:g} s",
            hint="raise `timeout_seconds`, or find out what made it slow",
        )

    def _time_left(self, wanted: float) -> float:
        """The seconds that may be waited: no more than the step has left."""
        if self._timeout is None:
            return wanted
        self.check_time()
        return min(wanted, max(0.05, self._timeout - self._world.elapsed()))

    def now(self) -> datetime:
        """The time in UTC, as a recorded read."""
        value = self._world.now()
        self.reads.append(Read(kind="clock", name="now", value=value.isoformat()))
        return value

    def elapsed(self) -> float:
        """Seconds since this step began; for deadlines of its own."""
        return self._world.elapsed()

    def sleep(self, seconds: float) -> None:
        """Lets time pass: really when live, on the step's clock otherwise."""
        left = self._time_left(seconds)
        self._world.sleep(left)
        if left < seconds:  # the virtual clock may stand at the timeout exactly
            raise self._took_too_long()
        self.check_time()

    def random(self) -> float:
        """A number from 0 up to 1, as a recorded read."""
        value = self._world.random()
        self.reads.append(Read(kind="random", name="random", value=value))
        return value

    def new_id(self) -> UUID:
        """A fresh identifier, as a recorded read."""
        value = self._world.new_id()
        self.reads.append(Read(kind="id", name="uuid", value=str(value)))
        return value

    def secret(self, name: str) -> Secret:
        """The secret called `name`, tainted; from now on its value is masked wherever it turns up."""
        value = self._world.secret(name)
        if not self._redactor.register(name, value):
            raise StepError(
                ErrorType.SECRET,
                f"secret {name!r} is too short to be masked safely",
                hint="use one of at least 6 characters",
            )
        pseudonym = self._redactor.pseudonym(name, value)
        self.reads.append(Read(kind="secret", name=name, value=pseudonym))
        return Secret(name, value)

    def masked(self, value: Any) -> Any:
        """Text or data without secrets, for a message that shows a part of it: cut first, they would hide."""
        return self._redactor.data(value)

    def file(self, name: str) -> bytes:
        """The bytes of a file beside the runbook; its digest is a recorded read."""
        data = self._world.file(name)
        self.reads.append(Read(kind="file", name=name, value=hashlib.sha256(data).hexdigest()))
        return data

    def keep(self, name: str, data: bytes) -> str:
        """Keeps a file this step made; gives its path as a reader should see it."""
        return self._shelf.keep(name, data)

    def baseline(self, name: str) -> bytes | None:
        """The approved picture called `name`, if there is one; its digest is a recorded read."""
        data = self._shelf.baseline(name)
        value = None if data is None else hashlib.sha256(data).hexdigest()
        self.reads.append(Read(kind="baseline", name=name, value=value))
        if data is not None:
            self.seen.append(data)
        return data
