"""The demo upstream, really started on a free port."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).parent.parent.parent
# The demo is not installed with the packages: it runs from the checkout.
sys.path.insert(0, str(ROOT))


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A running demo, and the ways to ask it something."""

    process: subprocess.Popen[str]
    url: str
    token: str

    def fetch(self, path: str = "/api/entities", **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.get(f"{self.url}{path}", **({"headers": headers, "timeout": 10} | options))

    def query(self, query: str, variables: Any = None) -> requests.Response:
        request = {"query": query, "variables": variables}
        return requests.post(f"{self.url}/graphql", json=request, timeout=10)

    def switch(self, *switches: dict[str, Any]) -> requests.Response:
        return requests.put(f"{self.url}/switches", json=list(switches), timeout=10)

    def switches(self) -> list[dict[str, Any]]:
        return requests.get(f"{self.url}/switches", timeout=10).json()

    def clear(self) -> requests.Response:
        return requests.delete(f"{self.url}/switches", timeout=10)


@contextmanager
def started() -> Iterator[Upstream]:
    token = "token-of-this-test"
    with subprocess.Popen(
        [sys.executable, "-m", "demo", "--port", "0"],
        cwd=ROOT,
        env=os.environ | {"DEMO_API_TOKEN": token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line.startswith("demo upstream on http://127.0.0.1:"), line
            yield Upstream(process=process, url=line.split()[-1], token=token)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[Upstream]:
    with started() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Iterator[Upstream]:
    yield shared_upstream
    shared_upstream.clear().raise_for_status()


@pytest.fixture
def own_upstream() -> Iterator[Upstream]:
    with started() as upstream:
        yield upstream


@pytest.fixture
def root() -> Path:
    return ROOT
