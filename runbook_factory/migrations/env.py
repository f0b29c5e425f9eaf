"""How Alembic runs our migrations: on a connection it is handed, in our schema."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="runbook",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
