"""The audit log: entries that are only ever added, each with the hash of the one before it."""

from alembic import op

revision = "003"
down_revision = "002"


def upgrade() -> None:
    """Makes the tables, and what numbers, chains and guards the entries.

    Whoever inserts, and from however many processes, gets the next number: the lock is held until the
    entry is committed. runbook_factory/audit/chain.py computes the same hash.
    """
    op.execute(
        """
        CREATE TABLE runbook.audit_log (
            seq BIGINT PRIMARY KEY,
            at TIMESTAMPTZ NOT NULL,
            actor_id UUID,
            actor_name TEXT NOT NULL,
            actor_kind TEXT NOT NULL,
            action TEXT NOT NULL,
            subject TEXT NOT NULL,
            outcome TEXT NOT NULL CHECK (outcome IN ('allowed', 'refused', 'succeeded', 'failed')),
            details BYTEA NOT NULL,
            previous BYTEA NOT NULL CHECK (octet_length(previous) = 32),
            hash BYTEA NOT NULL CHECK (octet_length(hash) = 32)
        );

        CREATE TABLE runbook.audit_delivery (
            sink TEXT PRIMARY KEY,
            seq BIGINT NOT NULL,
            hash BYTEA NOT NULL,
            at TIMESTAMPTZ NOT NULL
        );

        CREATE FUNCTION runbook.audit_field(field BYTEA) RETURNS BYTEA LANGUAGE sql IMMUTABLE
        RETURN int4send(octet_length(field)) || field;

        CREATE FUNCTION runbook.audit_field(field TEXT) RETURNS BYTEA LANGUAGE sql IMMUTABLE
        RETURN runbook.audit_field(convert_to(field, 'UTF8'));

        CREATE FUNCTION runbook.audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            last RECORD;
        BEGIN
            PERFORM pg_advisory_xact_lock(7305003);
            SELECT seq, hash INTO last FROM runbook.audit_log ORDER BY seq DESC LIMIT 1;
            NEW.seq := coalesce(last.seq, 0) + 1;
            NEW.at := clock_timestamp();
            NEW.previous := coalesce(last.hash, decode(repeat('00', 32), 'hex'));
            NEW.hash := sha256(
                runbook.audit_field('runbook audit 1'::TEXT)
                || runbook.audit_field(int8send(NEW.seq))
                || runbook.audit_field(NEW.previous)
                || runbook.audit_field(int8send((extract(epoch FROM NEW.at) * 1000000)::BIGINT))
                || runbook.audit_field(coalesce(NEW.actor_id::TEXT, ''))
                || runbook.audit_field(NEW.actor_name)
                || runbook.audit_field(NEW.actor_kind)
                || runbook.audit_field(NEW.action)
                || runbook.audit_field(NEW.subject)
                || runbook.audit_field(NEW.outcome)
                || runbook.audit_field(NEW.details)
            );
            PERFORM pg_notify('runbook_audit', '');
            RETURN NEW;
        END
        $$;

        CREATE FUNCTION runbook.audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit log is append-only: % is refused', TG_OP
                USING ERRCODE = 'insufficient_privilege',
                HINT = 'a mistake in it is corrected by a further entry';
        END
        $$;

        CREATE TRIGGER chained BEFORE INSERT ON runbook.audit_log
            FOR EACH ROW EXECUTE FUNCTION runbook.audit_chain();
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON runbook.audit_log
            FOR EACH STATEMENT EXECUTE FUNCTION runbook.audit_refuse();
        """
    )
