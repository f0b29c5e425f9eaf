"""Dagster's storage on our database; `dagster.yaml` names this class.

A contract with dagster-postgres, private in parts: see tests/runbook_factory/test_dagster_contract.py.
"""

from typing import Any

from dagster import Field
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from runbook_factory.database import as_text, database_url
from runbook_factory.project import find_project


class RunbookStorage(DagsterPostgresStorage):
    """Runs, events and schedules in the database of the project, embedded or named."""

    @classmethod
    def config_type(cls) -> Any:
        """Nothing to configure in the usual case; the environment says where the database is."""
        return {"should_autocreate_tables": Field(bool, is_required=False, default_value=True)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "RunbookStorage":
        """The storage for a `dagster.yaml`."""
        return cls(
            postgres_url=as_text(database_url(find_project())),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
        )
