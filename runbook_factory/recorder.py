"""Writes the execution record: intent before an effect, completion after it, and never a secret."""

import json
import platform
import re
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
from runbook_factory.catalog import LoadedRunbook
from step_ops.recording import digest
from step_ops.redaction import Redactor

BODY_BYTES = 8 * 1024 * 1024  # a longer body is cut, and its execution cannot be replayed
RETRY_SECONDS = (0.2, 1.0, 3.0)

T = TypeVar("T")

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


_BEGIN = text(
    """
    WITH actor AS (
        INSERT INTO runbook.actors (id, name, kind) VALUES (:actor_id, :actor, :kind)
        ON CONFLICT (id) DO NOTHING
    ), definition AS (
        INSERT INTO runbook.definitions (digest, runbook_id, text, files)
        VALUES (:definition, :runbook_id, :text, CAST(:files AS JSONB))
        ON CONFLICT (digest) DO NOTHING
    )
    INSERT INTO runbook.runbook_executions
        (id, runbook_id, runbook_version, started_at, status, actor_id, metadata, mode,
         definition_digest, inputs, environment, parent_id, format_version)
    VALUES (:id, :runbook_id, :version, clock_timestamp(), 'running', :actor_id,
         CAST(:metadata AS JSONB), :mode, :definition, CAST(:inputs AS JSON),
         CAST(:environment AS JSONB), :parent, :format)
    ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id
        WHERE runbook_executions.metadata->>'began' = EXCLUDED.metadata->>'began'
    RETURNING id
    """
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

_FINISH_STEP = text(
    """
    WITH ended AS (UPDATE runbook.runbook_step_logs SET
        completed_at = :completed, status = :status, outputs = CAST(:outputs AS JSONB),
        errors = CAST(:errors AS JSONB), summary = :summary, seconds = :seconds,
        exchanges = CAST(:exchanges AS JSON), reads = CAST(:reads AS JSONB),
        records = CAST(:records AS JSONB), pictures = CAST(:pictures AS JSONB)
    WHERE execution_id = :id AND step_id = :step AND attempt = :attempt AND fence = :fence
    RETURNING execution_id)
    SELECT pg_notify('runbook_progress', execution_id::text) FROM ended
    """
)

_NOT_RUN = text(
    """
    UPDATE runbook.runbook_step_logs SET status = :status, started_at = NULL
    WHERE execution_id = :id AND step_id = :step AND fence = :fence
    """
)

_FINISH = text(
    """
    WITH ended AS (UPDATE runbook.runbook_executions SET
        completed_at = clock_timestamp(), status = :status, kpis = CAST(:kpis AS JSONB),
        metadata = metadata || CAST(:metadata AS JSONB)
    WHERE id = :id AND status = 'running'
    RETURNING id)
    SELECT pg_notify('runbook_progress', id || ' ended') FROM ended
    """
)

_KEEP = text(
    """
    INSERT INTO runbook.bodies (digest, bytes, size, truncated)
    VALUES (:digest, :bytes, :size, :cut) ON CONFLICT (digest) DO NOTHING
    """
)


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

    def begin(
        self,
        runbook: LoadedRunbook,
        *,
        mode: str,
        actor: Actor,
        inputs: Mapping[str, Any],
        metadata: Mapping[str, Any],
        parent: str | None = None,
    ) -> None:
        """Notes that the execution runs, by whom, on what definition and inputs.

        Raises `AlreadyBegun` when that was noted before, and not by this recorder.
        """
        files = {name: self.keep(data)[0] for name, data in runbook.files.items()}
        begun = self._write(
            _BEGIN,
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
        )
        if begun == 0:
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

    def begin_step(self, step: StepRecord, *, position: int) -> None:
        """Notes the intent to run a step, with its inputs."""
        self._write(
            _BEGIN_STEP,
            row=str(uuid4()),
            step=step.step_id,
            type=step.type,
            attempt=step.attempt,
            position=position,
            started=step.started_at,
            inputs=_json(step.inputs),
            virtual=step.started_virtual,
            fence=self._fence,
        )

    def finish_step(self, step: StepRecord) -> None:
        """Notes how a step ended. A process that was declared lost meanwhile changes nothing."""
        self._write(
            _FINISH_STEP,
            step=step.step_id,
            attempt=step.attempt,
            fence=self._fence,
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

    def finish(self, record: ExecutionRecord, *, unreached: Sequence[tuple[int, StepRecord]]) -> None:
        """Notes the verdict, and the steps that never began."""
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
        )

    def keep(self, data: bytes) -> tuple[str, bool]:
        """Stores a body once, under its digest; tells whether it was cut."""
        name, cut = digest(data), len(data) > BODY_BYTES
        if self._remembers:
            self.bodies[name] = data
        self._write(
            _KEEP,
            digest=name,
            bytes=data[:BODY_BYTES],
            size=len(data),
            cut=cut,
        )
        return name, cut

    def _json(self, value: Any) -> str:
        return _json(self._redactor.data(value))

    def _write(self, statement: TextClause, **values: Any) -> int | None:
        """The number of rows written; None without an engine."""
        engine = self._engine
        if engine is None:
            return None

        def write() -> int:
            with engine.connect() as connection:
                return connection.execute(statement, {"id": self._id, **values}).rowcount

        return patiently(write)


def _json(value: Any) -> str:
    """JSON that Postgres takes: its text holds neither NUL nor half a surrogate pair."""
    text = json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace").decode()
    return _NUL.sub("\\1\ufffd", text)


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
