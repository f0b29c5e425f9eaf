"""What all tests share: `rb`, the command line without a process of its own."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cli.errors import boundary
from cli.main import app
from tests.ledger import ledger
from tests.projects import postgres, query, server, shipped, workshop

__all__ = ["ledger", "postgres", "query", "server", "shipped", "workshop"]


@dataclass(frozen=True)
class Answer:
    """What `rb` said, and the exit code."""

    out: str
    err: str
    code: int


@pytest.fixture
def rb(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Runs `rb` with these arguments, as its own process would."""

    def run(*args: str) -> Answer:
        capsys.readouterr()
        code = boundary(lambda: app(list(args), standalone_mode=False))
        said = capsys.readouterr()
        return Answer(said.out, said.err, int(code))

    return run
