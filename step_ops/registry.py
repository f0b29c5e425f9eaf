"""The step types there are: ours and those of other distributions, through the same door."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from step_ops.step_type import StepType

GROUP = "runbook.step_types"


class StepTypeError(Exception):
    """A step type that is installed but cannot be loaded."""


class StepTypes(Mapping[str, StepType[Any]]):
    """Step types by name; one is imported when it is first asked for."""

    def __init__(self, doors: Mapping[str, EntryPoint]) -> None:
        self._doors = doors
        self._loaded: dict[str, StepType[Any]] = {}

    def __getitem__(self, name: str) -> StepType[Any]:
        if name not in self._loaded:
            door = self._doors[name]
            try:
                step_type = door.load()
            except Exception as error:
                message = f"step type {name!r} ({door.value}) cannot be loaded: {error}"
                raise StepTypeError(message) from error
            if not isinstance(step_type, StepType) or step_type.name != name:
                message = f"step type {name!r}: {door.value} is not a StepType of that name"
                raise StepTypeError(message)
            self._loaded[name] = step_type
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._doors)

    def __len__(self) -> int:
        return len(self._doors)

    def __contains__(self, name: object) -> bool:
        return name in self._doors


@cache
def step_types() -> StepTypes:
    """Every installed step type."""
    doors: dict[str, EntryPoint] = {}
    for door in entry_points(group=GROUP):
        taken = doors.get(door.name)
        if taken is not None and taken.value != door.value:
            message = f"two step types are called {door.name!r}: {taken.value} and {door.value}"
            raise StepTypeError(message)
        doors[door.name] = door
    return StepTypes(dict(sorted(doors.items())))
