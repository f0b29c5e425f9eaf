"""What was said keeps the order of its keys, so that a text made of it is the same in a replay."""

from alembic import op

revision = "002"
down_revision = "001"


def upgrade() -> None:
    """JSONB sorts keys; JSON holds the text as it was written."""
    op.execute(
        """
        ALTER TABLE runbook.runbook_step_logs
            ALTER COLUMN exchanges DROP DEFAULT,
            ALTER COLUMN exchanges TYPE JSON USING exchanges::json,
            ALTER COLUMN exchanges SET DEFAULT '[]';
        ALTER TABLE runbook.runbook_executions
            ALTER COLUMN inputs DROP DEFAULT,
            ALTER COLUMN inputs TYPE JSON USING inputs::json,
            ALTER COLUMN inputs SET DEFAULT '{}';
        """
    )
