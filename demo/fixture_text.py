"""How generated fixtures are written: JSON that a person can read and a diff shows well."""

import json
from typing import Any

WIDTH = 110


def as_text(value: Any) -> str:
    """`value` as JSON: on one line what fits there, one item a line what does not."""
    return _written(value, indent="", before=0) + "\n"


def _written(value: Any, *, indent: str, before: int) -> str:
    line = json.dumps(value)
    if len(indent) + before + len(line) < WIDTH or not isinstance(value, dict | list) or not value:
        return line
    deeper = indent + "  "
    if isinstance(value, list):
        parts = [_written(item, indent=deeper, before=0) for item in value]
        opening, closing = "[", "]"
    else:
        keys = [f"{json.dumps(key)}: " for key in value]
        pairs = zip(keys, value.values(), strict=True)
        parts = [key + _written(item, indent=deeper, before=len(key)) for key, item in pairs]
        opening, closing = "{", "}"
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"
