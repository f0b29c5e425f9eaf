"""`rb audit`: the log of who did what, checked, exported, watched and delivered."""

import json
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.errors import Exit, Stop
from cli.reporters.style import paint, plain, tick
from cli.since import parse_since

if TYPE_CHECKING:
    from typing import TextIO

    from sqlalchemy import Engine

    from runbook_factory.audit.chain import Head, StoredEntry, Verdict

app = typer.Typer(help="The audit log: who did what, in a chain of hashes.", no_args_is_help=True)


@app.command("verify")
def verify(
    head: Path = typer.Option(
        None, "--head", metavar="FILE", help="A head exported before: a cut or rewritten log is found by it."
    ),
) -> None:
    """Check the whole chain: every entry has its hash, follows the one before, and none is missing."""
    from runbook_factory.audit import chain
    from runbook_factory.audit.log import read_entries
    from runbook_factory.database import reachable

    known = _read_head(head) if head is not None else None
    with reachable():
        verdict = chain.verify(read_entries(_engine()), head=known)
    for finding in verdict.findings:
        print(f"{tick(False)} {finding.message}")
    if verdict.more:
        print(f"  and {verdict.more} more")
    _conclude(verdict, known)
    if not verdict.is_whole:
        raise typer.Exit(Exit.FINDINGS)


def _conclude(verdict: "Verdict", known: "Head | None") -> None:
    head, count = verdict.head, len(verdict.findings) + verdict.more
    entries = f"{head.count} entr{'y' if head.count == 1 else 'ies'}"
    if not verdict.is_whole:
        print(paint(f"{entries}: {count} finding{'' if count == 1 else 's'}", "red"))
        return
    against = f", and has the entry {known.seq} of the head" if known else ""
    print(f"{tick(True)} {entries}: the chain is whole{against}")
    if head.count:
        print(f"  the last is entry {head.seq}, {head.hash.hex()}")
    if known is None:
        print("  without an earlier head (--head FILE) a cut tail or a log written anew cannot be seen")


@app.command("export")
def export(
    since: str = typer.Option(
        None, "--since", metavar="WHEN", help="Only later entries: a date, a time, or such as 7d."
    ),
    output: Path = typer.Option(None, "--output", metavar="FILE", help="Write the entries to this file."),
    head: Path = typer.Option(None, "--head", metavar="FILE", help="Write the head of the log to this file."),
) -> None:
    """Print the entries as JSON lines, and the head of the log, to be kept elsewhere."""
    from runbook_factory.audit.log import head_of, read_entries
    from runbook_factory.database import reachable

    engine = _engine()
    moment = parse_since(since, now=datetime.now(UTC)) if since is not None else None
    with reachable():
        end = head_of(engine)
        with nullcontext(sys.stdout) if output is None else _opened(output) as file:
            for entry in read_entries(engine, since=moment):
                if entry.seq > end.seq:
                    break
                file.write(json.dumps(entry.as_json()) + "\n")
    if head is not None:
        with _opened(head) as file:
            file.write(end.as_json() + "\n")
    else:
        print(end.as_json(), file=sys.stderr if output is None else sys.stdout)


@app.command("tail")
def tail(
    count: int = typer.Option(20, "-n", "--lines", min=0, max=100_000, help="How many, the newest last."),
    follow: bool = typer.Option(False, "-f", "--follow", help="Go on with those to come, until Ctrl-C."),
) -> None:
    """Print the newest entries, one on a line."""
    from runbook_factory.audit import listening
    from runbook_factory.audit.log import last_entries
    from runbook_factory.database import reachable

    engine = _engine()
    with reachable():
        shown = last_entries(engine, max(count, 1))
        for entry in shown if count else []:
            print(_line(entry))
        sys.stdout.flush()
        if follow:
            for entry in listening.follow(engine, after=shown[-1].seq if shown else 0):
                print(_line(entry), flush=True)


@app.command("deliver")
def deliver(
    follow: bool = typer.Option(False, "--follow", help="Go on with entries to come, until Ctrl-C."),
) -> None:
    """Post the entries that the audit service does not have yet, in order."""
    from runbook_factory.audit.delivery import Delivered, Delivery
    from runbook_factory.audit.sink import load_sink
    from runbook_factory.project import find_project

    sink = load_sink(find_project())
    if sink is None:
        hint = "name it under `audit: {sink: {url: ...}}` in connections.yaml"
        raise Stop("this deployment has no audit service to deliver to", hint=hint)
    delivery = Delivery(engine=_engine(), sink=sink)
    count = 0
    for event in delivery.follow() if follow else delivery.deliver():
        if isinstance(event, Delivered):
            count += 1
            if follow:
                print(f"delivered entry {event.seq}", flush=True)
        else:
            print(f"{plain(event.reason)}: again in {event.seconds:g} s", file=sys.stderr, flush=True)
    print(f"{count} entr{'y' if count == 1 else 'ies'} delivered to {plain(sink.name)}")


def _engine() -> "Engine":
    from runbook_factory.database import engine
    from runbook_factory.project import find_project

    return engine(find_project())


def _read_head(path: Path) -> "Head":
    from runbook_factory.audit.chain import Head, HeadError

    try:
        return Head.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Stop(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (HeadError, UnicodeDecodeError):
        hint = "`rb audit export --head FILE` writes one"
        raise Stop(f"{path} does not hold the head of an audit log", hint=hint) from None


def _opened(path: Path) -> "TextIO":
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise Stop(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None


def _line(entry: "StoredEntry") -> str:
    details = entry.as_json()["details"]
    told = (
        " ".join(f"{name}={_word(value)}" for name, value in details.items())
        if isinstance(details, dict)
        else str(details)
    )
    parts = [
        f"{entry.seq:>6}  {entry.at.astimezone():%Y-%m-%d %H:%M:%S}  {entry.outcome:<9}",
        f"{entry.action}  {entry.subject}  by {entry.actor_name or 'nobody known'}  {told}",
    ]
    return plain("  ".join(parts).replace("\n", " ")).rstrip()


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
