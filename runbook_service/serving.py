"""The service as one process that people start: web server, Dagster's daemon, embedded database."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import create_server, socket

import uvicorn
from dagster._core.workspace.load_target import WorkspaceFileTarget
from starlette.applications import Starlette

from runbook_factory import schema
from runbook_factory.actors import local_actor
from runbook_factory.audit.delivery import Delivery, DeliveryThread
from runbook_factory.audit.sink import load_sink
from runbook_factory.database import engine, reachable
from runbook_factory.instance import stored_instance
from runbook_factory.opening import make_ready
from runbook_factory.project import Project
from runbook_service.changes import Changes
from runbook_service.identities.roles import Role
from runbook_service.identities.tokens import create_token, list_tokens
from runbook_service.launching import LOCATION
from runbook_service.programs import Program
from runbook_service.progress import Progress
from runbook_service.service import Service
from runbook_service.web.context import RunbookProcessContext
from runbook_service.web.server import RunbookWebserver
from runbook_service.workers.worker import check_slots

WORKSPACE = """load_from:
  - python_module:
      module_name: runbook_factory.workspace
      location_name: runbooks
"""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: int = 8080


class PortTaken(Exception):
    """Another program listens there."""

    def __init__(self, address: Address) -> None:
        self.message = f"port {address.port} of {address.host} cannot be listened at: another program has it"
        self.hint = "name another one: rb serve --port ..."
        super().__init__(self.message)


def free(address: Address) -> None:
    """Raises `PortTaken` when nobody can listen there, before anything is started."""
    try:
        with create_server((address.host, address.port)):
            pass
    except OSError:
        raise PortTaken(address) from None


def first_token(project: Project) -> str | None:
    """The secret of an admin token, made when there is no token yet; it is shown this once."""
    make_ready(project)
    with reachable():
        known = engine(project)
        schema.ensure(known)
        if list_tokens(known):
            return None
        return create_token(known, "first admin", Role.ADMIN, by=local_actor())[1]


@contextmanager
def application(project: Project, *, changed: Sequence[Callable[[], None]] = ()) -> Iterator[Starlette]:
    """The ASGI application, with all it needs running beside it; calls `changed` when runbooks were."""
    workspace = _workspace(project)
    with stored_instance(project) as instance:
        progress = Progress(engine(project))
        progress.start()
        service = Service(project=project, engine=engine(project), instance=instance, progress=progress)
        target = WorkspaceFileTarget(paths=[str(workspace)])
        try:
            with RunbookProcessContext(instance, target, service=service) as context:
                reload = partial(context.reload_code_location, LOCATION)
                with Changes(project, [reload, *changed]):
                    yield RunbookWebserver(context, service).create_asgi_app()
        finally:
            progress.stop()


def serve(
    project: Project, address: Address, *, ready: Callable[[], None], daemon: bool = True, slots: int = 0
) -> None:
    """Serves until it is told to stop; `ready` is called when it answers.

    Runs are executed by a worker with so many `slots`, or by workers elsewhere.
    """
    if slots:
        check_slots(project, slots)
    # Once it has stopped, uvicorn sends itself the signal again: what runs beside must be ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    schedules = _daemon(project)
    with (
        application(project, changed=[schedules.renew]) as app,
        schedules if daemon else nullcontext(),
        worker_beside(project, slots) if slots else nullcontext(),
        _delivery(project),
    ):
        config = uvicorn.Config(
            app,
            host=address.host,
            port=address.port,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        server = _Server(config, ready)
        server.run()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


@contextmanager
def _delivery(project: Project) -> Iterator[None]:
    """Hands the audit log to the external service, where the deployment names one."""
    sink = load_sink(project)
    if sink is None:
        yield
        return
    thread = DeliveryThread(Delivery(engine=engine(project), sink=sink))
    thread.start()
    try:
        yield
    finally:
        thread.stop()


def _daemon(project: Project) -> Program:
    """Dagster's daemon, which runs schedules."""
    return Program(project, ["dagster._daemon", "run", "-w", str(_workspace(project))], quiet=True)


def worker_beside(project: Project, slots: int) -> Program:
    """A worker in a process of its own."""
    return Program(project, ["runbook_service.workers", str(slots)])


def _workspace(project: Project) -> Path:
    """The project's `workspace.yaml`, else one that says the same."""
    own = project.root / "workspace.yaml"
    if own.is_file():
        return own
    path = project.state_folder() / "workspace.yaml"
    path.write_text(WORKSPACE, encoding="utf-8")
    return path
