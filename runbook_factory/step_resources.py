"""What Dagster opens for the steps of a run: of a runbook only the IO manager, which no step uses.

Opened as others are, it takes two events for each run. Private to Dagster:
tests/runbook_factory/test_dagster_contract.py holds this module to what it relies on.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dagster import InMemoryIOManager, ResourceDefinition
from dagster._core.definitions.scoped_resources_builder import ScopedResourcesBuilder
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
    yield ScopedResourcesBuilder({IO_MANAGER: InMemoryIOManager()})  # type: ignore[no-untyped-call]
