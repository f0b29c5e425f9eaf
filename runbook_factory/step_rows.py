"""The rows of steps in the record: those of a moment are written by one statement."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from runbook_defs.execution import StepStatus
from runbook_factory.bodies import KEEP, Bodies

STEPS = "runbook_steps"  # the channel of notices that a step has ended; each is the id of an execution
SHORT_SECONDS = 0.1  # how long the row of a step that only reads may wait

Row = Mapping[str, Any]
Key = tuple[str, int]  # a step and its attempt

# The columns of what is known when a step begins, and of what its end adds.
_BEGINNING = {
    "step_id": "TEXT",
    "step_type": "TEXT",
    "attempt": "INTEGER",
    "position": "INTEGER",
    "started_at": "TIMESTAMPTZ",
    "inputs": "JSONB",
    "started_virtual": "DOUBLE PRECISION",
}
_END = {
    "status": "TEXT",
    "completed_at": "TIMESTAMPTZ",
    "outputs": "JSONB",
    "errors": "JSONB",
    "summary": "TEXT",
    "seconds": "DOUBLE PRECISION",
    "exchanges": "JSON",
    "reads": "JSONB",
    "records": "JSONB",
    "pictures": "JSONB",
}
_COLUMNS = {**_BEGINNING, **_END}
_RUNNING: Row = {
    **dict.fromkeys(_END),
    "status": StepStatus.RUNNING.value,
    "summary": "",
    **dict.fromkeys(("exchanges", "reads", "pictures"), "[]"),
}

# By way of text, which is what the driver makes of an array of nothing but NULL.
_ARRAYS = ", ".join(f"CAST(CAST(:{name} AS TEXT[]) AS {kind}[])" for name, kind in _COLUMNS.items())

# A row that is there already stays, but for that of a step which an abort left behind.
NOTE_STEPS = text(
    f"""
    WITH kept AS ({KEEP}), noted AS (
        INSERT INTO runbook.runbook_step_logs (execution_id, fence, {", ".join(_COLUMNS)})
        SELECT CAST(:id AS UUID), CAST(:fence AS BIGINT), step.* FROM unnest({_ARRAYS}) AS step
        ON CONFLICT (execution_id, step_id, attempt) DO UPDATE
            SET status = EXCLUDED.status, started_at = EXCLUDED.started_at
            WHERE EXCLUDED.status = 'not_run' AND runbook_step_logs.fence = EXCLUDED.fence
        RETURNING execution_id, status
    )
    SELECT pg_notify('{STEPS}', execution_id::text) FROM noted WHERE status <> 'running' LIMIT 1
    """  # noqa: S608 - of pieces that stand here
)

# The end of a step whose row is there.
END_STEP = text(
    f"""
    WITH kept AS ({KEEP}), ended AS (
        UPDATE runbook.runbook_step_logs
        SET {", ".join(f"{name} = CAST(:{name} AS {kind})" for name, kind in _END.items())}
        WHERE execution_id = :id AND step_id = :step_id AND attempt = :attempt AND fence = :fence
        RETURNING execution_id
    )
    SELECT pg_notify('{STEPS}', execution_id::text) FROM ended
    """  # noqa: S608 - of pieces that stand here
)


class StepRows:
    """What waits to be written: steps that only read, as they begin and end, and the bodies of these."""

    def __init__(self) -> None:
        self._begun: dict[Key, tuple[float, Row]] = {}
        self._ended: list[Row] = []
        self._bodies = Bodies()
        self._since = 0.0  # the first of those that ended

    def begin(self, row: Row) -> Key:
        """Adds a step that begins; gives its key."""
        key = row["step_id"], row["attempt"]
        self._begun[key] = time.monotonic(), {**_RUNNING, **row}
        return key

    def end(self, key: Key, ended: Row, bodies: Bodies) -> bool:
        """Adds the end of a step; False where its beginning does not wait, having been written."""
        _, begun = self._begun.pop(key, (0.0, None))
        if begun is None:
            return False
        if not self._ended:
            self._since = time.monotonic()
        self._ended.append({**begun, **ended})
        self._bodies.take(bodies)
        return True

    def late(self) -> list[Key] | None:
        """Steps that have run for a while, and are to be seen to; None when it is not time to write."""
        if not (self._begun or self._ended):
            return None
        before = time.monotonic() - SHORT_SECONDS
        late = [key for key, (since, _) in self._begun.items() if since < before]
        is_time = late or (self._ended and self._since < before) or self._bodies.are_many
        return late if is_time else None

    def waiting(self, begun: Sequence[Key] = ()) -> list[Row]:
        """What has ended, and these that have begun."""
        return [*self._ended, *(self._begun[key][1] for key in begun)]

    def values(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        """Rows of those that wait, and all bodies, for `NOTE_STEPS`."""
        return {**_arrays(rows), **self._bodies.as_values()}

    def written(self, begun: Sequence[Key] = ()) -> None:
        """Forgets what `waiting` gave."""
        for key in begun:
            del self._begun[key]
        self._ended.clear()
        self._bodies.clear()


def not_run(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Steps that were never reached, for `NOTE_STEPS`."""
    status = {"status": StepStatus.NOT_RUN.value, "started_at": None}
    return {**_arrays([{**_RUNNING, **row, **status} for row in rows]), **Bodies().as_values()}


def _arrays(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in _COLUMNS}
