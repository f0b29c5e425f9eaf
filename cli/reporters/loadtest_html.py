"""A load test as one HTML file, which loads nothing from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape

from cli.reporters.loadtest import LoadTest, figures, verdict_line

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #8884; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font-size: .9em; overflow-wrap: anywhere; }
.good { color: #1a7f37; } .bad { color: #cf222e; }
"""
_COLUMNS = (("min", "min"), ("avg", "average"), ("med", "p50"), ("p(90)", "p90"), ("p(95)", "p95"))
_COLUMNS_LAST = (("p(99)", "p99"), ("max", "max"))


def as_html(test: LoadTest) -> str:
    """The document."""
    title = f"Load test of {test.runbook_id}: {test.word}"
    parts = [
        f"<h1>Load test of <code>{escape(test.runbook_id)}</code>: {_coloured(test.word, test.good)}</h1>",
        *([f"<p>{escape(test.tested.aborted)}</p>"] if test.tested.aborted else []),
        _table("What was tested", ("", ""), _circumstances(test)),
        _thresholds(test),
        _table(
            "What was measured",
            ("", ""),
            [(escape(name), escape(value)) for name, value in figures(test).items()],
        ),
        _times(test),
        _warnings(test),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body>\n</html>\n"
    )


def _circumstances(test: LoadTest) -> list[Sequence[str]]:
    return [
        ("service", f"<code>{escape(test.server)}</code>"),
        ("started", f"<time>{test.started_at.isoformat(timespec='seconds')}</time>"),
        ("took", f"{test.seconds:.0f} s"),
        ("load", escape(test.load)),
        ("script by", f"<code>{escape(test.generated_by)}</code>"),
    ]


def _thresholds(test: LoadTest) -> str:
    rows = [
        (_coloured("✓" if item.good else "✗", item.good), f"<code>{escape(verdict_line(item))}</code>")
        for item in test.tested.summary.thresholds
    ]
    return _table("Thresholds", ("", ""), rows)


def _times(test: LoadTest) -> str:
    columns = (*_COLUMNS, *_COLUMNS_LAST)
    summary = test.tested.summary
    rows = [
        (name, *(f"{times[key]:.0f}" if key in times else "" for key, _ in columns))
        for name, times in (("request", summary.request_times), ("execution", summary.execution_times))
        if times
    ]
    return _table("Milliseconds", ("", *(title for _, title in columns)), rows, numbers=True)


def _warnings(test: LoadTest) -> str:
    rows = [(f"{times}x", escape(words)) for words, times in test.tested.warnings.items()]
    return _table("What k6 warned of", ("", ""), rows) if rows else ""


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    """Cells are HTML."""
    head = "".join(f"<th>{item}</th>" for item in heads) if any(heads) else ""
    body = "\n".join(
        "<tr>" + "".join(_cell(place, item, numbers) for place, item in enumerate(row)) + "</tr>"
        for row in rows
    )
    return (
        f"<h2>{escape(title)}</h2>\n<table>\n" + (f"<tr>{head}</tr>\n" if head else "") + f"{body}\n</table>"
    )


def _cell(place: int, text: str, numbers: bool) -> str:
    return f'<td class="number">{text}</td>' if numbers and place else f"<td>{text}</td>"


def _coloured(text: str, good: bool) -> str:
    return f'<span class="{"good" if good else "bad"}">{escape(text)}</span>'
