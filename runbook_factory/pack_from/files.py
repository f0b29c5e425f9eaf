"""The files of a scenario, written all or none."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from runbook_defs.problems import listed
from runbook_factory.pack_from.refusal import NotPackable
from runbook_factory.whole_file import write_whole


def check_free(folder: Path, names: Sequence[str]) -> None:
    """Raises `NotPackable` when one of the files is there already."""
    taken = [name for name in names if os.path.lexists(folder / name)]
    if taken:
        message = f"in the way in {folder}: {listed(taken)}"
        raise NotPackable(message, hint="choose another --name; nothing was written")


def write_all(folder: Path, files: Mapping[str, bytes], *, last: tuple[str, bytes]) -> None:
    """Writes new files into `folder`, and at last one that may be there; or takes back what it wrote.

    Raises `NotPackable` when that cannot be.
    """
    made: list[Path] = []
    try:
        for name, data in files.items():
            for missing in _missing((folder / name).parent):
                missing.mkdir()
                made.append(missing)
            with (folder / name).open("xb") as file:
                made.append(folder / name)
                file.write(data)
        write_whole(folder / last[0], last[1])
    except OSError as error:
        _take_back(made)
        reason = (error.strerror or str(error)).lower()
        message = f"cannot write {error.filename or folder}: {reason}"
        raise NotPackable(message, hint="nothing was written") from None
    except BaseException:
        _take_back(made)
        raise


def _missing(folder: Path) -> list[Path]:
    """The folders down to `folder` that are not there, the outermost first."""
    missing = [item for item in (folder, *folder.parents) if not item.is_dir()]
    return list(reversed(missing))


def _take_back(made: Sequence[Path]) -> None:
    for path in reversed(made):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
