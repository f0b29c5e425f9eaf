"""Sees that runbooks were changed on disk, so that Dagster's pages and schedules follow."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Self

from runbook_factory.project import Project

TICK_SECONDS = 2.0

_log = logging.getLogger("runbook.service")

Stamp = frozenset[tuple[str, int, int]]


class Changes:
    """Calls `then` when files below `runbooks/` were changed, and have been left alone for a moment."""

    def __init__(self, project: Project, then: Sequence[Callable[[], None]]) -> None:
        self._project, self._then = project, then
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="changes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)

    def _watch(self) -> None:
        known = before = _stamp(self._project)
        while not self._stopped.wait(TICK_SECONDS):
            now = _stamp(self._project)
            if now == before != known:
                known = now
                self._tell()
            before = now

    def _tell(self) -> None:
        for call in self._then:
            try:
                call()
            except Exception as error:
                _log.warning("runbooks were changed, and cannot be loaded again: %s", error)


def _stamp(project: Project) -> Stamp:
    """What tells whether a file was changed: its name, when it was written, its size."""
    found = []
    for path in project.runbooks.glob("*/**/*"):
        try:
            status = path.stat()
        except OSError:  # gone meanwhile
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(found)
