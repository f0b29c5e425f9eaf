"""Writes the execution record: intent before an effect, completion after it, and never a secret."""

import json
import platform
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Engine, TextClause, text
from sqlalchemy.exc import OperationalError

from runbook_defs.execution import Actor, ExecutionRecord, StepRecord, StepStatus
from runbook_factory import schema
from runbook_factory.audit.log import Entry, appending, values_of
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.database import execute
from step_ops.recording import digest
from step_ops.redaction import Redactor
from step_ops.step_type import Effect

BODY_BYTES = 8 * 1024 * 1024  # a longer body is cut, and its execution cannot be replayed
STEPS, ENDS = "runbook_steps", "runbook_ends"  # the channels of notices; each is the id of an execution
SHORT_SECONDS = 0.1  # a step that only reads, and ends sooner, is written once
RETRY_SECONDS = (0.2, 1.0, 3.0)

T = TypeVar("T")

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


# In order: two that keep the same bodies must not each wait for what the other has written.
_KEEP = """
    INSERT INTO runbook.bodies (digest, bytes, size, truncated)
    SELECT * FROM unnest(
        CAST(:digests AS TEXT[]), CAST(:bodies AS BYTEA[]), CAST(:sizes AS BIGINT[]), CAST(:cuts AS BOOLEAN[])
    ) ON CONFLICT (digest) DO NOTHING
"""

_KEEP_BODIES = text(_KEEP)

_BEGIN = text(
    f"""
    WITH actor AS (
        INSERT INTO runbook.actors (id, name, kind) VALUES (:actor_id, :actor, :kind)
        ON CONFLICT (id) DO NOTHING
    ), kept AS ({_KEEP}), definition AS (
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

_BEGIN_STEP = text(
    """
    INSERT INTO runbook.runbook_step_logs
        (id, execution_id, step_id, step_type, attempt, position, started_at, status,
         inputs, started_virtual, fence)
    VALUES (:row, :id, :step, :type, :attempt, :position, :started, 'running',
         CAST(:inputs AS JSONB), :virtual, :fence)
    ON CONFLICT (execution_id, step_id, attempt) DO NOTHING
    """
)

# A step of which nothing was noted until it had ended.
_WHOLE_STEP = text(
    f"""
    WITH kept AS ({_KEEP}), ended AS (
        INSERT INTO runbook.runbook_step_logs
            (id, execution_id, step_id, step_type, attempt, position, started_at, inputs, started_virtual,
             fence, completed_at, status, outputs, errors, summary, seconds, exchanges, reads, records,
             pictures)
        VALUES (:row, :id, :step, :type, :attempt, :position, :started, CAST(:inputs AS JSONB), :virtual,
             :fence, :completed, :status, CAST(:outputs AS JSONB), CAST(:errors AS JSONB), :summary,
             :seconds, CAST(:exchanges AS JSON), CAST(:reads AS JSONB), CAST(:records AS JSONB),
             CAST(:pictures AS JSONB))
        ON CONFLICT (execution_id, step_id, attempt) DO NOTHING
        RETURNING execution_id
    )
    SELECT pg_notify('{STEPS}', execution_id::text) FROM ended
    """  # noqa: S608 - of pieces that stand here
)

_FINISH_STEP = text(
    f"""
    WITH kept AS ({_KEEP}), ended AS (UPDATE runbook.runbook_step_logs SET
        completed_at = :completed, status = :status, outputs = CAST(:outputs AS JSONB),
        errors = CAST(:errors AS JSONB), summary = :summary, seconds = :seconds,
        exchanges = CAST(:exchanges AS JSON), reads = CAST(:reads AS JSONB),
        records = CAST(:records AS JSONB), pictures = CAST(:pictures AS JSONB)
    WHERE execution_id = :id AND step_id = :step AND attempt = :attempt AND fence = :fence
    RETURNING execution_id)
    SELECT pg_notify('{STEPS}', execution_id::text) FROM ended
    """  # noqa: S608 - of pieces that stand here
)

_NOT_RUN = text(
    """
    UPDATE runbook.runbook_step_logs SET status = :status, started_at = NULL
    WHERE execution_id = :id AND step_id = :step AND fence = :fence
    """
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


class Bodies(dict[str, bytes]):
    """What is to be stored under its digest; `size` is how many bytes that is."""

    size = 0

    def add(self, data: bytes) -> str:
        """Adds a body; gives its digest."""
        name = digest(data)
        if name not in self:
            self[name] = data
            self.size += len(data)
        return name

    def clear(self) -> None:
        """Forgets them all."""
        super().clear()
        self.size = 0

    def as_values(self) -> dict[str, list[Any]]:
        """The values for the statement that stores them."""
        names = sorted(self)
        return {
            "digests": names,
            "bodies": [self[name][:BODY_BYTES] for name in names],
            "sizes": [len(self[name]) for name in names],
            "cuts": [len(self[name]) > BODY_BYTES for name in names],
        }


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
        # Steps that have begun and of which nothing is written yet; by step and attempt, since when.
        self._begun: dict[tuple[str, int], tuple[float, dict[str, Any]]] = {}
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

        Of one that only reads it is written with its end, or by `write_begun` before that.
        """
        begun = {
            "row": str(uuid4()),
            "step": step.step_id,
            "type": step.type,
            "attempt": step.attempt,
            "position": position,
            "started": step.started_at,
            "inputs": _json(step.inputs),
            "virtual": step.started_virtual,
            "fence": self._fence,
        }
        if effect is Effect.READ:
            with self._writing:
                self._begun[step.step_id, step.attempt] = time.monotonic(), begun
        else:
            self._write(_BEGIN_STEP, **begun)

    def write_begun(self) -> None:
        """Writes which steps have begun, of those that take longer, so that they are seen to run."""
        if not self._begun:
            return
        with self._writing:
            for key, (since, begun) in list(self._begun.items()):
                if time.monotonic() - since > SHORT_SECONDS:
                    self._write(_BEGIN_STEP, **begun)
                    del self._begun[key]

    def finish_step(self, step: StepRecord, bodies: Bodies) -> None:
        """Notes how a step ended, and stores the bodies of what it said.

        A process that was declared lost meanwhile changes nothing.
        """
        with self._writing:
            _, begun = self._begun.pop((step.step_id, step.attempt), (0.0, None))
        self._write(
            _WHOLE_STEP if begun else _FINISH_STEP,
            **(begun or {"step": step.step_id, "attempt": step.attempt, "fence": self._fence}),
            **bodies.as_values(),
            completed=step.completed_at,
            status=step.status.value,
            outputs=_json(step.outputs),
            errors=_json(list(step.errors)),
            summary=step.summary,
            seconds=step.seconds,
            exchanges=_json(list(step.exchanges)),
            reads=_json(list(step.reads)),
            records=json.dumps(step.records) if step.records else None,
            pictures=_json(list(step.pictures)),
        )

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
        for position, step in unreached:
            self.begin_step(step, position=position)
            self._write(
                _NOT_RUN,
                step=step.step_id,
                status=StepStatus.NOT_RUN.value,
                fence=self._fence,
            )
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
        if bodies.size > BODY_BYTES:
            self._write(_KEEP_BODIES, **bodies.as_values())
            bodies.clear()
        return name, len(data) > BODY_BYTES

    def _json(self, value: Any) -> str:
        return _json(self._redactor.data(value))

    def _write(self, statement: TextClause, **values: Any) -> list[tuple[Any, ...]] | None:
        """What the statement gives back; None without an engine."""
        engine = self._engine
        if engine is None:
            return None

        return patiently(lambda: execute(engine, statement, {"id": self._id, **values}))


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
