"""Ids and times that are others in a replay: where they come from they are paired, and from then on one
must stand wherever the other stood.

So the flow of the data is checked, which leaving such values out would not do.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from runbook_defs.wellknown import TIMESTAMP, UUID


class Symbols:
    """Which value of the replay stands for which of the original.

    `known` are pairs that are given: the ids of the two executions, the pseudonyms of secrets.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = {one: two for one, two in known.items() if one != two}
        self._learned: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        self._taken: set[str] = set()

    @property
    def ids(self) -> int:
        """How many ids were paired."""
        return sum(UUID.fullmatch(one) is not None for one in self._learned)

    @property
    def times(self) -> int:
        """How many points in time, and lengths of time, were paired."""
        return len(self._learned) - self.ids + len(self._numbers)

    def learn(self, original: Any, replayed: Any) -> None:
        """Pairs the ids and times that stand at the same places of two answers."""
        waiting = [(original, replayed)]
        while waiting:
            one, two = waiting.pop()
            if isinstance(one, dict) and isinstance(two, dict):
                waiting.extend((one[key], two[key]) for key in reversed(one) if key in two)
            elif isinstance(one, list) and isinstance(two, list):
                waiting.extend(reversed(list(zip(one, two, strict=False))))
            elif isinstance(one, str) and isinstance(two, str) and one != two:
                self._pair(one, two)

    def learn_number(self, original: float, replayed: float) -> None:
        """Pairs two readings of a clock, in seconds."""
        if original != replayed:
            self._numbers[json.dumps(original)] = json.dumps(replayed)

    def _pair(self, one: str, two: str) -> None:
        # One to one: two ids that became the same, or one that became two, are a difference.
        if one in self._learned or two in self._taken:
            return
        if any(kind.fullmatch(one) and kind.fullmatch(two) for kind in (UUID, TIMESTAMP)):
            self._learned[one] = two
            self._taken.add(two)

    def translate(self, original: Any) -> Any:
        """`original` as it should be in the replay."""
        if not (self._known or self._learned or self._numbers):
            return original
        text = json.dumps(original, ensure_ascii=False)
        changed = text
        for one, two in self._known.items():
            changed = changed.replace(one, two)
        for one, two in self._numbers.items():
            changed = re.sub(rf"(?<![\w.]){re.escape(one)}(?![\w.])", two, changed)
        if self._learned:
            for kind in (UUID, TIMESTAMP):
                changed = kind.sub(lambda hit: self._learned.get(hit[0], hit[0]), changed)
        return original if changed == text else json.loads(changed)


def anonymous(value: Any) -> Any:
    """`value` with its ids and times numbered as they appear: the same for every run that does the same."""
    text = json.dumps(value, ensure_ascii=False)
    for name, kind in (("id", UUID), ("time", TIMESTAMP)):
        seen: dict[str, str] = {}
        text = kind.sub(lambda hit, n=name, s=seen: s.setdefault(hit[0], f"${n}{len(s) + 1}"), text)  # type: ignore[misc]
    return json.loads(text)
