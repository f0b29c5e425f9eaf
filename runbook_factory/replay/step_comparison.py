"""One step of a replay beside its original: how it ended, what it was given, sent, got and gave."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_defs.execution import StepRecord, StepStatus
from runbook_defs.replay import Cause, Deviation, Part, Screenshot
from runbook_defs.symbols import Symbols
from runbook_defs.tolerances import Tolerances
from runbook_factory.recorder import as_stored
from runbook_factory.replay.exchange_comparison import ExchangeComparison, gathered
from step_ops.exchanges import Box
from step_ops.gate import TOOK_TOO_LONG
from step_ops.pixels import BrokenPicture
from step_ops.pixels import compare as compare_pictures

IDENTICAL = 0.0001  # the share of pixels below which two pictures are the same

# Keeps the drawing of a difference: step, name of the picture, PNG; gives its path.
KeepDrawing = Callable[[str, str, bytes], str]


@dataclass(frozen=True, kw_only=True)
class StepFacts:
    """What differs in a step, and its pictures. `undrawn` says why a page was not drawn again."""

    deviations: tuple[Deviation, ...]
    screenshots: tuple[Screenshot, ...] = ()
    undrawn: str = ""


@dataclass(frozen=True, kw_only=True)
class StepComparer:
    """Compares the attempts of steps, in the order in which data flows through them."""

    symbols: Symbols
    tolerances: Tolerances
    original_bodies: Mapping[str, bytes]
    replayed_bodies: Mapping[str, bytes]
    keep: KeepDrawing
    live: bool = False
    redraws: bool = False  # whether pages are drawn again from the record

    def facts(self, originals: Sequence[StepRecord], replayed: Sequence[StepRecord]) -> StepFacts:
        """All that differs between the attempts of one step."""
        deviations = list(self._path(originals, replayed))
        screenshots: list[Screenshot] = []
        undrawn = ""
        for one, two in zip(originals, replayed, strict=False):
            deviations += self._attempt(one, two)
            for picture in self._pictures(one, two):
                if isinstance(picture, Deviation):
                    deviations.append(picture)
                else:
                    screenshots.append(picture)
            undrawn = undrawn or (_undrawn(one, two) if self.redraws else "")
        return StepFacts(deviations=tuple(deviations), screenshots=tuple(screenshots), undrawn=undrawn)

    def _path(self, originals: Sequence[StepRecord], replayed: Sequence[StepRecord]) -> Iterator[Deviation]:
        if not originals:
            yield Deviation(part=Part.PATH, what="is new", cause=Cause.DEFINITION)
            return
        if not replayed:
            yield Deviation(part=Part.PATH, what="is no longer in the definition", cause=Cause.DEFINITION)
            return
        one, two = originals[-1], replayed[-1]
        if one.status is not two.status:
            what = f"{_ended(one)} before, and {_ended(two)} now"
            yield Deviation(part=Part.PATH, what=what, details=tuple(_decisions(one, two)), cause=_late(two))
        elif len(originals) != len(replayed):
            what = f"{_times(len(originals))} before, and {_times(len(replayed))} now"
            yield Deviation(part=Part.PATH, what=what)

    def _attempt(self, one: StepRecord, two: StepRecord) -> Iterator[Deviation]:
        name = two.step_id
        timed = self._learn_reads(one, two)
        yield from self._values(name, Part.INPUTS, one.inputs, two.inputs, cause=timed)
        exchanges = ExchangeComparison(
            step=name,
            symbols=self.symbols,
            tolerances=self.tolerances,
            original_bodies=self.original_bodies,
            replayed_bodies=self.replayed_bodies,
        )
        yield from exchanges.compare(one.exchanges, two.exchanges)
        if one.status is two.status is StepStatus.SUCCESS:
            yield from self._values(name, Part.OUTPUTS, one.outputs, two.outputs)
            yield from self._found(one, two)
        before, now = (_failure(each) for each in (one, two))
        if one.status is two.status is StepStatus.FAILED and self.symbols.translate(before) != now:
            what = f"fails in another way: {before} before, and {now} now"
            yield Deviation(part=Part.PATH, what=what, cause=_late(two))
        if one.retry_in != two.retry_in and one.status is two.status:
            what = f"is tried again after {_seconds(two.retry_in)}, and was after {_seconds(one.retry_in)}"
            yield Deviation(part=Part.PATH, what=what)

    def _found(self, one: StepRecord, two: StepRecord) -> Iterator[Deviation]:
        """What was counted, and found without failing the step."""
        before, now = (
            {"records": each.records, "errors": [(item["type"], item["message"]) for item in each.errors]}
            for each in (one, two)
        )
        if self.symbols.translate(as_stored(before)) != as_stored(now):
            counts = f"{before['records']}, {len(one.errors)} errors"
            what = f"it found {now['records']}, {len(two.errors)} errors, and before {counts}"
            yield Deviation(part=Part.OUTPUTS, what=what)
        missing = {picture["name"] for picture in one.pictures} ^ {
            picture["name"] for picture in two.pictures
        }
        for picture in sorted(missing):
            yield Deviation(part=Part.PICTURE, what=f"the picture {picture!r} is in one of the two only")

    def _learn_reads(self, one: StepRecord, two: StepRecord) -> Cause | None:
        """Pairs what both read of clocks and ids; tells of a clock that both looked at."""
        timed = None
        for kind in ("clock", "id"):
            reads = [[read for read in each.reads if read["kind"] == kind] for each in (one, two)]
            for first, second in zip(*reads, strict=False):
                timed = Cause.TIMING if kind == "clock" and self.live else timed
                if not self.live:
                    continue  # told again: a difference is one
                if isinstance(first["value"], float):
                    self.symbols.learn_number(first["value"], second["value"])
                else:
                    self.symbols.learn(first["value"], second["value"])
        return timed

    def _values(
        self, step: str, part: Part, original: Any, replayed: Any, *, cause: Cause | None = None
    ) -> Iterator[Deviation]:
        expected = self.symbols.translate(original)
        differences = self.tolerances.differences(expected, replayed, step=step, part=part, path=part)
        if differences:
            count = f"{len(differences)} difference{'' if len(differences) == 1 else 's'}"
            what = f"its {part} differ: {count}"
            yield Deviation(part=part, what=what, details=tuple(gathered(differences)), cause=cause)

    def _pictures(self, one: StepRecord, two: StepRecord) -> Iterator[Screenshot | Deviation]:
        before = {picture["name"]: picture for picture in one.pictures}
        masks = [_masks(said) for said in one.exchanges if "picture_digest" in said]
        for place, picture in enumerate(two.pictures):
            name = picture["name"]
            if name not in before:
                continue  # a step that was not there, or that failed: told already
            if self.redraws and _undrawn(one, two):
                yield Screenshot(name=name, change=None)
                continue
            masked = masks[place] if place < len(masks) else ()
            yield from self._picture(two, name, before[name]["digest"], picture["digest"], masked)

    def _picture(
        self, two: StepRecord, name: str, before: str, now: str, masked: Sequence[Box]
    ) -> Iterator[Screenshot | Deviation]:
        try:
            difference = compare_pictures(
                self.original_bodies[before], self.replayed_bodies[now], masked=masked
            )
        except (BrokenPicture, KeyError):
            yield Deviation(part=Part.PICTURE, what=f"the picture {name!r} is not in the record")
            return
        if difference is None or (difference.ratio < IDENTICAL and not difference.size_changed):
            yield Screenshot(name=name, change=difference.ratio if difference else 0.0)
            return
        path = self.keep(two.step_id, name, difference.picture)
        yield Screenshot(name=name, change=difference.ratio, diff_path=path)
        places = len(difference.boxes)
        what = f"the picture {name!r} differs in {difference.ratio:.2%} of its pixels"
        details = (f"{places} place{'' if places == 1 else 's'} changed: {path}",)
        yield Deviation(part=Part.PICTURE, what=what, details=details)


def pages_differ(one: StepRecord, two: StepRecord) -> list[str]:
    """What the photographed pages got that is not as it was: the addresses whose answers differ."""
    captures = [
        {
            (item["method"], item["url"]): (item["status"], item.get("body_digest"), item.get("text"))
            for said in each.exchanges
            for item in said.get("capture", {}).get("resources", ())
        }
        for each in (one, two)
    ]
    return [
        f"{method} {url}"
        for method, url in dict.fromkeys([*captures[0], *captures[1]])
        if captures[0].get((method, url)) != captures[1].get((method, url))
    ]


def _undrawn(one: StepRecord, two: StepRecord) -> str:
    """Why a page of this attempt cannot be drawn again; empty when it was, or when there is none."""
    for said, again in zip(one.exchanges, two.exchanges, strict=False):
        if "picture_digest" not in said or "error" in again:
            continue
        if "capture" not in said and "capture" not in again:
            return "the record holds the picture of its page, and not what the page was made of"
        missing = said.get("capture", {}).get("missing")
        if missing:
            return f"its page cannot be drawn again: {missing}"
    return ""


def _masks(said: Mapping[str, Any]) -> tuple[Box, ...]:
    return tuple(Box(x=x, y=y, width=width, height=height) for x, y, width, height in said.get("masked", ()))


def _ended(step: StepRecord) -> str:
    match step.status:
        case StepStatus.SUCCESS:
            return "succeeded"
        case StepStatus.FAILED:
            return f"failed ({_failure(step)})"
        case StepStatus.SKIPPED:
            return "was skipped"
        case StepStatus.NOT_RUN:
            return "did not run"
        case _:
            return f"was {step.status}"


def _failure(step: StepRecord) -> str:
    failure = step.failure
    return f"{failure['type']}: {failure['message']}" if failure else ""


def _decisions(one: StepRecord, two: StepRecord) -> Iterator[str]:
    """The expressions that both evaluated to different values."""
    reads = [
        {read["name"]: read["value"] for read in each.reads if read["kind"] == "expression"}
        for each in (one, two)
    ]
    for name, value in reads[0].items():
        if name in reads[1] and reads[1][name] != value:
            yield f"${{{name}}} was {value}, is {reads[1][name]}"


def _late(step: StepRecord) -> Cause | None:
    return Cause.TIMING if TOOK_TOO_LONG in _failure(step) else None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:g} s"
