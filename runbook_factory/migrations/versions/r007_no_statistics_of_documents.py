"""No statistics of columns that hold documents: nothing is found by them, and to sort them takes long."""

from alembic import op

revision, down_revision = "007", "006"

_DOCUMENTS = {
    "definitions": ("text", "files"),
    "bodies": ("bytes",),
    "runbook_executions": ("metadata", "inputs", "kpis", "environment"),
    "runbook_step_logs": ("inputs", "outputs", "errors", "exchanges", "reads", "records", "pictures"),
}


def upgrade() -> None:
    """Has PostgreSQL pass them over when it looks at a table, which it often does while that grows."""
    for table, columns in _DOCUMENTS.items():
        for column in columns:
            op.execute(f"ALTER TABLE runbook.{table} ALTER COLUMN {column} SET STATISTICS 0")
