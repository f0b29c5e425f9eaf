"""The real world: the network, the browser, databases, the clock, chance, and the deployment's secrets."""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

from step_ops.connections import Connections
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest, HttpResponse, PageRequest, PageShot, SqlRequest, SqlRows
from step_ops.files import Folder
from step_ops.secrets import Secret, SecretProvider, reveal


class LiveWorld:
    """The world of one step of a live execution."""

    def __init__(
        self,
        *,
        connections: Connections,
        secrets: SecretProvider,
        files: Folder,
        cancelled: threading.Event,
    ) -> None:
        self._connections = connections
        self._secrets = secrets
        self._files = files
        self._cancelled = cancelled
        self._began = time.monotonic()

    def http(self, request: HttpRequest) -> HttpResponse:
        """The answer from the network."""
        # Imported here: a step that sends nothing does not pay for the client.
        from step_ops.drivers.http import send

        # An absolute address needs no connection, so that a deployment without any can use it.
        named = request.connection if "://" not in reveal(request.url) else None
        base = self._connections.url(named) if named else None
        return send(request, base_url=base, cancelled=self._cancelled)

    def page(self, request: PageRequest, accept: Callable[[PageShot], bool]) -> PageShot:
        """The picture from a real browser."""
        # Imported here: a step that photographs nothing does not pay for the way to a browser.
        from step_ops.drivers.studio_door import photograph_live

        return photograph_live(request, accept=accept, cancelled=self._cancelled)

    def sql(self, request: SqlRequest, secret: Callable[[str], Secret]) -> SqlRows:
        """The rows from the database."""
        # Imported here: a step that asks no database does not pay for the client.
        from step_ops.drivers.sql import query

        url = self._connections.database(request.connection, secret=lambda name: secret(name).reveal())
        return query(request, url=url, cancelled=self._cancelled)

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._began

    def sleep(self, seconds: float) -> None:
        """Waits, but not beyond a cancellation."""
        if self._cancelled.wait(max(0.0, seconds)):
            raise StepError(ErrorType.CANCELLED, "cancelled while waiting")

    def random(self) -> float:
        """A number from 0 up to 1."""
        return random.random()  # noqa: S311 - chance for jitter, not for keys

    def new_id(self) -> UUID:
        """A random id."""
        return uuid4()

    def secret(self, name: str) -> str:
        """The deployment's value."""
        return self._secrets.get(name)

    def file(self, name: str) -> bytes:
        """The file beside the runbook."""
        return self._files.read(name)
