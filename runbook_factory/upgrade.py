"""Brings the tables of a database up to this version of the program, before its processes start."""

from sqlalchemy import text

from runbook_factory import schema
from runbook_factory.database import engine, reachable
from runbook_factory.instance import stored_instance
from runbook_factory.project import Project

_LOCK = 7_305_002  # two that start at once must not both make Dagster's tables


def upgrade(project: Project) -> str:
    """Makes or upgrades our tables, the queue's and Dagster's; gives the revision that ours are at.

    Several may call it at once, and as often as they like. Raises `DatabaseError` or `NewerSchema`.
    """
    with reachable(), engine(project).connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        try:
            with stored_instance(project) as instance:
                instance.upgrade()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
    return schema.HEAD
