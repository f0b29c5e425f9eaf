"""Dagster's storage on our database; `dagster.yaml` names this class.

A contract with dagster-postgres, private in parts: see tests/runbook_factory/test_dagster_contract.py.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import sqlalchemy
from dagster import DagsterEventType, EventLogEntry, Field, RunsFilter
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, PIPELINE_EVENTS
from dagster._core.storage.event_log.base import EventLogConnection
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.runs.schema import RunsTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage, PostgresRunStorage
from sqlalchemy.exc import SQLAlchemyError

from runbook_factory.database import as_text, database_url, engine
from runbook_factory.project import find_project
from runbook_factory.recorder import patiently

WAITS_SECONDS = 0.05  # how long an event may wait for others to be written with


class BufferedEventLog(PostgresEventLogStorage):
    """Writes the events of a moment in one statement, where the stock class takes two for each.

    One by which a run begins or ends is written at once, and all before it. Nobody is notified: Dagster
    looks for new events in intervals, and progress is told by the record.
    """

    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url, should_autocreate_tables=False)
        self._rows: list[dict[str, Any]] = []
        self._lock = threading.Lock()  # of the rows
        self._writing = threading.Lock()
        self._timer: threading.Timer | None = None

    def store_event(self, event: EventLogEntry) -> None:
        """Stores `event`; those of assets at once, as there is more to do for them."""
        kind = event.dagster_event_type
        if kind is DagsterEventType.ASSET_MATERIALIZATION:
            self._store_materialization(event)
            return
        if kind in ASSET_EVENTS or kind in ASSET_CHECK_EVENTS:
            super().store_event(event)
            return
        with self._lock:
            self._rows.append(self._event_to_row(event))
            if kind not in PIPELINE_EVENTS and self._timer is None:
                self._timer = threading.Timer(WAITS_SECONDS, _flush, [weakref.ref(self)])
                self._timer.daemon = True
                self._timer.start()
        if kind in PIPELINE_EVENTS:
            self.flush()

    def _store_materialization(self, event: EventLogEntry) -> None:
        """As the stock class does, with half as many statements."""
        self.has_secondary_index(ASSET_KEY_INDEX_COLS)  # asked once, and not while a connection is held
        with self._connect() as connection:
            insert = self.prepare_insert_event(event).returning(SqlEventLogStorageTable.c.id)
            event_id = connection.execute(insert).scalar_one()
            self._store_asset_event_tags(connection, [event], [event_id])
            self._store_asset_event(connection, event, event_id)

    def flush(self) -> None:
        """Writes what waits, in its order."""
        with self._writing:
            with self._lock:
                rows, self._rows = self._rows, []
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            if not rows:
                return
            try:
                patiently(lambda: self._write(rows))
            except Exception:
                with self._lock:  # to be tried again with the next
                    self._rows = rows + self._rows
                raise

    def _write(self, rows: list[dict[str, Any]]) -> None:
        with self._connect() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)

    def get_records_for_run(self, *args: Any, **named: Any) -> EventLogConnection:
        """The events of a run, those that wait here among them."""
        self.flush()
        return super().get_records_for_run(*args, **named)

    def dispose(self) -> None:
        """Writes what waits, and ends."""
        self.flush()
        super().dispose()


def _flush(storage: "weakref.ref[BufferedEventLog]") -> None:
    found = storage()
    if found is not None:
        with suppress(SQLAlchemyError):  # of a database that is away, the end of the run will tell
            found.flush()


class KnownRunStorage(PostgresRunStorage):
    """Asks once which columns the tables have, where the stock class asks for every run read or written.

    The query for one run by its id, which Dagster makes at each turn, is built once, too.
    """

    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url)
        self.has_run_stats_index_cols: Callable[[], bool] = cache(super().has_run_stats_index_cols)
        self.has_backfill_id_column: Callable[[], bool] = cache(super().has_backfill_id_column)

    def _runs_query(
        self,
        filters: RunsFilter | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
        order_by: str | None = None,
        ascending: bool = False,
        bucket_by: Any = None,
    ) -> Any:
        ids = filters.run_ids if filters is not None else None
        if columns and not cursor and ids and len(ids) == 1 and filters == RunsFilter(run_ids=ids):
            return _run_by_id(tuple(columns)).params(id=ids[0])
        return super()._runs_query(filters, cursor, limit, columns, order_by, ascending, bucket_by)


@cache
def _run_by_id(columns: tuple[str, ...]) -> sqlalchemy.Select[Any]:
    found = (getattr(RunsTable.c, column) for column in columns)
    return sqlalchemy.select(*found).where(RunsTable.c.run_id == sqlalchemy.bindparam("id"))


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
        self._event_log_storage = BufferedEventLog(postgres_url)
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
