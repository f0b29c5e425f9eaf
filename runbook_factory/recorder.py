"""Writes the execution record: intent before an effect, completion after it, and never a secret."""

import json
import platform
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Any, TypeVar

from sqlalchemy import Engine, TextClause, text
from sqlalchemy.exc import OperationalError

from runbook_defs.execution import Actor, ExecutionRecord, StepRecord
from runbook_factory import schema
from runbook_factory.audit.log import Entry, appending, values_of
from runbook_factory.bodies import KEEP, Bodies, is_cut
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import execute
from runbook_factory.step_rows import END_STEP, NOTE_STEPS, Key, Row, StepRows, not_run
from step_ops.redaction import Redactor
from step_ops.step_type import Effect

ENDS = "runbook_ends"  # the channel of notices that an execution has ended; each is its id
RETRY_SECONDS = (0.2, 1.0, 3.0)

T = TypeVar("T")

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

_KEEP_BODIES = text(KEEP)

# Of a row that is new, and not found again by a write that is repeated, there is no `xmax`.
_BEGIN = text(
    f"""
    WITH actor AS (
        INSERT INTO runbook.actors (id, name, kind) VALUES (:actor_id, :actor, :kind)
        ON CONFLICT (id) DO NOTHING
    ), kept AS ({KEEP}), definition AS (
        INSERT INTO runbook.definitions (digest, runbook_id, text, files)
        VALUES (:definition, :runbook_id, :text, CAST(:files AS JSONB))
        ON CONFLICT (digest) DO NOTHING
    ), begun AS (
        INSERT INTO runbook.runbook_executions
            (id, runbook_id, runbook_version, started_at, status, actor_id, metadata, mode,
             definition_digest, inputs, environment, parent_id, format_version)
        VALUES (:id, :runbook_id, :version, clock_timestamp(), 'running', :actor_id,
             CAST(:metadata AS JSONB), :mode, :definition, CAST(:inputs AS JSON),
             CAST(:environment AS JSONB), :parent, :format)
        ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id
            WHERE runbook_executions.metadata->>'began' = EXCLUDED.metadata->>'began'
        RETURNING id, xmax = 0 AS is_new
    ), noted AS ({appending("(SELECT FROM begun WHERE is_new) AS new")})
    SELECT id FROM begun
    """  # noqa: S608 - of pieces that stand here
)

_FINISH = text(
    f"""
    WITH ended AS (UPDATE runbook.runbook_executions SET
        completed_at = clock_timestamp(), status = :status, kpis = CAST(:kpis AS JSONB),
        metadata = metadata || CAST(:metadata AS JSONB)
    WHERE id = :id AND status = 'running'
    RETURNING id), noted AS ({appending("ended")})
    SELECT pg_notify('{ENDS}', id::text) FROM ended
    """  # noqa: S608 - of pieces that stand here
)

TELL_END = text(f"SELECT pg_notify('{ENDS}', :id)")  # to whoever waits for one that has no record


class AlreadyBegun(Exception):
    """Another process has begun the execution: what it does must not be done twice."""


class Recorder:
    """Writes one execution. Every write can be repeated, so that a short outage loses nothing.

    Without an `engine` nothing is written. With `remembers`, `bodies` has what was kept, by digest.
    """

    def __init__(
        self, engine: Engine | None, execution_id: str, *, redactor: Redactor, remembers: bool = False
    ) -> None:
        self._engine = engine
        self._remembers = remembers
        self.bodies: dict[str, bytes] = {}
        self._id = execution_id
        self._redactor = redactor
        self._fence = time.time_ns()
        self._rows = StepRows()
        self._writing = threading.Lock()  # of those

    def begin(
        self,
        runbook: LoadedRunbook,
        *,
        mode: str,
        actor: Actor,
        inputs: Mapping[str, Any],
        metadata: Mapping[str, Any],
        parent: str | None = None,
        entry: Entry | None = None,
    ) -> None:
        """Notes that the execution runs, by whom, on what definition and inputs; in the audit log too.

        Raises `AlreadyBegun` when that was noted before, and not by this recorder.
        """
        bodies = Bodies()
        files = {name: bodies.add(data) for name, data in runbook.files.items()}
        begun = self._write(
            _BEGIN,
            **bodies.as_values(),
            actor_id=actor.id,
            actor=actor.name,
            kind=actor.kind,
            definition=runbook.digest,
            runbook_id=runbook.id,
            text=runbook.text,
            files=json.dumps(files),
            version=runbook.runbook.version,
            metadata=self._json({**metadata, "began": str(self._fence)}),
            mode=mode,
            inputs=self._json(inputs),
            environment=json.dumps(fingerprint()),
            parent=parent,
            format=schema.FORMAT_VERSION,
            **values_of(entry),
        )
        if begun is not None and not begun:
            raise AlreadyBegun(f"the execution {self._id} was begun by another process")

    def clean(self, step: StepRecord) -> StepRecord:
        """The record with secrets replaced by their pseudonyms; nothing else is stored or shown."""
        redact = self._redactor.data
        return replace(
            step,
            inputs=redact(step.inputs),
            outputs=redact(step.outputs),
            errors=tuple(redact(list(step.errors))),
            summary=self._redactor.text(step.summary),
        )

    def begin_step(self, step: StepRecord, *, position: int, effect: Effect = Effect.WRITE) -> None:
        """Notes the intent to run a step, with its inputs.

        That of one which only reads waits to be written with what comes next, or by `write_waiting`.
        """
        with self._writing:
            begun = self._rows.begin(_begun(step, position))
            if effect is not Effect.READ:
                self._write_rows([begun])

    def write_waiting(self) -> None:
        """Writes what has waited for a moment: steps that have ended, and that are seen to run."""
        with self._writing:
            late = self._rows.late()
            if late is not None:
                self._write_rows(late)

    def finish_step(self, step: StepRecord, bodies: Bodies) -> None:
        """Notes how a step ended, and the bodies of what it said; with its beginning, if that waits.

        A process that was declared lost meanwhile changes nothing.
        """
        ended = {
            "completed_at": step.completed_at,
            "status": step.status.value,
            "outputs": _json(step.outputs),
            "errors": _json(list(step.errors)),
            "summary": step.summary,
            "seconds": step.seconds,
            "exchanges": _json(list(step.exchanges)),
            "reads": _json(list(step.reads)),
            "records": json.dumps(step.records) if step.records else None,
            "pictures": _json(list(step.pictures)),
        }
        key = step.step_id, step.attempt
        with self._writing:
            if self._rows.end(key, ended, bodies):
                return
        about = {"step_id": step.step_id, "attempt": step.attempt, "fence": self._fence}
        self._write(END_STEP, **about, **ended, **bodies.as_values())

    def _write_rows(self, begun: Sequence[Key] = ()) -> None:
        """Writes the steps that have ended, and of those that have begun these.

        Where the database is away they go on waiting. Of those that have ended, one that it does not take
        is lost, and no other; those that have begun go on waiting.
        """
        try:
            self._note(self._rows.waiting(begun))
        except OperationalError:
            raise
        except Exception:
            for row in self._rows.waiting():
                with suppress(Exception):
                    self._note([row])
            self._rows.written()
            raise
        self._rows.written(begun)

    def _note(self, rows: Sequence[Row]) -> None:
        if rows:
            self._write(NOTE_STEPS, fence=self._fence, **self._rows.values(rows))

    def finish(
        self,
        record: ExecutionRecord,
        *,
        unreached: Sequence[tuple[int, StepRecord]],
        entry: Entry | None = None,
    ) -> None:
        """Notes the verdict, in the audit log too, and the steps that never began.

        Of an execution that has ended already, as lost, it notes neither.
        """
        with self._writing:
            self._write_rows()
        if unreached:
            rows = [_begun(step, position) for position, step in unreached]
            self._write(NOTE_STEPS, fence=self._fence, **not_run(rows))
        kpis = [vars(kpi) for kpi in record.kpis]
        self._write(
            _FINISH,
            status=record.status.value,
            kpis=self._json({"kpis": kpis, "measures": record.measures}),
            metadata=self._json(
                {
                    "reason": record.reason,
                    "duration_seconds": record.duration_seconds,
                    "assumptions": [vars(item) for item in record.assumptions],
                    **({"secrets": record.secrets} if record.secrets else {}),
                    **({"replay": record.replay} if record.replay else {}),
                }
            ),
            **values_of(entry),
        )

    def keep(self, data: bytes, *, bodies: Bodies) -> tuple[str, bool]:
        """Puts a body to those that are stored with the end of their step; tells whether it will be cut.

        Where they have become many, it stores them now.
        """
        name = bodies.add(data)
        if self._remembers:
            self.bodies[name] = data
        if bodies.are_many:
            self._write(_KEEP_BODIES, **bodies.as_values())
            bodies.clear()
        return name, is_cut(data)

    def _json(self, value: Any) -> str:
        return _json(self._redactor.data(value))

    def _write(self, statement: TextClause, **values: Any) -> list[tuple[Any, ...]] | None:
        """What the statement gives back; None without an engine."""
        engine = self._engine
        if engine is None:
            return None

        return patiently(lambda: execute(engine, statement, {"id": self._id, **values}))


def _begun(step: StepRecord, position: int) -> Row:
    return {
        "step_id": step.step_id,
        "step_type": step.type,
        "attempt": step.attempt,
        "position": position,
        "started_at": step.started_at,
        "inputs": _json(step.inputs),
        "started_virtual": step.started_virtual,
    }


_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode


def _json(value: Any) -> str:
    """JSON that Postgres takes: its text holds neither NUL nor half a surrogate pair."""
    text = _encode(value).encode("utf-8", "replace").decode()
    return _NUL.sub("\\1\ufffd", text) if "\\u0000" in text else text


def as_stored(value: Any, *, sorts: bool = True) -> Any:
    """The value as it comes back from the database; a column that `sorts` holds whole numbers as such."""
    return json.loads(_json(value), parse_float=_number if sorts else None)


def _number(text: str) -> float | int:
    """What JSONB makes of a number: 1e23 is a one with twenty-three noughts."""
    exact = Decimal(text)
    return int(exact) if "e" in text.lower() and exact == exact.to_integral_value() else float(text)


def patiently(write: Callable[[], T]) -> T:
    """Does `write`, again after a moment when the database is away; at last lets the error out."""
    for seconds in RETRY_SECONDS:
        try:
            return write()
        except OperationalError:
            time.sleep(seconds)
    return write()


@cache
def fingerprint() -> dict[str, str]:
    """What an execution ran on."""
    return {
        "runbook_engine": version("runbook-engine"),
        **{name: version(name) for name in ("dagster", "jsonschema", "python-jsonpath", "requests")},
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
