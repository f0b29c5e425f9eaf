"""Programs that a benchmark measures: each a process of its own that ends with its block."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 180.0
STOP_SECONDS = 60.0
# The user's own settings must not reach into what is measured.
FOREIGN = re.compile(r"(RUNBOOK|DAGSTER|DBOS)_.*")


class NotStarted(Exception):
    """A program that ended before it was ready; the message has its last words."""


@contextmanager
def program(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]
) -> "Iterator[subprocess.Popen[str]]":
    """The running program, with a pipe to and from it; its errors are in `errors.txt` of the folder."""
    with (folder / "errors.txt").open("a") as errors:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={**own_environment(), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the benchmark, which then ends it
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def line_with(process: "subprocess.Popen[str]", word: str) -> list[str]:
    """What the program has said until a line with `word`; raises `NotStarted` when it ends before."""
    said: list[str] = []
    for line in process.stdout or ():
        said.append(line.strip())
        if word in line:
            return said
    raise NotStarted(f"{process.args!r} ended: {' '.join(said[-3:])}")


def listening(process: "subprocess.Popen[str]", port: int) -> None:
    """Waits until the program listens there; raises `NotStarted`."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise NotStarted(f"{process.args!r} does not listen at port {port}")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def own_environment() -> dict[str, str]:
    """The environment without what would change what is measured."""
    return {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
