"""The one gate between a step and the world: it asks the world of the mode, and keeps what was said.

Live, the world is the network and the browser. In a test it is a fixture, in a replay a record. The
gate and the steps do not know which.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar
from uuid import UUID

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest, HttpResponse, PageRequest, PageShot, Transport
from step_ops.pictures import Picture
from step_ops.redaction import Redactor
from step_ops.secrets import Secret

Answer = TypeVar("Answer", HttpResponse, PageShot)


class Mode(StrEnum):
    """Where answers come from."""

    LIVE = "live"
    TEST = "test"
    REPLAY = "replay"


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

    request: HttpRequest | PageRequest
    response: HttpResponse | PageShot | None
    error: StepError | None
    at: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Read:
    """One thing that may differ from run to run: `kind` is clock, random, id, secret, environment or file."""

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
    """One attempt of one step at the gate; `runbook` and `execution` are the ids of what it belongs to."""

    def __init__(
        self, world: World, *, runbook: str, execution: str, redactor: Redactor, shelf: Shelf
    ) -> None:
        self.runbook = runbook
        self.execution = execution
        self._world = world
        self._redactor = redactor
        self._shelf = shelf
        self.exchanges: list[Exchange] = []
        self.reads: list[Read] = []
        self.pictures: list[Picture] = []
        self.measures: dict[str, float] = {}

    def http(self, request: HttpRequest) -> HttpResponse:
        """The answer to an HTTP request, of any status; raises `StepError` when there is none."""
        return self._exchange(request, lambda: self._world.http(request))

    def photograph(
        self, request: PageRequest, *, accept: Callable[[PageShot], bool] = lambda shot: False
    ) -> PageShot:
        """A stable picture of an element of a page; a first picture that `accept`s is taken as it is."""
        return self._exchange(request, lambda: self._world.page(request, accept))

    def _exchange(self, request: HttpRequest | PageRequest, ask: Callable[[], Answer]) -> Answer:
        at = self._world.elapsed()
        answer: Answer | None = None
        failure: StepError | None = None
        try:
            answer = ask()
        except StepError as error:
            failure = error
            raise
        finally:
            seconds = self._world.elapsed() - at
            self.exchanges.append(
                Exchange(request=request, response=answer, error=failure, at=at, seconds=seconds)
            )
        return answer

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
        self._world.sleep(seconds)

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

    def file(self, name: str) -> bytes:
        """The bytes of a file beside the runbook; its digest is a recorded read."""
        data = self._world.file(name)
        self.reads.append(Read(kind="file", name=name, value=hashlib.sha256(data).hexdigest()))
        return data

    def keep(self, name: str, data: bytes) -> str:
        """Keeps a file this step made; gives its path as a reader should see it."""
        return self._shelf.keep(name, data)

    def baseline(self, name: str) -> bytes | None:
        """The approved picture called `name`, if there is one."""
        return self._shelf.baseline(name)
