"""The step types there are: ours and those of other distributions, through the same door."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from step_ops.step_type import StepType

GROUP = "runbook.step_types"


class StepTypeError(KeyError):
    """A step type that is installed but cannot be used; the message names its distribution.

    A `KeyError`, so that a mapping that lacks it and one that cannot give it are asked alike.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint

    def __str__(self) -> str:
        return self.message


class StepTypes(Mapping[str, StepType[Any]]):
    """Step types by name; one is imported when it is first asked for.

    A name that is there but of no use raises `StepTypeError`, for that name alone.
    """

    def __init__(self, doors: Iterable[EntryPoint]) -> None:
        found: dict[str, list[EntryPoint]] = {}
        for door in doors:
            others = found.setdefault(door.name, [])
            if door.value not in {other.value for other in others}:
                others.append(door)
        self._doors = dict(sorted(found.items()))
        self._loaded: dict[str, StepType[Any] | StepTypeError] = {}

    def __getitem__(self, name: str) -> StepType[Any]:
        if name not in self._loaded:
            doors = self._doors[name]
            try:
                self._loaded[name] = _load(doors)
            except StepTypeError as error:
                self._loaded[name] = error
        found = self._loaded[name]
        if isinstance(found, StepTypeError):
            raise found.with_traceback(None)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._doors)

    def __len__(self) -> int:
        return len(self._doors)

    def __contains__(self, name: object) -> bool:
        return name in self._doors

    def distributions(self, name: str) -> tuple[str, ...]:
        """The distributions that bring the step type `name`: one, unless they are at odds."""
        return tuple(_distribution(door) for door in self._doors[name])

    def broken(self) -> dict[str, StepTypeError]:
        """Imports every step type; gives what is wrong with those that cannot be used."""
        found: dict[str, StepTypeError] = {}
        for name in self:
            try:
                self[name]
            except StepTypeError as error:
                found[name] = error
        return found


def _load(doors: list[EntryPoint]) -> StepType[Any]:
    door, *others = doors
    name, distribution = door.name, _distribution(door)
    if others:
        names = " and ".join(_distribution(item) for item in doors)
        message = f"more than one distribution brings a step type {name!r}: {names}"
        raise StepTypeError(message, hint="uninstall all but one of them")
    try:
        step_type = door.load()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        message = f"step type {name!r} of {distribution} cannot be loaded: {reason}"
        raise StepTypeError(message, hint=f"mend {distribution} or uninstall it") from error
    if not isinstance(step_type, StepType):
        message = f"step type {name!r} of {distribution}: {door.value} is not a StepType"
        raise StepTypeError(message, hint="the entry point must name one, such as my_package.greeting:STEP")
    if step_type.name != name:
        message = f"step type {name!r} of {distribution}: {door.value} calls itself {step_type.name!r}"
        raise StepTypeError(message, hint="the entry point and the StepType must have one name")
    return step_type


def _distribution(door: EntryPoint) -> str:
    return door.dist.name if door.dist is not None else door.value


@cache
def step_types() -> StepTypes:
    """Every installed step type."""
    return StepTypes(entry_points(group=GROUP))
