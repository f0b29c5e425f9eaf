"""The values of sensitive inputs, sealed."""

from alembic import op

revision = "004"
down_revision = "003"


def upgrade() -> None:
    """Makes the table. It refers to no execution: a value is sealed before its execution begins."""
    op.execute(
        """
        CREATE TABLE runbook.sealed_inputs (
            execution_id UUID NOT NULL,
            name TEXT NOT NULL,
            key_version TEXT NOT NULL,
            wrapped_key BYTEA NOT NULL,
            nonce BYTEA NOT NULL,
            ciphertext BYTEA NOT NULL,
            PRIMARY KEY (execution_id, name)
        );
        CREATE INDEX sealed_inputs_by_key ON runbook.sealed_inputs (key_version);
        """
    )
