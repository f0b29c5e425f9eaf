"""Who still runs: a lease per execution, and the settling of executions whose process was lost.

The lease is a lock of the database's that lasts as long as the connection that took it, so that a
process that dies, however it dies, gives it up without a word.
"""

from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from runbook_factory.audit.lost import note_lost
from runbook_factory.database import send
from runbook_factory.recorder import ENDS

LOST = "the process that ran it was lost"

_TAKE = text("SELECT pg_advisory_lock(hashtextextended(:id, 0))")

_GIVE = text("SELECT pg_advisory_unlock(hashtextextended(:id, 0))")

_LOST = text(
    """
    SELECT id FROM runbook.runbook_executions
    WHERE status = 'running' AND pg_try_advisory_xact_lock(hashtextextended(id::text, 0))
    """
)

# A new fence shuts out a process that comes back: what it writes then changes nothing. The status is
# asked once more: by now another process may have settled it, or its own may have ended it.
_SETTLE = text(
    f"""
    WITH settled AS (
        UPDATE runbook.runbook_executions SET
            status = 'failure', completed_at = clock_timestamp(),
            metadata = metadata || jsonb_build_object('reason', CAST(:reason AS TEXT))
        WHERE id = ANY(:ids) AND status = 'running'
        RETURNING id
    ), steps AS (
        UPDATE runbook.runbook_step_logs SET status = 'unknown', fence = -1
        WHERE execution_id IN (SELECT id FROM settled) AND status = 'running'
    )
    SELECT id, pg_notify('{ENDS}', id::text) FROM settled
    """  # noqa: S608 - of pieces that stand here
)

_ARE_LOST = text(
    """
    SELECT id FROM runbook.runbook_executions
    WHERE id = ANY(CAST(:ids AS UUID[])) AND metadata->>'reason' = :reason
    """
)


class Lease:
    """Held while an execution runs in this process."""

    def __init__(self, engine: Engine, execution_id: str) -> None:
        self._id = execution_id
        self._connection: Connection = engine.connect()
        send(self._connection, _TAKE, {"id": execution_id})

    def release(self) -> None:
        """Gives the lease up; a database that is away has done so already."""
        with suppress(DBAPIError):
            try:
                send(self._connection, _GIVE, {"id": self._id})
            except DBAPIError:
                self._connection.invalidate()
            self._connection.close()


def settle_lost(engine: Engine) -> None:
    """Gives every running execution without a process its verdict, a failure, and notes its end.

    What the steps that were running did cannot be known, and is not guessed.
    """
    with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
        lost = list(connection.execute(_LOST).scalars())
        if lost:
            settled = connection.execute(_SETTLE, {"ids": lost, "reason": LOST}).scalars().all()
            note_lost(connection, settled)


def lost_executions(engine: Engine, execution_ids: Sequence[str]) -> set[str]:
    """Those of the executions that were settled because their process was lost."""
    if not execution_ids:
        return set()
    with engine.connect() as connection:
        found = connection.execute(_ARE_LOST, {"ids": list(execution_ids), "reason": LOST})
        return {str(item) for item in found.scalars()}
