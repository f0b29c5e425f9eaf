"""`python -m runbook_service.workers.template FD PARENT DOOR`: the process that slots are forked from.

It has imported all that a run needs and loaded every runbook, and holds no connection, thread or loop,
so that a fork of it is safe, starts in milliseconds and shares its memory.
"""

import gc
import os
import signal
import socket
import struct
import sys
from importlib import import_module

from runbook_factory.project import find_project
from runbook_service.process import die_with
from runbook_service.workers import slot
from runbook_service.workers.warm_jobs import WarmJobs
from step_ops.drivers.studio_door import use_door

READY = struct.pack("i", 0)


# What a slot needs once it has opened its instance: loaded here, its memory is shared.
_OF_AN_INSTANCE = (
    "dagster._core.instance.factory",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.migration.utils",
    "dagster._core.storage.noop_compute_log_manager",
    "dagster._core.storage.root",
    "dagster_postgres",
    "runbook_factory.dagster_storage",
    "runbook_service.launcher",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "upath.implementations.local",
)


def main(fd: int, parent: int, door: int) -> None:
    """Forks a slot for each socket that comes in, and answers with its process id.

    Slots ask for pictures at the socket `door`, or take them themselves where that is -1.
    """
    die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):  # it is the worker who says when to stop
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended slots leave nothing behind
    control = socket.socket(fileno=fd)
    if door >= 0:
        os.set_inheritable(door, False)  # by a fork still
        use_door(socket.socket(fileno=door))
    for name in _OF_AN_INSTANCE:
        import_module(name)
    jobs = WarmJobs.of(find_project())
    gc.collect()
    gc.set_threshold(20_000, 20, 20)  # a run makes little garbage, and looking for it is dear
    gc.freeze()  # a collection in a slot would write to, and so copy, every page
    try:
        control.sendall(READY)
    except OSError:  # the worker has stopped meanwhile
        return
    while True:
        message, sockets, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_slot(control, sockets[0], own, jobs)
        os.close(sockets[0])
        control.sendall(struct.pack("i", pid))


def _become_slot(control: socket.socket, fd: int, parent: int, jobs: WarmJobs) -> None:
    status = 1
    try:
        die_with(parent)
        control.close()
        slot.serve(socket.socket(fileno=fd), jobs)
        status = 0
    finally:
        # Never back into the template's frames.
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
