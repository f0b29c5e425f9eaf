"""The execution record: executions, step logs, actors, definitions, bodies."""

from alembic import op

revision = "001"
down_revision = None


def upgrade() -> None:
    """Makes the tables; the first seven columns of the first two are the specification's."""
    op.execute(
        """
        CREATE TABLE runbook.actors (
            id UUID PRIMARY KEY,
            name TEXT NOT NULL,
            kind TEXT NOT NULL DEFAULT 'user',
            first_seen TIMESTAMPTZ NOT NULL DEFAULT now()
        );

        CREATE TABLE runbook.definitions (
            digest TEXT PRIMARY KEY,
            runbook_id TEXT NOT NULL,
            text TEXT NOT NULL,
            files JSONB NOT NULL DEFAULT '{}',
            first_seen TIMESTAMPTZ NOT NULL DEFAULT now()
        );

        CREATE TABLE runbook.bodies (
            digest TEXT PRIMARY KEY,
            bytes BYTEA NOT NULL,
            size BIGINT NOT NULL,
            truncated BOOLEAN NOT NULL DEFAULT false,
            first_seen TIMESTAMPTZ NOT NULL DEFAULT now()
        );

        CREATE TABLE runbook.runbook_executions (
            id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
            runbook_id TEXT NOT NULL,
            runbook_version TEXT NOT NULL,
            started_at TIMESTAMPTZ DEFAULT now(),
            completed_at TIMESTAMPTZ,
            status TEXT CHECK (status IN ('running', 'success', 'failure', 'aborted')),
            actor_id UUID REFERENCES runbook.actors(id),
            metadata JSONB NOT NULL DEFAULT '{}',
            mode TEXT NOT NULL DEFAULT 'live'
                CHECK (mode IN ('live', 'test', 'replay', 'backtest', 'rollback')),
            definition_digest TEXT REFERENCES runbook.definitions(digest),
            inputs JSONB NOT NULL DEFAULT '{}',
            kpis JSONB NOT NULL DEFAULT '{}',
            environment JSONB NOT NULL DEFAULT '{}',
            parent_id UUID REFERENCES runbook.runbook_executions(id),
            format_version INTEGER NOT NULL
        );
        CREATE INDEX runbook_executions_by_start
            ON runbook.runbook_executions (mode, started_at DESC);
        CREATE INDEX runbook_executions_by_runbook
            ON runbook.runbook_executions (runbook_id, mode, started_at DESC);
        CREATE INDEX runbook_executions_running
            ON runbook.runbook_executions (started_at) WHERE status = 'running';

        CREATE TABLE runbook.runbook_step_logs (
            id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
            execution_id UUID NOT NULL REFERENCES runbook.runbook_executions(id),
            step_id TEXT NOT NULL,
            started_at TIMESTAMPTZ DEFAULT now(),
            completed_at TIMESTAMPTZ,
            status TEXT CHECK (status IN
                ('running', 'success', 'failed', 'skipped', 'not_run', 'unknown')),
            inputs JSONB,
            outputs JSONB,
            errors JSONB,
            step_type TEXT NOT NULL DEFAULT '',
            attempt INTEGER NOT NULL DEFAULT 1,
            position INTEGER NOT NULL DEFAULT 0,
            seconds DOUBLE PRECISION,
            started_virtual DOUBLE PRECISION,
            summary TEXT NOT NULL DEFAULT '',
            exchanges JSONB NOT NULL DEFAULT '[]',
            reads JSONB NOT NULL DEFAULT '[]',
            records JSONB,
            pictures JSONB NOT NULL DEFAULT '[]',
            fence BIGINT NOT NULL DEFAULT 0,
            UNIQUE (execution_id, step_id, attempt)
        );
        """
    )
