"""The queue of runs: the tables of procrastinate 3.10."""

from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy import text

revision, down_revision = "006", "005"


def upgrade() -> None:
    """Makes them, unless another program that uses procrastinate has."""
    connection = op.get_bind()
    if connection.scalar(text("SELECT to_regclass('procrastinate_jobs')")) is None:
        connection.exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"), ())
