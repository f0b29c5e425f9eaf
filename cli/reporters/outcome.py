"""The outcome of `rb test`: what ran, what was found, and what could not run at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook_defs.problems import Problem
    from runbook_factory.acceptance import Case, CaseFinished


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A runbook that cannot be tested: it, or its acceptance pack, has errors."""

    runbook_id: str
    path: Path
    problems: "Sequence[Problem]"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All of one `rb test`, in the order it ran; `seconds` are real ones."""

    started_at: datetime
    seconds: float
    finished: "Sequence[CaseFinished]"
    broken: Sequence[Broken] = ()
    not_run: "Sequence[Case]" = ()

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(item.passed for item in self.finished)

    @property
    def failed(self) -> int:
        """How many cases did not."""
        return len(self.finished) - self.passed

    @property
    def good(self) -> bool:
        """Whether everything could be tested, and passed."""
        return not (self.failed or self.broken)

    def __str__(self) -> str:
        counts = [f"{self.passed} passed", f"{self.failed} failed"]
        counts += [f"{len(self.broken)} broken"] if self.broken else []
        counts += [f"{len(self.not_run)} not run"] if self.not_run else []
        return f"{', '.join(counts)} in {self.seconds:.1f}s"
