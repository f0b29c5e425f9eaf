"""Dagster's request context with the rights of whoever asks: its pages grey out what they may not do.

The only module that extends Dagster's workspace context; a contract test holds it to what it relies on.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster._core.workspace.permissions import (
    LOCATION_SCOPED_PERMISSIONS,
    VIEWER_PERMISSIONS,
    PermissionResult,
    Permissions,
)
from starlette.requests import HTTPConnection

from runbook_factory.opening import actor_tags
from runbook_service.identities.identity import Identity
from runbook_service.identities.roles import Right

if TYPE_CHECKING:
    from runbook_service.service import Service

# What of Dagster's permissions a right gives. All others, and new ones, are for who may manage.
_RIGHTS = {
    Permissions.LAUNCH_PIPELINE_EXECUTION: Right.RUN,
    Permissions.LAUNCH_PIPELINE_REEXECUTION: Right.RUN,
    Permissions.TERMINATE_PIPELINE_EXECUTION: Right.CANCEL,
}


def identity_of(connection: HTTPConnection) -> Identity:
    """Who asks; the door has let nobody in without."""
    identity: Identity = connection.scope["identity"]
    return identity


class RunbookRequestContext(WorkspaceRequestContext):
    """The workspace as one request sees it."""

    @property
    def identity(self) -> Identity:
        """Who asks."""
        source: Any = self.source
        return identity_of(source)

    @property
    def permissions(self) -> Mapping[str, PermissionResult]:
        """What they may do anywhere."""
        return {name: self._permission(name) for name in VIEWER_PERMISSIONS}

    def permissions_for_location(self, *, location_name: str) -> Mapping[str, PermissionResult]:
        """The same for one code location: a role does not differ from one to the other."""
        return {name: self._permission(name) for name in LOCATION_SCOPED_PERMISSIONS}

    def get_viewer_tags(self) -> dict[str, str]:
        """What Dagster tags the runs of a backfill with: who asked for it."""
        return actor_tags(self.identity.actor)

    def _permission(self, name: str) -> PermissionResult:
        right = _RIGHTS.get(Permissions(name), Right.MANAGE)
        if self.identity.has(right):
            return PermissionResult(enabled=True, disabled_reason=None)
        return PermissionResult(
            enabled=False, disabled_reason=f"the role {self.identity.role} does not have the right {right}"
        )


class RunbookProcessContext(WorkspaceProcessContext):
    """The workspace of the service, and the service itself for whoever resolves a field."""

    def __init__(self, instance: DagsterInstance, target: WorkspaceLoadTarget, *, service: "Service") -> None:
        self.service = service
        super().__init__(instance, target)

    def create_request_context(self, source: object | None = None) -> RunbookRequestContext:
        """The context of a request, which knows who asks."""
        return RunbookRequestContext(
            instance=self._instance,
            current_workspace=self.get_current_workspace(),
            process_context=self,
            version=self.version,
            source=source,
            read_only=self._read_only,
        )
