"""A recorded execution with all that is needed to do it again, read and checked at once."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError

from runbook_defs.execution import CANCELLED, ExecutionRecord, Status, StepRecord, StepStatus
from runbook_factory import schema
from runbook_factory.execution_log import get_execution
from runbook_factory.leases import LOST
from step_ops.gate import Mode

_REPLAYABLE = {Mode.LIVE, Mode.TEST}

_DEFINITION = text("SELECT text, files FROM runbook.definitions WHERE digest = :digest")
_BODIES = text("SELECT digest, bytes, size, truncated FROM runbook.bodies WHERE digest = ANY(:digests)")


class NotReplayable(Exception):
    """The record does not hold what a replay needs; the message says what, and ends the sentence
    "not replayable because ...".
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What one execution was, said and read. `files` are those beside the definition, by name."""

    record: ExecutionRecord
    definition: str
    files: Mapping[str, bytes]
    bodies: Mapping[str, bytes]
    secrets: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def steps(self) -> dict[str, list[StepRecord]]:
        """The attempts of each step and probe, in their order."""
        found: dict[str, list[StepRecord]] = {}
        for attempt in (*self.record.probes, *self.record.steps):
            found.setdefault(attempt.step_id, []).append(attempt)
        return found


def load_recording(engine: Engine, name: str) -> Recording:
    """The recording of the execution called `name`, whole and fit for a replay.

    Raises `NoSuchExecution` or `NotReplayable`.
    """
    with _as_written():
        record = get_execution(engine, name)
        _check_replayable(record)
        return _read(engine, record)


def read_recording(engine: Engine, record: ExecutionRecord) -> Recording:
    """The recording of `record`, which has ended; raises `NotReplayable` when a part of it is missing."""
    with _as_written():
        return _read(engine, record)


@contextmanager
def _as_written() -> Iterator[None]:
    """Turns a record that somebody has changed beyond reading into a sentence."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
        raise NotReplayable(f"its record is not what was written: {type(error).__name__}: {error}") from None


def _check_shape(record: ExecutionRecord) -> None:
    """Raises what `_as_written` turns into a sentence, for what only a replay would stumble over."""
    if not isinstance(record.duration_seconds, int | float | None):
        raise ValueError("its duration is no number")
    for step in (*record.probes, *record.steps):
        for said in step.exchanges:
            request = said["request"]
            if "sql" not in request and "selector" not in request:
                _ = request["method"], request["url"]
        for read in step.reads:
            _ = read["kind"], read["name"], read["value"]
        for error in step.errors:
            _ = error["type"], error["message"]


def _read(engine: Engine, record: ExecutionRecord) -> Recording:
    _check_known(record)
    _check_shape(record)
    with engine.connect() as connection:
        row = connection.execute(_DEFINITION, {"digest": record.definition_digest}).one_or_none()
        if row is None:
            raise NotReplayable("its definition is not in the database")
        digests = {*row.files.values(), *_digests(record)}
        found = connection.execute(_BODIES, {"digests": list(digests)}).all()
    kept = {item.digest: item for item in found}
    _check_bodies(record, kept)
    bodies = {digest: bytes(item.bytes) for digest, item in kept.items()}
    cut = {part["body_digest"] for part in _parts(record) if part.get("truncated")}
    for digest, item in kept.items():
        if (
            digest not in cut
            and not (item.truncated and digest in row.files.values())
            and hashlib.sha256(bodies[digest]).hexdigest() != digest
        ):
            raise NotReplayable(f"the stored body {digest[:12]}… is not what was stored under that name")
    missing = [name for name, digest in row.files.items() if digest not in bodies or kept[digest].truncated]
    if missing:
        raise NotReplayable(f"the file {missing[0]!r} of its definition is not whole in the database")
    return Recording(
        record=record,
        definition=row.text,
        files={name: bodies[digest] for name, digest in row.files.items()},
        bodies=bodies,
        secrets=dict(_pseudonyms(record)),
    )


def _pseudonyms(record: ExecutionRecord) -> Iterator[tuple[str, str]]:
    """What stands for each sensitive input, and for each secret that was read."""
    for name, value in record.inputs.items():
        if isinstance(value, str) and value.startswith(f"secret:{name}#"):
            yield name, value
    for each in (*record.probes, *record.steps):
        for read in each.reads:
            if read["kind"] == "secret":
                yield read["name"], read["value"]


def _check_known(record: ExecutionRecord) -> None:
    """Raises `NotReplayable` for a record that this program cannot read, or that is not finished."""
    version = record.format_version or 0
    if version > schema.FORMAT_VERSION:
        raise NotReplayable(
            f"its record has the format {version}, and this program reads up to {schema.FORMAT_VERSION}",
            hint="use the version of the program that wrote it, or a newer one",
        )
    if record.status is Status.RUNNING:
        raise NotReplayable("it is still running", hint="wait for its end: `rb show` tells of it")


def _check_replayable(record: ExecutionRecord) -> None:
    """Raises `NotReplayable` for what no record could give back."""
    _check_known(record)
    if record.mode not in _REPLAYABLE:
        of = f" of {record.parent_id}" if record.parent_id else ""
        raise NotReplayable(f"it is itself a {record.mode}{of}", hint="replay the execution it came from")
    if record.reason == CANCELLED:
        raise NotReplayable("it was cancelled from outside, at a moment that no record can give back")
    if record.reason == LOST:
        raise NotReplayable("its process was lost, and nobody knows what its last steps did")
    if not record.assumptions and all(step.status is StepStatus.NOT_RUN for step in record.steps):
        raise NotReplayable(f"it ended before its first step: {record.reason or 'no reason was noted'}")

    for step in (*record.probes, *record.steps):
        for number, said in enumerate(step.exchanges, 1):
            if said.get("truncated"):
                place = f"the answer of exchange {number} of step {step.step_id!r}"
                size = said["body_bytes"]
                raise NotReplayable(f"{place}, {size:,} bytes, was cut when it was recorded")


def _check_bodies(record: ExecutionRecord, kept: Mapping[str, Any]) -> None:
    """Raises `NotReplayable` when an answer is gone."""
    for step in (*record.probes, *record.steps):
        for number, said in enumerate(step.exchanges, 1):
            place = f"the answer of exchange {number} of step {step.step_id!r}"
            for wanted in (said.get("body_digest"), said.get("picture_digest")):
                if wanted is not None and wanted not in kept:
                    raise NotReplayable(f"{place} is not in the database: its body {wanted[:12]}… is missing")


def _parts(record: ExecutionRecord) -> Iterator[Mapping[str, Any]]:
    """Everything of the record that may have a body: requests, answers, what pages got."""
    for step in (*record.probes, *record.steps):
        for said in step.exchanges:
            yield from (said, said["request"], *said.get("capture", {}).get("resources", ()))


def _digests(record: ExecutionRecord) -> Iterator[str]:
    """The name of every body that the record refers to."""
    for part in _parts(record):
        yield from (part[key] for key in ("body_digest", "picture_digest") if key in part)
    for step in (*record.probes, *record.steps):
        for picture in step.pictures:
            yield picture["digest"]
        yield from (read["value"] for read in step.reads if read["kind"] == "baseline" and read["value"])
