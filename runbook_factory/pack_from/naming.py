"""What a scenario made from an execution is called, and its files with it."""

import re
import unicodedata

from runbook_defs.execution import ExecutionRecord
from runbook_factory.pack_from.refusal import NotPackable

MAX_NAME = 200
MAX_SLUG = 80  # characters: it is part of names of files


def default_name(record: ExecutionRecord) -> str:
    """Such as `Recorded exec-2025-11-29-abc123`."""
    return f"Recorded {record.short_name}"


def check_name(name: str) -> str:
    """The name without blanks around it; raises `NotPackable` when it is none."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        message = f"{name[:60]!r} cannot be the name of a scenario"
        raise NotPackable(message, hint=f"use one line of at most {MAX_NAME} characters")
    return name.strip()


def slug_of(name: str) -> str:
    """The name in lower case letters, digits and dashes; raises `NotPackable` when nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:MAX_SLUG].strip("-")
    if not slug:
        message = f"no file can be named after {name!r}: it has no letter from a to z and no digit"
        raise NotPackable(message, hint="name the files yourself: --scenario-file night-report")
    return slug
