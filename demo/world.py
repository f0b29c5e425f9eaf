"""The real parts that shipped runbooks run against, as processes that end with their block."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from demo.app import DEFAULT_TOKEN

START_SECONDS = 15.0


class MissingPart(Exception):
    """A part that cannot be started; the message says which and what to do."""


@contextmanager
def upstream(*, port: int = 0) -> Iterator[str]:
    """The URL of a running demo upstream; port 0 takes a free one."""
    command = [sys.executable, "-m", "demo", "--port", str(port)]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if "http://" not in line:
                reason = process.stderr.read().strip() if process.stderr else ""
                raise MissingPart(reason or "the demo upstream did not start")
            yield line.split()[-1]
        finally:
            process.terminate()


@contextmanager
def pushgateway(*, port: int = 0, checks: bool = True) -> Iterator[str]:
    """The URL of a running Prometheus Pushgateway that knows of nothing yet; port 0 takes a free one.

    Without `checks` a push is not held against all that were pushed before.
    """
    program = shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")
    if program is None:
        raise MissingPart("no Pushgateway: install prometheus-pushgateway, or put pushgateway on the PATH")
    address = f"127.0.0.1:{port or _free_port()}"
    options = ["--persistence.file="]  # Debian's has one for all of the machine by default
    if not checks:
        options.append("--push.disable-consistency-check")
    with subprocess.Popen(  # noqa: S603 - found on the PATH
        [program, f"--web.listen-address={address}", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_until_ready(f"http://{address}/-/ready")
            yield f"http://{address}"
        finally:
            process.terminate()


def surroundings(*, api: str, metrics: str | None, warehouse: str) -> dict[str, str]:
    """The variables by which the shipped runbooks find these parts; without `metrics` they cannot publish."""
    found = {
        "SOURCE_API_URL": f"{api}/api/entities",
        "API_BASE_URL": api,
        "API_TOKEN": DEFAULT_TOKEN,
        "WAREHOUSE_URL": warehouse,
    }
    return found if metrics is None else {**found, "PUSHGATEWAY_URL": metrics}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.05)
    raise MissingPart(f"nothing answers at {url}")
