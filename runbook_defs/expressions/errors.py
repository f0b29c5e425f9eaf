"""How an expression fails: in words that hold the names of keys and types, but no data."""


class ExpressionError(Exception):
    """An expression that cannot be compiled or evaluated.

    `offset` is the place inside the expression's text, in characters from 0. A template adds
    `location`, the path to the text inside its value, and `text_offset`, the place in that text.
    `missing` says that a key or an item is not there, which `default` answers.
    """

    def __init__(self, message: str, *, offset: int = 0, hint: str = "", missing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint
        self.missing = missing
        self.location: tuple[str | int, ...] | None = None
        self.text_offset: int | None = None


class Refused(Exception):
    """What an operator or a function cannot compute; it does not know its place in the text."""

    def __init__(self, message: str, *, hint: str = "", missing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.missing = missing

    def at(self, offset: int) -> ExpressionError:
        """The same, with its place."""
        return ExpressionError(self.message, offset=offset, hint=self.hint, missing=self.missing)
