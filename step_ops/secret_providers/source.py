"""What every source of secrets is."""

import re
from dataclasses import dataclass
from typing import Protocol

from step_ops.errors import ErrorType, StepError

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}")  # where a name becomes part of a path
MAX_BYTES = 64 * 1024  # a certificate chain fits; no key or password is longer


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Why a source has no secret of a name: `reason` completes the sentence "secret 'X' ..."."""

    reason: str
    hint: str


class Source(Protocol):
    """One place that secrets come from. It is asked at each use, and remembers no value."""

    @property
    def place(self) -> str:
        """What errors and the doctor call it."""
        ...

    def find(self, name: str) -> str | Missing:
        """The value called `name`, if it has one; raises `StepError` of type `secret` when it cannot tell."""
        ...

    def check(self) -> str:
        """What is good about it, in a few words; raises `StepError` when it cannot be used."""
        ...


def failed(name: str, reason: str, *, hint: str) -> StepError:
    """The error of a source that cannot tell whether it has the secret `name`, or not give it."""
    return StepError(ErrorType.SECRET, f"secret {name!r} {reason}", hint=hint)
