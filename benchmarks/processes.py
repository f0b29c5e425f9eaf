"""Processes as the kernel sees them: who started whom, their CPU time, their memory."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MS_PER_TICK = 1000 / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Those that `pid` started and that have not ended."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(each) for each in (task / "children").read_text().split()]
    return sorted(found)


def family(pid: int) -> list[int]:
    """`pid` and all below it."""
    return [pid, *(each for child in children(pid) for each in family(child))]


def command(pid: int) -> str:
    """What it was started as; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def cpu_ms(pids: Iterable[int]) -> float:
    """Milliseconds of CPU that they have used, with those of their children that ended before."""
    return sum(_ticks(pid) for pid in pids) * MS_PER_TICK


def _ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime


def pss_mb(pid: int) -> float:
    """Its memory in MB, of what it shares with others its part; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
