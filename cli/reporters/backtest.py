"""A backtest as a table, and as data."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cli.reporters.style import paint, plain
from runbook_defs.replay import REPORT_FORMAT

if TYPE_CHECKING:
    from runbook_factory.catalog import LoadedRunbook
    from runbook_factory.replay.backtest import Backtested

_COLOURS = {"same": "green", "not replayable": "yellow"}
_MOST = 100  # characters of a reason


def row(item: "Backtested") -> str:
    """One execution: its name, how it ended, how it would have ended, and the verdict."""
    record = item.record
    would = item.status or "-"
    verdict = paint(item.outcome.value, _COLOURS.get(item.outcome.value, "red"))
    why = f"  {plain(item.why)[:_MOST]}" if item.why else ""
    ends = f"{record.runbook_version:<8}  {record.status.value:<8}  {would:<8}"
    return f"{record.short_name}  {ends}  {verdict}{why}"


def headings() -> str:
    """The heads of the columns."""
    return f"{'EXECUTION':<22}  {'VERSION':<8}  {'WAS':<8}  {'WOULD BE':<8}  VERDICT"


def counts(items: Sequence["Backtested"]) -> Iterator[str]:
    """How many ended in which way, such as `18 same, 2 different outcome`."""
    found = Counter(item.outcome.value for item in items)
    yield ", ".join(f"{count} {name}" for name, count in found.most_common())


def as_json(runbook: "LoadedRunbook", items: Sequence["Backtested"]) -> dict[str, Any]:
    """All of it as data."""
    return {
        "format": REPORT_FORMAT,
        "runbook": runbook.id,
        "version": runbook.runbook.version,
        "counts": dict(Counter(item.outcome.value for item in items)),
        "executions": [
            {
                "execution": item.record.id,
                "version": item.record.runbook_version,
                "was": item.record.status.value,
                "would_be": item.status,
                "outcome": item.outcome.value,
                "why": item.why,
                "replay": item.report.as_json() if item.report else None,
            }
            for item in items
        ],
    }
