"""Tokens and sessions, by their hashes, and the keys under which requests are made only once."""

from alembic import op

revision = "005"
down_revision = "004"


def upgrade() -> None:
    """Makes the tables."""
    op.execute(
        """
        CREATE TABLE runbook.tokens (
            id UUID PRIMARY KEY,
            name TEXT NOT NULL,
            role TEXT NOT NULL,
            runbooks TEXT[] NOT NULL DEFAULT '{}',
            hash BYTEA NOT NULL UNIQUE,
            created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
            created_by TEXT NOT NULL,
            expires_at TIMESTAMPTZ,
            last_used_at TIMESTAMPTZ,
            revoked_at TIMESTAMPTZ
        );

        CREATE TABLE runbook.sessions (
            hash BYTEA PRIMARY KEY,
            token_id UUID NOT NULL REFERENCES runbook.tokens(id),
            expires_at TIMESTAMPTZ NOT NULL
        );

        CREATE TABLE runbook.requests (
            actor_id UUID NOT NULL,
            key TEXT NOT NULL,
            digest BYTEA NOT NULL,
            execution_id UUID NOT NULL,
            made_at TIMESTAMPTZ NOT NULL DEFAULT now(),
            PRIMARY KEY (actor_id, key)
        );
        """
    )
