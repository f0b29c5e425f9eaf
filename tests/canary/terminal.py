"""`rb` as at a terminal: all that it says is kept, whoever in its process says it."""

import pytest

from cli.errors import boundary
from cli.main import app
from tests.canary.searching import Place


class Terminal:
    """Runs commands in this process; `place` has what they wrote to stdout and stderr."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self.place = Place("output of `rb`")

    def rb(self, *arguments: str, code: int) -> str:
        """What the command says; it must end with this exit code."""
        self._captured.readouterr()
        left = boundary(lambda: app(list(arguments), standalone_mode=False))
        said = self._captured.readouterr()
        self.place.add(f"rb {arguments[0]}", said.out)
        self.place.add(f"rb {arguments[0]}, stderr", said.err)
        assert left == code, (arguments, said.out, said.err)
        return said.out

    def execution(self, *arguments: str) -> str:
        """The id of the execution that the command ran, which ended as a failure."""
        return self.rb(*arguments, code=1).split()[-1]
