"""Reading files by name from one folder, which no name and no link leads out of."""

import os
import re
from pathlib import Path

from step_ops.errors import ErrorType, StepError

MAX_BYTES = 50 * 1024 * 1024
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Folder:
    """A folder that files are read from."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes:
        """The bytes of the file called `name`, such as `pages/list.html`.

        Raises `StepError` of type `file`. The path is opened part by part without following links, so
        that nothing can be swapped between the check and the reading.
        """
        parts = name.split("/")
        if len(parts) > 5 or not all(_PART.fullmatch(part) and part[-1] != "." for part in parts):
            raise StepError(
                ErrorType.FILE,
                f"{name!r} is not a file name inside {self.path.name}/",
                hint="use letters, digits, '.', '_' and '-', in at most five parts; no '..'",
            )
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts[:-1]:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                os.close(directory)
                directory = inner
            handle = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
            with os.fdopen(handle, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            message = f"cannot read {name!r} in {self.path.name}/: {reason}"
            raise StepError(ErrorType.FILE, message) from None
        finally:
            os.close(directory)
        if len(data) > MAX_BYTES:
            message = f"{name!r} is larger than {MAX_BYTES // 1024**2} MiB"
            raise StepError(ErrorType.FILE, message)
        return data
