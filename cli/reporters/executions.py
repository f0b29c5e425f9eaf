"""Executions as a table that gives way to the terminal, and as data."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cli.reporters.style import paint, plain
from runbook_defs.execution import ExecutionRecord

_LEAST = 12  # characters of a runbook's id that a narrow terminal still shows
_GAP = "  "
_COLOURS = {"success": "green", "failure": "red", "aborted": "red", "running": "yellow"}

# What a row has, from wide to narrow: the first that fits is taken.
_LAYOUTS = (
    ("EXECUTION", "RUNBOOK", "STATUS", "MODE", "STARTED", "SECONDS", "ACTOR"),
    ("EXECUTION", "RUNBOOK", "STATUS", "MODE", "BEGAN", "SECONDS", "ACTOR"),
    ("EXECUTION", "RUNBOOK", "STATUS", "MODE", "BEGAN", "SECONDS"),
)


def table(records: Sequence[ExecutionRecord], *, width: int | None = None) -> Iterator[str]:
    """A heading and a line for each; with a `width`, in characters, what matters least gives way to fit it.

    Where all are live, the mode gives way with the year and the seconds of the start.
    """
    cells = [_cells(record) for record in records]
    live = all(record.mode == "live" for record in records)
    for layout in _LAYOUTS:
        told = layout is _LAYOUTS[0] or not live
        columns = [name for name in layout if name != "MODE" or told]
        widths = {name: max(len(_heading(name)), *(len(row[name]) for row in cells)) for name in columns}
        over = sum(widths.values()) + len(_GAP) * (len(columns) - 1) - (width or 0)
        if width is None or over <= 0:
            break
    else:
        widths["RUNBOOK"] = max(_LEAST, widths["RUNBOOK"] - over)
    yield paint(_line({name: _heading(name) for name in columns}, widths), "bold")
    for row in cells:
        yield _line(row, widths)


def as_json(records: Sequence[ExecutionRecord]) -> list[dict[str, Any]]:
    """Each as `rb show --json` has it, without its steps and probes."""
    every = [asdict(record) for record in records]
    return [{key: item[key] for key in item if key not in {"steps", "probes"}} for item in every]


def _cells(record: ExecutionRecord) -> dict[str, str]:
    seconds = record.duration_seconds
    started = record.started_at.astimezone()
    return {
        "EXECUTION": record.short_name,
        "RUNBOOK": plain(record.runbook_id),
        "STATUS": record.status.value,
        "MODE": record.mode,
        "STARTED": f"{started:%Y-%m-%d %H:%M:%S}",
        "BEGAN": f"{started:%m-%d %H:%M}",
        "SECONDS": "" if seconds is None else f"{seconds:.1f}",
        "ACTOR": plain(record.actor.name) if record.actor else "",
    }


def _heading(name: str) -> str:
    return "STARTED" if name == "BEGAN" else name


def _line(row: dict[str, str], widths: dict[str, int]) -> str:
    cells = []
    for name, width in widths.items():
        text = row[name] if len(row[name]) <= width else f"{row[name][: width - 1]}…"
        padded = text.rjust(width) if name == "SECONDS" else text.ljust(width)
        cells.append(paint(padded, _COLOURS[text]) if name == "STATUS" and text in _COLOURS else padded)
    return _GAP.join(cells).rstrip()
