"""The tables of the execution record, brought up to date when they are first used."""

from functools import cache

from sqlalchemy import Engine, text

HEAD = "007"
FORMAT_VERSION = 2
_LOCK = 7_305_001  # any number of ours: two processes that start at once must not both migrate


class NewerSchema(Exception):
    """The database was written by a newer version of this program."""

    def __init__(self, revision: str | None) -> None:
        self.message = f"the database is of a newer version of this program: its tables are at {revision}"
        self.hint = f"start that version, or restore a backup of before: this one knows them up to {HEAD}"
        super().__init__(self.message)


@cache
def ensure(engine: Engine) -> None:
    """Makes or upgrades the tables, or sees that they are up to date, once for each engine."""
    if revision(engine) == HEAD:
        return
    _upgrade(engine)


def _upgrade(engine: Engine) -> None:
    # Imported here: it costs 0.3 s, and the tables are nearly always up to date.
    import alembic.command
    import alembic.config
    import alembic.util

    with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS runbook"))
        config = alembic.config.Config()
        config.set_main_option("script_location", "runbook_factory:migrations")
        config.attributes["connection"] = connection
        try:
            alembic.command.upgrade(config, "head")
        except alembic.util.CommandError:
            raise NewerSchema(revision(engine)) from None


def revision(engine: Engine) -> str | None:
    """The revision that the tables are at; None where there are none."""
    with engine.connect() as connection:
        if connection.scalar(text("SELECT to_regclass('runbook.alembic_version')")) is None:
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM runbook.alembic_version"))
        return found
