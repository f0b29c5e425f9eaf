"""Why an execution does not become a scenario."""


class NotPackable(Exception):
    """No scenario can be made, and nothing was written; the message says why."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint
