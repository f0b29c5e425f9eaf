"""`rb loadtest run --junit FILE --html FILE --json FILE`: a load test as files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.errors import Stop
from cli.reporters.loadtest import LoadTest, as_data
from cli.reporters.loadtest_html import as_html
from cli.reporters.loadtest_junit import as_junit


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where reports go; those without a path are not written."""

    junit: Path | None
    html: Path | None
    json: Path | None

    def make_folders(self) -> None:
        """Looks that they can be written, before there is something to write; raises `Stop`."""
        for path in filter(None, (self.junit, self.html, self.json)):
            if path.is_dir():
                raise Stop(f"cannot write {path}: it is a folder", hint="name a file")
            with _writable(path):
                path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, test: LoadTest) -> None:
        """Writes them; raises `Stop` when that cannot be."""
        made = (
            (self.junit, as_junit(test)),
            (self.html, as_html(test).encode()),
            (self.json, (json.dumps(as_data(test), indent=2) + "\n").encode()),
        )
        for path, data in made:
            if path is not None:
                with _writable(path):
                    path.write_bytes(data)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Stop(f"cannot write {path}: {reason}") from None
