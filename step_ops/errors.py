"""Why a step failed: a closed set of types, a sentence, and what to do next."""

from enum import StrEnum
from typing import Any

CUT = "…"
"""What stands at the end of a text that was shortened: what is left of a secret before it is masked, too."""


class ErrorType(StrEnum):
    """What kind of thing went wrong; acceptance packs and retries name these."""

    CASSETTE = "cassette"  # a test or replay asked for an exchange nobody recorded
    CANCELLED = "cancelled"
    CONFIG = "config"  # the resolved inputs do not fit the step type
    CONNECTION = "connection"  # refused, reset, name not found, TLS
    DATA = "data"  # an answer that is not what it claims to be, or lacks what was asked of it
    EXPRESSION = "expression"
    FILE = "file"
    GRAPHQL = "graphql"
    HTTP = "http"  # an answer with an error status
    INTERNAL = "internal"
    POLICY = "policy"  # refused by our own rules, such as a forbidden address
    SCHEMA_VALIDATION = "schema_validation"
    SCREENSHOT = "screenshot"
    SECRET = "secret"  # noqa: S105 - a name, not a value
    SQL = "sql"
    TIMEOUT = "timeout"


class StepError(Exception):
    """A step's failure as its reader should see it; anything else escaping a step is our bug.

    `retry_after` is the wait in seconds that the other side asked for, if it did.
    """

    def __init__(
        self,
        type: ErrorType,  # noqa: A002 - the word of the record and of the packs
        message: str,
        *,
        hint: str = "",
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.type = type
        self.message = message
        self.hint = hint
        self.details = details or {}
        self.retry_after = retry_after


def shortened(text: str, length: int) -> str:
    """At most so many characters of the text, with `CUT` at the end when it has more."""
    return text if len(text) <= length else text[: length - 1] + CUT
