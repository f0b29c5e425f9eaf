"""What the processes that we start have in common: none outlives the one that started it."""

import ctypes
import os
import resource
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with(parent: int, *, by: int = signal.SIGKILL) -> None:
    """Has the kernel send this process a signal when `parent`, which started it, ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # it ended before that was said
        os._exit(1)


def own_bytes() -> int:
    """The memory of this process that is no file's: what it still shares since its fork is counted, too."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return (int(resident) - int(shared)) * resource.getpagesize()
