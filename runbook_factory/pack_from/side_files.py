"""Files that stand beside a scenario, each under a name of its own."""

import json
import re
from dataclasses import dataclass, field
from itertools import count
from typing import Any

MOST_LAID_OUT = 4 * 1024 * 1024  # characters
MAX_STEM = 60  # characters; fixtures read no file with a long name
_UNFIT = re.compile(r"[^A-Za-z0-9_.]+")


@dataclass(kw_only=True)
class SideFiles:
    """What is to lie in one folder of the pack, by its path in the pack."""

    folder: str
    files: dict[str, bytes] = field(default_factory=dict)

    def keep(self, stem: str, data: bytes, *, ending: str) -> str:
        """Keeps `data` as `<stem><ending>`, numbered when that is taken; gives its path in the pack."""
        plain = _UNFIT.sub("-", stem)[:MAX_STEM].strip("-.") or "file"
        names = (f"{self.folder}/{plain}{'' if n == 1 else f'-{n}'}{ending}" for n in count(1))
        name = next(name for name in names if name not in self.files)
        self.files[name] = data
        return name

    def keep_json(self, stem: str, value: Any) -> str:
        """The same for a JSON value, laid out for readers."""
        return self.keep(stem, as_json(value), ending=".json")


def as_json(value: Any) -> bytes:
    """The value as a file, laid out for people unless it is larger than they read."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) > MOST_LAID_OUT:
        text = json.dumps(value, ensure_ascii=False)
    return f"{text}\n".encode("utf-8", "replace")
