"""Dagster's storage on our database; `dagster.yaml` names this class.

A contract with dagster-postgres, private in parts: see tests/runbook_factory/test_dagster_contract.py.
"""

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy
from dagster import (
    DagsterEventType,
    DagsterRun,
    DagsterRunStatus,
    EventLogEntry,
    Field,
    RunsFilter,
)
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, PIPELINE_EVENTS
from dagster._core.storage.event_log.base import EventLogConnection
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage, PostgresRunStorage
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from runbook_factory.database import as_text, database_url, engine, execute
from runbook_factory.event_json import event_json
from runbook_factory.project import find_project
from runbook_factory.recorder import patiently

WAITS_SECONDS = 0.25  # how long an event may wait for others to be written with


_EVENTS = """
    INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
    SELECT * FROM unnest(
        CAST(:run_id AS TEXT[]), CAST(:event AS TEXT[]), CAST(:dagster_event_type AS TEXT[]),
        CAST(:timestamp AS TIMESTAMP[]), CAST(:step_key AS TEXT[]), CAST(:asset_key AS TEXT[]),
        CAST(:partition AS TEXT[])
    )
"""

_STORE = sqlalchemy.text(_EVENTS)

# An asset has the last event of it, with the number that it is stored under.
_STORE_AND_TELL = sqlalchemy.text(
    f"""
    WITH stored AS ({_EVENTS} RETURNING id, run_id, event, dagster_event_type, timestamp, asset_key),
    assets AS (
        INSERT INTO asset_keys (asset_key, last_materialization, last_run_id, last_materialization_timestamp)
        SELECT DISTINCT ON (asset_key) asset_key,
            '{{"__class__": "EventLogRecord", "event_log_entry": ' || event
                || ', "storage_id": ' || id || '}}',
            run_id, timestamp
        FROM stored WHERE dagster_event_type = 'ASSET_MATERIALIZATION' ORDER BY asset_key, id DESC
        ON CONFLICT (asset_key) DO UPDATE SET last_materialization = EXCLUDED.last_materialization,
            last_run_id = EXCLUDED.last_run_id,
            last_materialization_timestamp = EXCLUDED.last_materialization_timestamp
    )
    UPDATE runs SET status = :status, update_timestamp = :at,
        start_time = coalesce(:started, start_time), end_time = coalesce(:ended, end_time)
    WHERE runs.run_id = :id
    """  # noqa: S608 - of pieces that stand here
)

_RUN_COLUMNS = ("id", "run_body", "status", "create_timestamp", "update_timestamp", "start_time", "end_time")
_RUN = sqlalchemy.text(f"SELECT {', '.join(_RUN_COLUMNS)} FROM runs WHERE run_id = :id")  # noqa: S608

_ADD_RUN = sqlalchemy.text(
    """
    WITH run AS (
        INSERT INTO runs (run_id, pipeline_name, status, run_body, snapshot_id, partition, partition_set,
            backfill_id, create_timestamp)
        VALUES (:run_id, :pipeline_name, :status, :run_body, :snapshot_id, :partition, :partition_set,
            :backfill_id, :create_timestamp)
    )
    INSERT INTO run_tags (run_id, key, value)
    SELECT :run_id, tag.key, tag.value
    FROM unnest(CAST(:keys AS TEXT[]), CAST(:values AS TEXT[])) AS tag(key, value)
    """
)

_PLAIN = {
    DagsterEventType.PIPELINE_START: DagsterRunStatus.STARTED,
    DagsterEventType.PIPELINE_SUCCESS: DagsterRunStatus.SUCCESS,
}
_NO_RUN = dict.fromkeys(("id", "status", "at", "started", "ended"))


class BufferedEventLog(PostgresEventLogStorage):
    """Writes the events of a moment in one statement, where the stock class takes two for each.

    One by which a run begins or ends is written at once, and all before it, with how the run stands. Nobody
    is notified: Dagster looks for new events in intervals, and progress is told by the record.
    """

    def __init__(self, postgres_url: str, runs: PostgresRunStorage) -> None:
        super().__init__(postgres_url, should_autocreate_tables=False)
        self._runs = runs
        self._rows: list[dict[str, Any]] = []
        self._lock = threading.Lock()  # of the rows
        self._writing = threading.Lock()
        self._timer: threading.Timer | None = None

    def store_event(self, event: EventLogEntry) -> None:
        """Stores `event`, and tells its run."""
        told, kind = event.dagster_event, event.dagster_event_type
        if told is None or kind not in PIPELINE_EVENTS or not self.handles_run_events_in_store_event:
            self.note_event(event)
        elif kind in _PLAIN:
            self._write_now(self._event_to_row(event), run=_stands(event, _PLAIN[kind]))
        else:
            self.note_event(event)
            self._runs.handle_run_event(event.run_id, told, datetime.fromtimestamp(event.timestamp, UTC))

    def note_event(self, event: EventLogEntry) -> None:
        """Stores `event`; how its run stands is not touched."""
        kind = event.dagster_event_type
        if kind in PIPELINE_EVENTS:
            self._write_now(self._event_to_row(event))
        elif (kind in ASSET_EVENTS and not self._is_plain(event)) or kind in ASSET_CHECK_EVENTS:
            super().store_event(event)
        else:
            self._write_soon(self._event_to_row(event))

    @property
    def handles_run_events_in_store_event(self) -> bool:
        """Whether it tells the runs how they stand; else Dagster does, and asks for the run once more.

        That is to mark those that it will retry, where it is set to.
        """
        return not self._instance.run_retries_enabled

    def _event_to_row(self, event: EventLogEntry) -> dict[str, Any]:
        """The columns of the event, as the stock class fills them."""
        told, kind = event.dagster_event, event.dagster_event_type
        about = told if kind in ASSET_EVENTS or kind in ASSET_CHECK_EVENTS else None
        return {
            "run_id": event.run_id,
            "event": event_json(event),
            "dagster_event_type": told.event_type_value if told else None,
            "timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "step_key": told.step_key if told else event.step_key,
            "asset_key": about.asset_key.to_string() if about and about.asset_key else None,
            "partition": about.partition or None if about else None,
        }

    def _is_plain(self, event: EventLogEntry) -> bool:
        """Whether there is no more to do for the asset than to note its last event."""
        kind = event.dagster_event_type
        return kind is DagsterEventType.ASSET_MATERIALIZATION and not self._tags_for_asset_event(event)

    def _write_soon(self, row: dict[str, Any]) -> None:
        with self._lock:
            self._rows.append(row)
            if self._timer is None:
                self._timer = threading.Timer(WAITS_SECONDS, _flush, [weakref.ref(self)])
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Writes what waits, in its order."""
        self._write_now()

    def _write_now(self, *last: dict[str, Any], run: Mapping[str, Any] | None = None) -> None:
        """Writes what waits, in its order, at last a row with which a run stands otherwise.

        Those two go together: whoever else writes meanwhile has neither.
        """
        with self._writing:
            with self._lock:
                rows, self._rows = [*self._rows, *last], []
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            if not rows:
                return
            try:
                patiently(lambda: self._write(rows, run))
            except Exception:
                with self._lock:  # to be tried again with the next
                    self._rows = rows + self._rows
                raise

    def _write(self, rows: list[dict[str, Any]], run: Mapping[str, Any] | None) -> None:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        if run or any(columns["asset_key"]):
            execute(self._engine, _STORE_AND_TELL, {**columns, **(run or _NO_RUN)})
        else:
            execute(self._engine, _STORE, columns)

    def get_records_for_run(self, *args: Any, **named: Any) -> EventLogConnection:
        """The events of a run, those that wait here among them."""
        self.flush()
        return super().get_records_for_run(*args, **named)

    def dispose(self) -> None:
        """Writes what waits, and ends."""
        self.flush()
        super().dispose()


def _stands(event: EventLogEntry, status: DagsterRunStatus) -> dict[str, Any]:
    """How the run stands from this event on.

    That is in columns of their own, which is what counts: what stands in the body is not read.
    """
    return {
        "id": event.run_id,
        "status": status.value,
        "at": datetime.fromtimestamp(event.timestamp, UTC),
        "started": event.timestamp if status is DagsterRunStatus.STARTED else None,
        "ended": event.timestamp if status is DagsterRunStatus.SUCCESS else None,
    }


def _flush(storage: "weakref.ref[BufferedEventLog]") -> None:
    found = storage()
    if found is not None:
        with suppress(SQLAlchemyError):  # of a database that is away, the end of the run will tell
            found.flush()


class KnownRunStorage(PostgresRunStorage):
    """Asks once which columns the tables have and whether a job is stored, where the stock class asks for
    every run read or written.

    The query for one run by its id is not built each time, either.
    """

    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url)
        self.has_run_stats_index_cols: Callable[[], bool] = cache(super().has_run_stats_index_cols)
        self.has_backfill_id_column: Callable[[], bool] = cache(super().has_backfill_id_column)
        self._stored_jobs: set[str] = set()

    def has_job_snapshot(self, job_snapshot_id: str) -> bool:
        """Whether the job of a run is stored; of one that was removed since, the run is refused."""
        if job_snapshot_id not in self._stored_jobs:
            if not super().has_job_snapshot(job_snapshot_id):
                return False
            self._stored_jobs.add(job_snapshot_id)
        return True

    def _runs_query(
        self, filters: RunsFilter | None = None, cursor: str | None = None, *args: Any, **named: Any
    ) -> Any:
        ids = filters.run_ids if filters is not None else None
        whole = "run_body" in (named.get("columns") or ())
        if whole and not cursor and ids and filters == RunsFilter(run_ids=[ids[0]]):
            return _RunById(ids[0])
        return super()._runs_query(filters, cursor, *args, **named)

    def fetchall(self, query: Any) -> Sequence[Any]:
        """The rows of a query."""
        if not isinstance(query, _RunById):
            return super().fetchall(query)
        found = execute(self._engine, _RUN, {"id": query.run_id})
        return [dict(zip(_RUN_COLUMNS, row, strict=True)) for row in found]

    def _core_add_run(self, col_values: dict[str, Any], tags: Mapping[str, str]) -> None:
        values = {"backfill_id": None, **col_values, "keys": list(tags), "values": list(tags.values())}
        try:
            execute(self._engine, _ADD_RUN, values)
        except IntegrityError as error:
            self._stored_jobs.clear()  # its job may be what is missing
            raise DagsterRunAlreadyExists from error

    def _get_run_by_id(self, run_id: str) -> DagsterRun | None:
        rows = self.fetchall(_RunById(run_id))
        return self._row_to_run(rows[0]) if rows else None


@dataclass(frozen=True)
class _RunById:
    """The query for one run, which Dagster makes at each turn."""

    run_id: str


class RunbookStorage(DagsterPostgresStorage):
    """Runs, events and schedules in the database of the project, embedded or named.

    They share the process's pool: by default each event opens a connection of its own, and pooled, each
    of the three keeps some.
    """

    def __init__(
        self,
        postgres_url: str,
        inst_data: ConfigurableClassData | None = None,
        *,
        pooled: sqlalchemy.Engine,
    ) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        self._run_storage = KnownRunStorage(postgres_url)
        self._event_log_storage = BufferedEventLog(postgres_url, self._run_storage)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = pooled

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """Nothing to configure: the environment says where the database is."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "RunbookStorage":
        """The storage for a `dagster.yaml`."""
        project = find_project()
        return cls(as_text(database_url(project)), inst_data, pooled=engine(project))
