"""`python -m runbook_service.workers.studio DOOR PARENT`: the process whose browser the slots share."""

import asyncio
import signal
import socket
import sys

from runbook_service.process import die_with


def main(door: int, parent: int) -> None:
    """Takes pictures until nobody has wanted one for a while; SIGTERM ends it sooner."""
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the worker who says when to stop
    with socket.socket(fileno=door) as behind:
        asyncio.run(_work(behind))


async def _work(door: socket.socket) -> None:
    from step_ops.drivers.studio import Studio

    studio = Studio()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, studio.end)
    await studio.work(door)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
