"""Secrets from a folder with one file per name, as Kubernetes, Docker and systemd mount them.

Kubernetes swaps all files at once: each is a link to `..data/NAME`, and `..data` is a link to a folder
that is replaced. A file is therefore found anew at every use, link by link, from the folder's own handle.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from step_ops.deployment import checked, filled
from step_ops.errors import ErrorType, StepError
from step_ops.secret_providers.source import MAX_BYTES, NAME, Missing, failed

_MAX_LINKS = 8
_TRIES = 3  # a rotation may take a folder away between two links
_PATH = TypeAdapter(str)


class _Outside(Exception):
    """A link leads out of the folder, or to no end."""


class Files:
    """The files of the folder at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path

    @staticmethod
    def from_settings(settings: Any, *, place: str) -> "Files":
        """The source that `files: PATH` means; raises `StepError`."""
        return Files(checked(_PATH, settings, place=place))

    @property
    def place(self) -> str:
        """The folder as the deployment names it."""
        return f"files {self._path}"

    def find(self, name: str) -> str | Missing:
        """The text of the file called `name`, without one line end at its end; nothing counts as missing."""
        if not NAME.fullmatch(name):
            hint = "use letters, digits, '_', '-' and '.' in names of secrets"
            return Missing(reason="has a name that no file of secrets may have", hint=hint)
        for _ in range(_TRIES):
            try:
                return _text(name, self._read(name)) or self._missing(name, "is empty")
            except FileNotFoundError:
                continue
            except _Outside as error:
                hint = "only links inside the folder are followed, as Kubernetes makes them"
                raise failed(name, f"in {self._path} {error}", hint=hint) from None
            except OSError as error:
                reason = (error.strerror or type(error).__name__).lower()
                hint = f"let the user that runs rb read the files of {self._path}"
                raise failed(name, f"cannot be read from {self._path}: {reason}", hint=hint) from None
        return self._missing(name, "has no file")

    def check(self) -> str:
        """That the folder can be read."""
        with self._folder() as folder:
            names = [name for name in os.listdir(folder) if NAME.fullmatch(name)]  # noqa: PTH208 - by handle
        return f"{len(names)} {'file' if len(names) == 1 else 'files'}"

    def _missing(self, name: str, what: str) -> Missing:
        return Missing(reason=f"{what} in {self._path}", hint=f"mount it as {self._path.rstrip('/')}/{name}")

    def _read(self, name: str) -> bytes:
        with self._folder() as folder:
            handle = _open(folder, name)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise failed(name, f"in {self._path} is not a file", hint="mount it as a file")
            if status.st_mode & stat.S_IWOTH:
                hint = "chmod o-w: whoever can write it decides what steps send"
                raise failed(name, f"in {self._path} can be written by everyone", hint=hint)
            return os.read(handle, MAX_BYTES + 1)
        finally:
            os.close(handle)

    @contextmanager
    def _folder(self) -> Iterator[int]:
        path = Path(filled(self._path, self._unset))
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            hint = "mount it, or take it from `secrets:` in connections.yaml"
            message = f"the folder of secrets {self._path} cannot be opened: {reason}"
            raise StepError(ErrorType.SECRET, message, hint=hint) from None
        try:
            yield handle
        finally:
            os.close(handle)

    def _unset(self, variable: str) -> StepError:
        message = f"the folder of secrets {self._path} needs the environment variable {variable}"
        return StepError(ErrorType.SECRET, message, hint=f"export {variable}=...")


def _text(name: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise failed(name, f"is larger than {MAX_BYTES // 1024} KiB", hint="a secret is a key or a password")
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise failed(name, "is not UTF-8 text", hint="store it as text, such as base64") from None


def _open(folder: int, name: str) -> int:
    """A handle of the file, to which only links inside `folder` lead.

    No part is opened through a link: each link is read and its parts are taken in its place, so that
    nothing can be swapped between the check and the reading. Raises `OSError` or `_Outside`.
    """
    parts, links = [name], 0
    directory = os.dup(folder)
    try:
        while True:
            part, *rest = parts
            target = _link(part, directory)
            if target is not None:
                links += 1
                if target.startswith("/") or ".." in target.split("/") or links > _MAX_LINKS:
                    raise _Outside("is a link that leads out of the folder")
                parts = [*(piece for piece in target.split("/") if piece not in ("", ".")), *rest]
                continue
            if not rest:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                return os.open(part, flags, dir_fd=directory)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory, parts = inner, rest
    finally:
        os.close(directory)


def _link(part: str, directory: int) -> str | None:
    try:
        return os.readlink(part, dir_fd=directory)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        return None  # not a link
