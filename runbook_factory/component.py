"""A folder of runbooks as a Dagster Component: what `dg` finds by the entry point in pyproject.toml."""

from collections.abc import Sequence
from typing import Annotated

from dagster import (
    Component,
    ComponentLoadContext,
    ComponentTypeSpec,
    Definitions,
    Model,
    Resolvable,
    Resolver,
)

from runbook_factory.definitions import build_definitions


class RunbookComponent(Component, Model, Resolvable):
    """Jobs from a folder of runbooks: operational procedures as YAML, recorded as they are executed.

    Each `runbooks/<id>/runbook.yaml` is a job. A runbook with errors is an error in the log and a job
    that says what is wrong and cannot run; the others load.
    """

    path: Annotated[
        str | None,
        Resolver.default(
            description="The folder that holds runbooks/, relative to the folder of this file; "
            "the project's root unless given.",
            examples=["../../../../operations", "{{ context.project_root }}/operations"],
        ),
    ] = None
    only: Annotated[
        Sequence[str] | None,
        Resolver.default(
            description="The ids of the runbooks to load; all of them unless given.",
            examples=[["rb-001-entity-enrichment"]],
        ),
    ] = None

    @classmethod
    def get_spec(cls) -> ComponentTypeSpec:
        """What Dagster's catalogue of components says of it."""
        return ComponentTypeSpec(description="Jobs from a folder of runbooks.", produces=["job"])

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        """The jobs; raises `ProjectError` when there are no such runbooks."""
        if self.path is None:
            return build_definitions(context.project_root, only=self.only)
        here = context.path if context.path.is_dir() else context.path.parent
        return build_definitions(here / self.path, only=self.only)
