"""What a script is generated with, as a person says it and as the script's first lines keep it."""

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum

from runbook_factory.loadtest.refusal import LoadTestError

COMMAND = "rb loadtest generate"
MOST_INPUTS = 1000

_DURATION = re.compile(r"(?:[0-9]{1,6}(?:ms|s|m|h))+")
_STAGE = re.compile(rf"({_DURATION.pattern}):([0-9]{{1,5}})")


class Api(StrEnum):
    """By which of the service's two APIs executions are asked for."""

    REST = "rest"
    GRAPHQL = "graphql"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of time, as k6 writes it, and the number of users at its end."""

    duration: str
    target: int

    def __str__(self) -> str:
        """Such as `30s:10`."""
        return f"{self.duration}:{self.target}"


@dataclass(frozen=True, kw_only=True)
class ScriptOptions:
    """Without stages, the script has those that every load test has; without a source, the pack's inputs."""

    api: Api = Api.REST
    stages: tuple[Stage, ...] = ()
    fixture: str = ""
    scenario: str = ""
    from_executions: int = 0
    allow_writes: bool = False

    def command(self, runbook_id: str) -> str:
        """The command that generates the script; raises `LoadTestError` when it would not fit one line."""
        words = [runbook_id]
        words += ["--api", self.api.value] if self.api is not Api.REST else []
        words += [word for stage in self.stages for word in ("--stage", str(stage))]
        words += ["--fixture", self.fixture] if self.fixture else []
        words += ["--scenario", self.scenario] if self.scenario else []
        words += ["--from-executions", str(self.from_executions)] if self.from_executions else []
        words += ["--allow-writes"] if self.allow_writes else []
        command = f"{COMMAND} {shlex.join(words)}"
        if not command.isprintable():
            raise LoadTestError("the name of a fixture or scenario has a character that cannot be printed")
        return command


def parse_stage(text: str) -> Stage:
    """The stage that `text`, such as `30s:10`, states; raises `LoadTestError`."""
    found = _STAGE.fullmatch(text)
    if found is None:
        hint = "write it as duration:users, such as 30s:10 or 1m30s:50"
        raise LoadTestError(f"{text!r} is not a stage", hint=hint)
    return Stage(duration=found[1], target=int(found[2]))


def parse_duration(text: str) -> str:
    """`text`, when k6 reads it as a duration; raises `LoadTestError`."""
    if _DURATION.fullmatch(text) is None:
        raise LoadTestError(f"{text!r} is not a duration", hint="such as 30s or 1m30s")
    return text


def parse_command(line: str) -> tuple[str, ScriptOptions]:
    """The runbook and the options that `ScriptOptions.command` has written; raises `LoadTestError`."""
    values: dict[str, list[str]] = {}
    try:
        runbook_id, *words = shlex.split(line.removeprefix(COMMAND))
        while words:
            option = words.pop(0)
            values.setdefault(option, []).append("" if option == "--allow-writes" else words.pop(0))
        return runbook_id, ScriptOptions(
            api=Api(*values.pop("--api", ["rest"])),
            stages=tuple(parse_stage(text) for text in values.pop("--stage", [])),
            fixture="".join(values.pop("--fixture", [])),
            scenario="".join(values.pop("--scenario", [])),
            from_executions=int("".join(values.pop("--from-executions", ["0"]))),
            allow_writes=values.pop("--allow-writes", None) is not None,
        )
    except (ValueError, IndexError, TypeError):
        hint = f"generate it again with {COMMAND}"
        raise LoadTestError(f"this is no command that makes a load test: {line[:200]}", hint=hint) from None
