"""Baselines as a table, and what became of each that was approved."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cli.reporters.style import paint, plain, tick

if TYPE_CHECKING:
    from runbook_factory.approval import NewBaseline
    from runbook_factory.baselines import Baseline

_HEADINGS = ("RUNBOOK", "PICTURE", "SIZE", "STATE", "APPROVED", "BY", "SCENARIOS", "PATH")
_COLOURS = {"approved": "green", "changed": "red", "missing": "red", "unknown": "yellow"}
_STATE = 3


def approval_line(new: "NewBaseline") -> str:
    """Such as `✓ Baseline entity-list: 2.31% changed, in 3 places: acceptance/rb/screenshots/x.png`."""
    mark = paint("-", "dim") if new.change == "same" else tick(True)
    return f"{mark} Baseline {plain(new.picture.picture)}: {_change(new)}: {plain(new.picture.path)}"


def table(baselines: "Sequence[Baseline]") -> Iterator[str]:
    """A heading and a line for each."""
    rows = [_HEADINGS, *(_row(baseline) for baseline in baselines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if not number:
            yield paint("  ".join(cells).rstrip(), "bold")
            continue
        cells[_STATE] = paint(cells[_STATE], _COLOURS[row[_STATE]])
        yield "  ".join(cells).rstrip()


def _row(baseline: "Baseline") -> tuple[str, ...]:
    at = baseline.approved_at
    return (
        plain(baseline.runbook_id),
        plain(baseline.name),
        _size(baseline.size),
        baseline.state.value,
        f"{at.astimezone():%Y-%m-%d %H:%M}" if at else "",
        plain(baseline.approved_by or ""),
        plain(", ".join([*baseline.scenarios, *(["live runs"] if baseline.live else [])])),
        plain(baseline.path),
    )


def _change(new: "NewBaseline") -> str:
    match new.change:
        case "new":
            return f"new, {_size(new.size)}"
        case "same":
            return "same"
        case "size":
            return f"the size changed from {_size(new.before)} to {_size(new.size)}"
        case "unreadable":
            return "in place of a file that is no picture"
        case _:
            return f"{new.ratio:.2%} changed, in {new.places} place{'s' if new.places != 1 else ''}"


def _size(size: tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]}" if size else "?"
