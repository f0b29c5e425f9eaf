"""A closed network for steps that are answered by a fixture or a record, below every client there is.

The gate asks nobody there; this is for step types of other packages that would reach around it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from step_ops.errors import ErrorType, StepError

_REACHING_OUT = frozenset({"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"})
_closed: ContextVar[bool] = ContextVar("network_closed", default=False)


@contextmanager
def network_closed() -> Iterator[None]:
    """Within it, in this thread and those that take over its context, Python opens no connection.

    An attempt raises `StepError` of type `policy`.
    """
    _watch()
    token = _closed.set(True)
    try:
        yield
    finally:
        _closed.reset(token)


@cache
def _watch() -> None:
    """Once for a process: Python has no way to take such a hook off again."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _REACHING_OUT and _closed.get():
            raise StepError(
                ErrorType.POLICY,
                "the step opened a connection although its answers are recorded",
                hint="a step type asks the world through the gate only: see docs/own-step-types.md",
            )

    sys.addaudithook(refuse)
