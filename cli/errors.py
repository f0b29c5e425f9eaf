"""The boundary: every error becomes text and an exit code here, and nowhere else."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import typer


class Exit(IntEnum):
    """What the exit codes of `rb` mean."""

    GOOD = 0
    FINDINGS = 1  # invalid, failed, deviated
    CANNOT = 2  # usage, no database, not replayable
    BUG = 3
    INTERRUPTED = 130


class Stop(Exception):
    """A command ends here: a sentence for the user, the next move, and the exit code."""

    def __init__(self, message: str, *, hint: str = "", code: Exit = Exit.CANNOT) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


def boundary(command: Callable[[], Any]) -> int:
    """Runs `command`; gives the exit code, having said on stderr what went wrong if it did."""
    try:
        code = command()
    except typer.Exit as left:
        return left.exit_code
    except typer.TyperException as error:
        _usage(error)
        return Exit.CANNOT
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left: nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.GOOD
    except Exception as error:
        return _failed(error)
    if code == Exit.INTERRUPTED:
        _say("interrupted")
    return code if isinstance(code, int) else Exit.GOOD


def _failed(error: Exception) -> int:
    message = getattr(error, "message", None)
    if isinstance(error, Stop):
        _say(error.message, error.hint)
        return error.code
    if isinstance(message, str) and _is_ours(error):
        path = getattr(error, "path", None)
        _say(f"{path}: {message}" if path else message, getattr(error, "hint", ""))
        return Exit.CANNOT
    log = _log(error)
    _say(
        f"internal error: {type(error).__name__} (details in {log})",
        "please report it with that file",
    )
    return Exit.BUG


def _usage(error: typer.TyperException) -> None:
    show = getattr(error, "show", None)
    if callable(show):
        show()
    else:
        _say(str(error))


def _is_ours(error: Exception) -> bool:
    """Whether the error is one of our packages', made for a reader."""
    return type(error).__module__.split(".")[0] in {
        "runbook_defs",
        "runbook_factory",
        "runbook_service",
        "step_ops",
    }


def _say(message: str, hint: str = "") -> None:
    sys.stdout.flush()
    print(f"rb: {message}", file=sys.stderr)
    if hint:
        print(f"    {hint}", file=sys.stderr)


def _log(error: Exception) -> Path:
    name = f"rb-error-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
    path = Path(tempfile.gettempdir()) / name
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as log:
        log.writelines(traceback.format_exception(error))
    return path
