"""What a step and the world said to each other, and what it read, a line each."""

import json
from collections.abc import Mapping
from typing import Any

_SQL = 80  # characters of a statement
_DIGEST = 12  # characters of a digest
_UNITS = ("B", "kB", "MB", "GB")


def exchange_line(entry: Mapping[str, Any], *, full: bool = False) -> str:
    """Such as `POST /graphql (api) with 28 B -> 200, 32.0 kB (sha256 754fafbb7fd9…), 0.016 s`.

    It is not yet fit for a terminal. Long SQL statements and digests are cut unless `full`.
    """
    item = f"item {entry['item']}: " if "item" in entry else ""
    asked, answered = _request(entry, full=full), _answer(entry, full=full)
    return f"{item}{asked} -> {answered}, {entry.get('takes_seconds', 0):.3f} s"


def read_line(read: Mapping[str, Any], *, full: bool = False) -> str:
    """Such as `file entity-v2.json 754fafbb7fd9…`, not yet fit for a terminal; `full` digests on demand."""
    item = f"item {read['item']}: " if "item" in read else ""
    kind, name, value = read["kind"], read["name"], read["value"]
    match kind:
        case "file" | "baseline":
            said = f"{name} {short(value, full=full)}" if value else f"{name}, which is not there"
        case "secret":
            said = f"{name} is {value}"
        case "random" | "id":
            said = str(value)
        case _:
            said = f"{name} = {_value(value)}"
    return f"{item}{kind} {said}"


def short(digest: str, *, full: bool = False) -> str:
    """The start of a digest, or all of it when `full`."""
    return digest if full else f"{digest[:_DIGEST]}…"


def size(count: int) -> str:
    """Such as `12.3 kB`."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def _request(entry: Mapping[str, Any], *, full: bool) -> str:
    request = entry.get("request") or {}
    if "sql" in request:
        statement = " ".join(request["sql"].split())
        cut = f"{statement[:_SQL]}…" if len(statement) > _SQL and not full else statement
        return f"sql {request.get('connection')}: {cut}"
    if "selector" in request:
        return f"page {request.get('url')} ({request['selector']})"
    params = "&".join(f"{name}={value}" for name, value in request.get("params", {}).items())
    sent = _size(request, full=full) if _bytes(request) else ""
    return (
        f"{request.get('method')} {request.get('url')}"
        + (f"?{params}" if params else "")
        + (f" ({request['connection']})" if "connection" in request else "")
        + (f" with {sent}" if sent else "")
    )


def _answer(entry: Mapping[str, Any], *, full: bool) -> str:
    if "error" in entry:
        return " ".join(str(entry["error"]).split())
    if "picture_digest" in entry:
        resources = entry.get("capture", {}).get("resources", ())
        picture = short(entry["picture_digest"], full=full)
        return f"picture {picture} of {_counted(len(resources), 'answer')}"
    if "rows" in entry:
        rows = len(entry["rows"])
        count = entry.get("count", rows)
        return _counted(count, "row") + (" written" if count != rows else "")
    if "status" in entry:
        return f"{entry['status']}, {_size(entry, full=full)}"
    return f"rows of {_size(entry, full=full)}"


def _size(said: Mapping[str, Any], *, full: bool) -> str:
    """How long a body is and, where it is kept apart, under which digest."""
    kept = f" (sha256 {short(said['body_digest'], full=full)})" if "body_digest" in said else ""
    return f"{size(_bytes(said))}{kept}{', cut' if said.get('truncated') else ''}"


def _bytes(said: Mapping[str, Any]) -> int:
    """How long a body is: as it is stored, without what is secret in it."""
    if "body_bytes" in said:
        return int(said["body_bytes"])
    if "json" in said:
        return len(json.dumps(said["json"], separators=(",", ":"), ensure_ascii=False).encode())
    return len(said.get("text", "").encode())


def _value(value: Any) -> str:
    """What an expression gave; of what was large the record has only the size."""
    match value:
        case {"list": count} | {"mapping": count}:
            return f"a {next(iter(value))} of {count}"
        case {"text": count}:
            return f"a text of {_counted(count, 'character')}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
