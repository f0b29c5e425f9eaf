"""Dagster's storage on our database; `dagster.yaml` names this class.

A contract with dagster-postgres, private in parts: see tests/runbook_factory/test_dagster_contract.py.
"""

from typing import Any

from dagster import EventLogEntry, Field
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from sqlalchemy import Text, cast, func, select

from runbook_factory.database import as_text, database_url
from runbook_factory.project import find_project

CHANNEL = "run_events"


class OneStatementEventLog(PostgresEventLogStorage):
    """Stores an event and tells its listeners in one statement, where the stock class takes two."""

    def store_event(self, event: EventLogEntry) -> None:
        """Stores `event`; those of assets go the stock way, which has more to do for them."""
        kind = event.dagster_event_type
        if kind in ASSET_EVENTS or kind in ASSET_CHECK_EVENTS:
            super().store_event(event)
            return
        table = SqlEventLogStorageTable.c
        stored = self.prepare_insert_event(event).returning(table.run_id, table.id).cte("stored")
        name = stored.c.run_id + "_" + cast(stored.c.id, Text)
        with self._connect() as connection:
            connection.execute(select(func.pg_notify(CHANNEL, name)))


class RunbookStorage(DagsterPostgresStorage):
    """Runs, events and schedules in the database of the project, embedded or named."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        self._event_log_storage = OneStatementEventLog(postgres_url, should_autocreate_tables=False)

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """Nothing to configure: the environment says where the database is."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "RunbookStorage":
        """The storage for a `dagster.yaml`."""
        return cls(as_text(database_url(find_project())), inst_data)
