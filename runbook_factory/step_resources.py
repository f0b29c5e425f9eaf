"""What Dagster opens for the steps of a run: of a runbook only the IO manager, which no step uses.

Opened as others are, it takes two events for each run, and a class made for each step and type. Private to
Dagster: tests/runbook_factory/test_dagster_contract.py holds this module to what it relies on.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

from dagster import InMemoryIOManager, ResourceDefinition
from dagster._core.definitions.scoped_resources_builder import Resources, ScopedResourcesBuilder
from dagster._core.execution.resources_init import resource_initialization_manager
from dagster._utils import EventGenerationManager

IO_MANAGER = "io_manager"


def open_resources(
    *, resource_defs: Mapping[str, ResourceDefinition], **more: Any
) -> EventGenerationManager[ScopedResourcesBuilder]:
    """The resources of a run; where there are others, as a hook may want some, as Dagster opens them."""
    if set(resource_defs) <= {IO_MANAGER}:
        return EventGenerationManager(_opened(), ScopedResourcesBuilder)
    opening: EventGenerationManager[ScopedResourcesBuilder] = resource_initialization_manager(
        resource_defs=resource_defs, **more
    )
    return opening


def _opened() -> Iterator[ScopedResourcesBuilder]:
    yield _Builder({IO_MANAGER: InMemoryIOManager()})  # type: ignore[no-untyped-call]


class _None(Resources):
    @property
    def original_resource_dict(self) -> Mapping[str, object]:
        return {}


class _Named(NamedTuple):
    io_manager: object


class _OnlyManager(_Named, Resources):
    @property
    def original_resource_dict(self) -> Mapping[str, object]:
        return self._asdict()


class _Builder(ScopedResourcesBuilder):
    """Gives whoever asks for the IO manager that, and others nothing."""

    def build(self, required_resource_keys: Set[str] | None) -> Resources:
        """What is asked for, as attributes."""
        if required_resource_keys and IO_MANAGER in required_resource_keys:
            return _OnlyManager(self.resource_instance_dict[IO_MANAGER])
        return _None()
