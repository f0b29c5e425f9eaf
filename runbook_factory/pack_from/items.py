"""The exchanges of a `for_each` in the order of a test, which does its items one after the other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_defs.execution import StepRecord, StepStatus

_NOWHERE = -1  # where an attempt stops that did no item at all


@dataclass(frozen=True, kw_only=True)
class Episode:
    """What one attempt of a step, or of one item of it, said and heard."""

    attempt: StepRecord
    item: int | None
    exchanges: Sequence[Mapping[str, Any]]

    @property
    def looks_failed(self) -> bool:
        """Whether its last exchange brought no good answer."""
        last = self.exchanges[-1]
        return "error" in last or last.get("status", 200) >= 400


# The episodes of each item, in order; None stands for a step that has no items.
ByItem = Mapping[int | None, list[Episode]]


def episodes(attempts: Sequence[StepRecord]) -> ByItem:
    """The episodes that a test gets to, as it gets to them.

    Live, items run at the same time, so that several may fail in one attempt. In a test one does, and
    none after it is begun.
    """
    found: dict[int | None, list[Episode]] = {}
    for attempt in attempts:
        for item in dict.fromkeys(said.get("item") for said in attempt.exchanges):
            own = [said for said in attempt.exchanges if said.get("item") == item]
            found.setdefault(item, []).append(Episode(attempt=attempt, item=item, exchanges=own))
    stops = {attempt.attempt: _stop(attempt, found, attempts[-1]) for attempt in attempts}
    return {
        item: [each for each in own if item is None or _is_reached(each, item, own, stops, attempts[-1])]
        for item, own in found.items()
    }


def _is_reached(
    episode: Episode, item: int, own: Sequence[Episode], stops: Mapping[int, float], last: StepRecord
) -> bool:
    if _failed(episode, own, last):
        return stops[episode.attempt.attempt] == item
    return item < max(stops.values())


def _stop(attempt: StepRecord, found: ByItem, last: StepRecord) -> float:
    """The item that fails this attempt in a test; infinity when it is a success."""
    if attempt.status is not StepStatus.FAILED:
        return math.inf
    failed = [
        item
        for item, own in found.items()
        if item is not None and any(each.attempt is attempt and _failed(each, own, last) for each in own)
    ]
    told: int | None = (attempt.failure or {}).get("item")
    if told is None:
        return min(failed, default=_NOWHERE)
    # Those before it come first: one of them that was never done is where a test stops.
    never = [item for item in failed if item < told and _failed(found[item][-1], found[item], last)]
    return min([*never, told])


def _failed(episode: Episode, own: Sequence[Episode], last: StepRecord) -> bool:
    """Whether the item failed then: it was asked for again, or it is what failed the attempt."""
    if episode is not own[-1]:
        return True
    attempt = episode.attempt
    if attempt.status is not StepStatus.FAILED:
        return False
    told = (attempt.failure or {}).get("item")
    return told == episode.item or (attempt is last and episode.looks_failed)
