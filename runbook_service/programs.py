"""The programs that run beside the service, in processes of their own: Dagster's daemon, a worker."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Self

from runbook_factory.project import Project
from runbook_service.dagster_process import dagster_environment

STOP_SECONDS = 30.0  # a worker ends the runs that it has
AGAIN_SECONDS = 2.0
_TICK_SECONDS = 0.2

_log = logging.getLogger("runbook.service")


class Program:
    """A Python module that is run as long as the `with` lasts, and again when it ends by itself."""

    def __init__(self, project: Project, arguments: Sequence[str], *, quiet: bool = False) -> None:
        self._project, self._arguments, self._quiet = project, list(arguments), quiet
        self._stopping = threading.Event()
        self._renewed = threading.Event()
        # The kernel ends a program with the thread that started it: one thread does all of that.
        self._thread = threading.Thread(target=self._keep, name=self._arguments[0], daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._thread.join()

    def renew(self) -> None:
        """Has it ended and started again."""
        self._renewed.set()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            process = self._started()
            while process.poll() is None and not (self._stopping.is_set() or self._renewed.is_set()):
                self._stopping.wait(_TICK_SECONDS)
            if process.poll() is not None and not self._stopping.is_set():
                _log.warning("%s ended (%s) and is started again", self._arguments[0], process.returncode)
                self._stopping.wait(AGAIN_SECONDS)
            self._renewed.clear()
            _end(process)

    def _started(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603 - Dagster's own program, and ours
            [sys.executable, "-m", "runbook_service.beside", str(os.getpid()), *self._arguments],
            cwd=self._project.root,
            env=dict(dagster_environment(self._project)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if self._quiet else None,
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
