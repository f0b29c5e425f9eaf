"""Why there is no load test."""


class LoadTestError(Exception):
    """No script can be made, or k6 did not do what it should; the message says why."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint
