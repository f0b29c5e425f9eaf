"""Who starts executions, as far as this package can tell."""

import getpass
import socket
from uuid import NAMESPACE_URL, uuid5

from runbook_defs.execution import Actor


def local_actor() -> Actor:
    """The user of this machine that runs this process; the id is the same every time."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        user = "unknown"
    name = f"{user}@{socket.gethostname()}"
    return Actor(id=str(uuid5(NAMESPACE_URL, f"user:{name}")), name=name)


def schedule_actor(owner: str) -> Actor:
    """Who runs of a schedule are made in the name of: the owner of the runbook."""
    name = f"schedule:{owner}"
    return Actor(id=str(uuid5(NAMESPACE_URL, name)), name=name, kind="schedule")
