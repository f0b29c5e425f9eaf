"""What a recorded exchange says, made ready to be held against another one."""

import json
from collections.abc import Mapping
from typing import Any

from runbook_defs.alignment import alike
from step_ops.replayed import Stored, read_body, read_rows

_STORAGE = {"json", "text", "body_digest", "body_bytes", "truncated"}


def same_body(one: Stored, two: Stored) -> bool:
    """Whether two stored bodies are known to be equal without reading them."""
    return one.get("body_digest") == two.get("body_digest") and all(
        alike(one.get(key), two.get(key)) for key in ("json", "text", "rows", "count")
    )


def request_of(said: Stored, bodies: Mapping[str, bytes]) -> dict[str, Any]:
    """What was sent: the parts of the request, its body parsed where it is JSON."""
    request = said["request"]
    parts = {key: value for key, value in request.items() if key not in _STORAGE}
    if "sql" in request:
        parts["sql"] = " ".join(request["sql"].split())
        return parts | ({"params": _parsed(request, bodies)} if "body_digest" in request else {})
    return parts | ({"body": _parsed(request, bodies)} if request.keys() & _STORAGE else {})


def answer_of(said: Stored, bodies: Mapping[str, bytes]) -> Any:
    """What came back: rows, or a body parsed where it is JSON."""
    if "sql" in said["request"]:
        return {"rows": read_rows(said, bodies.__getitem__), "count": said.get("count")}
    return _parsed(said, bodies)


def words(said: Stored) -> str:
    """The request in a few words, such as `POST /graphql`."""
    request = said["request"]
    if "sql" in request:
        return f"sql {request['connection']}: {' '.join(request['sql'].split())[:60]}"
    if "selector" in request:
        return f"page {request['url']}"
    return f"{request['method']} {request['url'].partition('?')[0]}"


def _parsed(stored: Stored, bodies: Mapping[str, bytes]) -> Any:
    if "json" in stored:
        return stored["json"]
    data = read_body(stored, bodies.__getitem__)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode("utf-8", errors="backslashreplace")
