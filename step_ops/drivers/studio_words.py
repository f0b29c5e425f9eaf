"""What a process that wants a picture and the studio say to each other, over a socket that nobody else has.

The process sends a `PageRequest`, and a `bool` for each `ASK`; the studio sends what `Said` names.
"""

import io
import pickle
import struct
from enum import StrEnum
from typing import Any

from step_ops.errors import ErrorType, StepError
from step_ops.secrets import Secret

LENGTH = struct.Struct("!Q")
"""Stands before each message, and tells its bytes."""


class Said(StrEnum):
    """What the studio says; with it comes a value, or None."""

    HEARD = "heard"  # ask away; None
    BEGUN = "begun"  # the page is about to be opened: it is opened once, whatever happens now; None
    ASK = "ask"  # is this first picture good enough? A `PageShot`
    SHOT = "shot"  # the `PageShot`
    FAILED = "failed"  # a `StepError`


def packed(message: Any) -> bytes:
    """The message with its length before it. Secrets in it are revealed."""
    text = io.BytesIO()
    _Revealing(text).dump(message)
    return LENGTH.pack(text.tell()) + text.getvalue()


def unpacked(text: bytes) -> Any:
    """The message again, its secrets secret."""
    return pickle.loads(text)  # noqa: S301 - from a process of our own


class _Revealing(pickle.Pickler):
    """Packs what refuses to be packed elsewhere."""

    def reducer_override(self, value: Any) -> Any:
        match value:
            case Secret():
                return Secret, (value.name, value.reveal())
            case StepError():
                told = (value.type, value.message, value.hint, value.details, value.retry_after)
                return _failure, told
        return NotImplemented


def _failure(
    type: ErrorType,  # noqa: A002
    message: str,
    hint: str,
    details: dict[str, Any],
    retry_after: float | None,
) -> StepError:
    return StepError(type, message, hint=hint, details=details, retry_after=retry_after)
