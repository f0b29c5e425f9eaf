"""What can be wrong with a runbook: a closed set of codes, each problem with its place and next move."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Severity(StrEnum):
    """An error keeps a runbook from running; a warning only does so under `--strict`."""

    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """Stable names of the kinds of problem; `docs/problems.md` has a section for each."""

    UNREADABLE = "RB001"
    TOO_LARGE = "RB002"
    NOT_UTF8 = "RB003"
    MALFORMED = "RB004"
    TOO_DEEP = "RB005"
    TOO_MANY_NODES = "RB006"
    ALIAS = "RB007"
    MERGE_KEY = "RB008"
    DUPLICATE_KEY = "RB009"
    NOT_ONE_MAPPING = "RB010"
    TAG = "RB011"
    KEY_NOT_TEXT = "RB012"

    UNKNOWN_KEY = "RB101"
    MISSING_KEY = "RB102"
    WRONG_VALUE = "RB103"
    ID_NOT_FOLDER = "RB104"

    DUPLICATE_STEP = "RB201"
    CYCLE = "RB202"
    UNKNOWN_STEP_TYPE = "RB203"
    UNKNOWN_DEPENDENCY = "RB204"
    DUPLICATE_DEPENDENCY = "RB205"
    SELF_DEPENDENCY = "RB206"
    UNKNOWN_STEP_INPUT = "RB207"
    MISSING_STEP_INPUT = "RB208"
    WRONG_STEP_INPUT = "RB209"
    BROKEN_STEP_TYPE = "RB210"
    UNSAFE_RETRY = "RB211"
    FOR_EACH = "RB212"

    UNKNOWN_STEP = "RB301"
    NOT_UPSTREAM = "RB302"
    UNDECLARED_OUTPUT = "RB303"
    UNDEFINED_NAME = "RB304"
    MISSING_FILE = "RB305"
    FILE_OUTSIDE = "RB306"
    BROKEN_FILE = "RB307"
    UNUSED_INPUT = "RB308"
    UNUSED_OUTPUT = "RB309"
    SECRET_AND_INPUT = "RB310"  # noqa: S105 - a name, not a value

    EXPRESSION = "RB401"
    JSONPATH = "RB402"
    CRON = "RB403"

    KPI = "RB501"
    ASSUMPTION = "RB502"
    INPUT = "RB503"
    TOLERANCE = "RB504"
    SCHEDULE = "RB505"

    NO_PACK = "RB601"
    PACK = "RB602"
    NOT_MADE = "RB603"

    NOT_BUILT = "RB901"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong: where, what, and how to mend it. Lines and columns count from 1."""

    code: Code
    message: str
    path: Path
    line: int = 1
    column: int = 1
    hint: str = ""
    severity: Severity = Severity.ERROR


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest of `known`, else an empty text."""
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The one of `known` that is most like `word`, or an empty text when none is."""
    # A long word costs the square of its length, and is no slip of the pen.
    spelt = {item.lower(): item for item in known}
    near = difflib.get_close_matches(word[:100].lower(), list(spelt), n=1, cutoff=0.6)
    return spelt[near[0]] if near else ""


def listed(names: Iterable[str], *, most: int = 12) -> str:
    """The names in a row, no more of them than anyone reads."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
