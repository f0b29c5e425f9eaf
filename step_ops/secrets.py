"""Secret values: tainted from the moment they are resolved, so that no text can hold one by accident."""

from collections.abc import Mapping
from typing import Any, Protocol

from step_ops.errors import ErrorType, StepError


class Secret:
    """A value that prints as its name. Text joined with it becomes secret too.

    Only drivers call `reveal`, at the moment they hand the value to the outside.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __add__(self, other: "str | Secret") -> "Secret":
        if isinstance(other, Secret):
            return Secret(f"{self.name}+{other.name}", self._value + other._value)
        return Secret(self.name, self._value + other)

    def __radd__(self, other: str) -> "Secret":
        return Secret(self.name, other + self._value)

    def __repr__(self) -> str:
        return f"<secret {self.name}>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> Any:
        raise TypeError(f"secret {self.name!r} may not be pickled")


class SecretProvider(Protocol):
    """Where secrets come from."""

    def get(self, name: str) -> str:
        """The value called `name`; raises `StepError` of type `secret` when there is none."""
        ...


class FixtureSecrets:
    """The fake secrets a fixture states."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def get(self, name: str) -> str:
        """The fake value; a fixture that lacks it is told so."""
        if name not in self._values:
            raise StepError(
                ErrorType.SECRET,
                f"the fixture has no secret {name!r}",
                hint=f'add "secrets": {{"{name}": "..."}} to the fixture',
            )
        return self._values[name]


def reveal(value: Any) -> Any:
    """`value` with every `Secret` inside it replaced by its plain text, for a driver about to send it."""
    match value:
        case Secret():
            return value.reveal()
        case dict():
            return {key: reveal(item) for key, item in value.items()}
        case list() | tuple():
            return [reveal(item) for item in value]
        case _:
            return value
