"""What the service can do for somebody, whichever way they ask: GraphQL or REST."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceRequestContext
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from runbook_defs.execution import Status
from runbook_factory.catalog import InvalidRunbook, LoadedRunbook, load_all, load_runbook
from runbook_factory.execution_log import NoSuchExecution, get_execution, list_executions
from runbook_factory.project import Project, ProjectError
from runbook_factory.replay.recording import NotReplayable, load_recording
from runbook_service.executions import RUNNING, NotFound, as_data, find_execution, replay_to_begin
from runbook_service.identities.identity import Identity
from runbook_service.identities.roles import Right
from runbook_service.launching import LaunchError, Wanted, launch, launch_replay
from runbook_service.progress import Progress
from runbook_service.run_queue import run_queue

MOST_LISTED = 100
ID_CHARACTERS = 36


class Forbidden(Exception):
    """They may not; the message says which right it takes."""

    def __init__(self, right: Right, identity: Identity) -> None:
        self.message = f"the role {identity.role} does not have the right {right}"
        super().__init__(self.message)


@dataclass
class Service:
    """The runbooks and executions of one project."""

    project: Project
    engine: Engine
    instance: DagsterInstance
    progress: Progress
    _loaded: dict[str, tuple[float, LoadedRunbook]] = field(default_factory=dict)

    def runbooks(self, identity: Identity) -> list[LoadedRunbook]:
        """Those of theirs that can run."""
        _need(identity, Right.VIEW)
        return load_all(self.project, identity.of_theirs(self.project.runbook_ids()))[0]

    def runbook(self, runbook_id: str, identity: Identity, right: Right = Right.VIEW) -> LoadedRunbook:
        """The runbook, when they have the right for it; raises `NotFound`, `Forbidden`, `LaunchError`."""
        if not identity.reaches(runbook_id):
            raise NotFound(f"there is no runbook {runbook_id!r}")
        _need(identity, right)
        try:
            changed = self.project.runbook_file(runbook_id).stat().st_mtime
            known = self._loaded.get(runbook_id)
            if known is None or known[0] != changed:
                known = self._loaded[runbook_id] = (changed, load_runbook(self.project, runbook_id))
            return known[1]
        except (ProjectError, OSError):
            raise NotFound(f"there is no runbook {runbook_id!r}") from None
        except InvalidRunbook as error:
            first = error.problems[0]
            raise LaunchError(
                "invalid_runbook", f"the runbook does not load: line {first.line}: {first.message}"
            ) from None

    def execution(self, name: str, identity: Identity) -> dict[str, Any]:
        """The execution as data; raises `NotFound`."""
        _need(identity, Right.VIEW)
        try:
            return find_execution(self.engine, self.instance, name, identity)
        except NotFound:
            job = run_queue(self.engine).find(name) if len(name) == ID_CHARACTERS else None
            if job is None or "execution" not in job.asked:
                raise
            original = find_execution(self.engine, self.instance, job.asked["execution"], identity)
            return replay_to_begin(name, original["runbook_id"])

    def executions(
        self,
        identity: Identity,
        *,
        runbook_id: str | None = None,
        status: Status | None = None,
        modes: tuple[str, ...] = ("live",),
        limit: int = 20,
    ) -> list[dict[str, Any]]:
        """The newest of theirs, without steps."""
        _need(identity, Right.VIEW)
        found = list_executions(
            self.engine,
            runbook_id=runbook_id,
            status=status,
            modes=modes,
            limit=MOST_LISTED if identity.is_limited else limit,
            settles=False,
        )
        theirs = [record for record in found if identity.reaches(record.runbook_id)]
        return [as_data(record, identity) for record in theirs[:limit]]

    def execute(
        self,
        context: WorkspaceRequestContext,
        runbook_id: str,
        identity: Identity,
        *,
        inputs: dict[str, Any],
        deny: tuple[str, ...] = (),
        key: str | None = None,
    ) -> str:
        """Starts an execution; gives its id. Raises `NotFound`, `Forbidden` or `LaunchError`."""
        runbook = self.runbook(runbook_id, identity, Right.RUN)
        return launch(context, Wanted(runbook=runbook, inputs=inputs, deny=deny, key=key), identity)

    def replay(self, name: str, identity: Identity, *, live: bool = False, allow_writes: bool = False) -> str:
        """Starts a replay; gives its id. Raises `NotFound`, `Forbidden` or `LaunchError`."""
        if allow_writes and not live:
            raise LaunchError("bad_request", "allow_writes goes with live")
        try:
            record = get_execution(self.engine, name)
        except NoSuchExecution as error:
            raise NotFound(error.message, hint=error.hint) from None
        if not identity.reaches(record.runbook_id):
            raise NotFound(f"there is no execution {name!r}")
        _need(identity, Right.REPLAY_LIVE if live else Right.REPLAY)
        if allow_writes:
            _need(identity, Right.RUN)
        try:
            load_recording(self.engine, record.id)
        except NotReplayable as error:
            message = f"not replayable because {error.message}"
            raise LaunchError("not_replayable", message, hint=error.hint) from None
        return launch_replay(self.project, record.id, identity, live=live, allow_writes=allow_writes)

    def cancel(self, name: str, identity: Identity) -> str:
        """Tells a running execution to stop; gives its id. Raises `NotFound`, `Forbidden`, `LaunchError`."""
        found = self.execution(name, identity)
        _need(identity, Right.CANCEL)
        if found["status"] != RUNNING:
            raise LaunchError("not_running", f"the execution is not running: it ended as {found['status']}")
        if not self.instance.run_coordinator.cancel_run(found["id"]):
            raise LaunchError("not_cancelled", "the run could not be told to stop: it may just have ended")
        return str(found["id"])

    def ended(self, execution_id: str, identity: Identity) -> dict[str, Any] | None:
        """The execution as data, when it has ended; None until then."""
        try:
            found = self.execution(execution_id, identity)
        except NotFound:  # a replay whose process has not begun
            return None
        return None if found["status"] == RUNNING else found

    async def wait(self, execution_id: str, identity: Identity) -> AsyncIterator[dict[str, Any]]:
        """The execution each time that something has happened to it, at last when it has ended."""
        seen: Any = None
        async for _ in self.progress.changes(execution_id):
            try:
                found = await run_in_threadpool(self.execution, execution_id, identity)
            except NotFound:
                continue  # a replay whose process has not begun
            now = (
                found["status"],
                [(step["step"], step["attempt"], step["status"]) for step in found["steps"]],
            )
            if now != seen:
                seen = now
                yield found
            if found["status"] != RUNNING:
                return


def _need(identity: Identity, right: Right) -> None:
    if not identity.has(right):
        raise Forbidden(right, identity)
