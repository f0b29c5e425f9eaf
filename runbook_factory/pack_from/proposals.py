"""Tolerances to propose: where executions that asked the same got answers that are not the same."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from runbook_defs.comparisons import is_number
from runbook_defs.differences import Difference, Kind
from runbook_defs.execution import PROBE, ExecutionRecord, Status
from runbook_defs.likeness import form
from runbook_defs.model import Likeness, Tolerance
from runbook_defs.places import Place
from runbook_defs.tolerances import Tolerances
from runbook_defs.wellknown import is_timestamp, is_uuid
from runbook_factory.execution_log import get_execution, list_executions
from runbook_factory.pack_from.fake_secrets import FakeSecrets
from runbook_factory.replay.contents import answer_of
from runbook_factory.replay.definition_changes import changed_steps
from runbook_factory.replay.recording import NotReplayable, Recording, read_recording
from step_ops.replayed import Stored

MOST_COMPARED = 5
_MOST_LOOKED_AT = 200
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_Item = tuple[str, int | None]  # a step, and an item of it


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One tolerance for the answers of `step`; `rule` is what it says of the values at `path`."""

    step: str
    path: str
    rule: Mapping[str, Any]

    def __str__(self) -> str:
        ((name, value),) = self.rule.items()
        said = f"{{abs: {value['abs']}}}" if name == "numeric" else str(value).lower()
        return f"{{step: {self.step}, in: [response], path: {json.dumps(self.path)}, {name}: {said}}}"


def executions_like(engine: Engine, record: ExecutionRecord) -> list[Recording]:
    """The last live executions of the runbook, but for this one, that had the same inputs and have ended."""
    found: list[Recording] = []
    for other in list_executions(engine, runbook_id=record.runbook_id, limit=_MOST_LOOKED_AT):
        if other.id == record.id or other.status is Status.RUNNING or other.inputs != record.inputs:
            continue
        try:
            found.append(read_recording(engine, get_execution(engine, other.id)))
        except NotReplayable:
            continue
        if len(found) == MOST_COMPARED:
            break
    return found


def propose(
    recording: Recording, others: Sequence[Recording], *, known: Sequence[Tolerance]
) -> list[Proposal]:
    """A tolerance for each place where the answers differ and none of the `known` ones allows it.

    Steps that are defined otherwise there are not compared. Ids and times that are others each time need
    none: a replay pairs them.
    """
    places: dict[tuple[str, str], list[_Found]] = {}
    own = _answers(recording)
    for other in others:
        changed = _changed(recording, other)
        for item, answers in _answers(other).items():
            if item[0] in changed:
                continue
            for one, two in _pairs(own.get(item, []), answers):
                differences = Tolerances(known).differences(one, two, step=item[0], part="response")
                for found in _found(differences, one, two):
                    places.setdefault((item[0], found.path), []).append(found)
    order = list(recording.steps)
    proposals = [
        Proposal(step=step, path=path, rule=_rule(found))
        for (step, path), found in sorted(places.items(), key=lambda place: order.index(place[0][0]))
    ]
    return [each for each in proposals if not any(_covers(other, each) for other in proposals)]


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A difference at `path`; `moved` when the lists there have the same items in another order."""

    path: str
    difference: Difference
    moved: bool = False


def _changed(recording: Recording, other: Recording) -> set[str]:
    """The steps and probes that are defined otherwise there, and so may have asked something else."""
    changed = set(
        changed_steps(
            recording.definition, other.definition, files_before=recording.files, files_now=other.files
        )
    )
    if "assumptions" in changed:
        changed |= {name for name in recording.steps if name.startswith(PROBE)}
    return changed


def _answers(recording: Recording) -> dict[_Item, list[Any]]:
    """The good answers that each step, or item, got."""
    secrets = FakeSecrets(recording.secrets)
    found: dict[_Item, list[Any]] = {}
    for step, attempts in recording.steps.items():
        for said in (said for attempt in attempts for said in attempt.exchanges):
            if _is_good(said):
                answer = secrets.put_into(answer_of(said, recording.bodies))
                found.setdefault((step, said.get("item")), []).append(answer)
    return found


def _is_good(said: Stored) -> bool:
    """Whether it is a whole answer that says what was asked for; the picture of a page is none."""
    bad = "error" in said or said.get("truncated") or said.get("status", 200) >= 400
    return not bad and "selector" not in said["request"]


def _pairs(one: Sequence[Any], two: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """What to hold against each other: one by one or, when one side asked more often, the last ones."""
    if len(one) == len(two):
        return zip(one, two, strict=True)
    return zip(one[-1:], two[-1:], strict=False)


def _found(differences: Sequence[Difference], one: Any, two: Any) -> Iterator[_Found]:
    for each in differences:
        place = each.expected_at if each.expected_at is not None else each.actual_at
        if place is None or _is_paired(each):
            continue
        if each.kind is Kind.CHANGED or not place or not isinstance(place[-1], int):
            yield _Found(path=_as_path(place), difference=each)
            continue
        lists = [_at(value, place[:-1]) for value in (one, two)]
        moved = all(isinstance(value, list) for value in lists) and _sorted(lists[0]) == _sorted(lists[1])
        yield _Found(path=_as_path(place[:-1] if moved else place), difference=each, moved=moved)


def _is_paired(difference: Difference) -> bool:
    """Whether both values are ids, or both are times."""
    texts = [value for value in (difference.expected, difference.actual) if isinstance(value, str)]
    return len(texts) == 2 and any(all(map(kind, texts)) for kind in (is_uuid, is_timestamp))


def _rule(found: Sequence[_Found]) -> dict[str, Any]:
    if all(each.moved for each in found):
        return {"unordered": True}
    changed = [each.difference for each in found if each.difference.kind is Kind.CHANGED]
    pairs = [(each.expected, each.actual) for each in changed]
    if len(pairs) < len(found):
        return {"ignore": True}
    if all(is_number(value) for pair in pairs for value in pair):
        return {"numeric": {"abs": _reach(max(abs(one - two) for one, two in pairs))}}
    if all(isinstance(value, str) and form(value, Likeness.DIGITS) for pair in pairs for value in pair):
        return {"any": Likeness.DIGITS.value}
    return {"ignore": True}


def _reach(most: float) -> float:
    """`most`, rounded up to two digits where it is no whole number."""
    if most % 1 == 0:
        return int(most)
    digits = 1 - math.floor(math.log10(most))
    # 0.503 - 0.5 is a little more than 0.003.
    return float(round(math.ceil(round(most * 10.0**digits, 6)) / 10.0**digits, max(digits, 0)))


def _covers(one: Proposal, other: Proposal) -> bool:
    """Whether the first ignores what the place of the second is inside of."""
    return (
        "ignore" in one.rule
        and one.step == other.step
        and other.path.startswith((f"{one.path}.", f"{one.path}["))
    )


def _as_path(place: Place) -> str:
    parts = (
        "[*]"
        if isinstance(part, int)
        else f".{part}"
        if _PLAIN_KEY.fullmatch(part)
        else f"[{json.dumps(part)}]"
        for part in place
    )
    return f"${''.join(parts)}"


def _at(value: Any, place: Place) -> Any:
    for part in place:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _sorted(items: Sequence[Any]) -> list[str]:
    return sorted(json.dumps(item, sort_keys=True) for item in items)
