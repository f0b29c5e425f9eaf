"""Many stored executions, copied in the database from one that was really made."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.postgres import Server

COPY = "md5('copy ' || n)::uuid"  # the id of the n-th


@dataclass(frozen=True, kw_only=True)
class Table:
    """Where rows of an execution are: the column with its id, and what differs in a copy."""

    name: str
    execution: str
    columns: Mapping[str, str]


def _earlier(column: str) -> str:
    return f"t.{column} - n * interval '1 minute'"


def _seconds_earlier(column: str) -> str:
    return f"t.{column} - n * 60.0"


def _in_text(column: str) -> str:
    return f"replace(t.{column}, '{{pattern}}', ({COPY})::text)"


def _serial(table: str) -> str:
    return f"nextval(pg_get_serial_sequence('{table}', 'id'))"


TABLES = (
    Table(
        name="runbook.runbook_executions",
        execution="id",
        columns={"started_at": _earlier("started_at"), "completed_at": _earlier("completed_at")},
    ),
    Table(
        name="runbook.runbook_step_logs",
        execution="execution_id",
        columns={
            "id": "gen_random_uuid()",
            "started_at": _earlier("started_at"),
            "completed_at": _earlier("completed_at"),
        },
    ),
    Table(
        name="runs",
        execution="run_id",
        columns={
            "id": _serial("runs"),
            "run_body": _in_text("run_body"),
            "create_timestamp": _earlier("create_timestamp"),
            "update_timestamp": _earlier("update_timestamp"),
            "start_time": _seconds_earlier("start_time"),
            "end_time": _seconds_earlier("end_time"),
        },
    ),
    Table(name="run_tags", execution="run_id", columns={"id": _serial("run_tags")}),
    Table(
        name="event_logs",
        execution="run_id",
        columns={
            "id": _serial("event_logs"),
            "event": _in_text("event"),
            "timestamp": _earlier("timestamp"),
        },
    ),
)


def store_copies(database: Server, url: str, copies: int) -> dict[str, int]:
    """Copies the newest execution in the database at `url` so often; gives the rows that each table has then.

    Each is a minute older than the one before it. The statistics for the planner are renewed, as
    PostgreSQL itself does within a minute.
    """
    newest = "SELECT id FROM runbook.runbook_executions ORDER BY started_at DESC LIMIT 1"
    ((pattern,),) = database.execute(newest, database=url)
    for table in TABLES:
        database.execute(_statement(table, str(pattern), copies), database=url)
    database.execute("VACUUM ANALYZE", database=url)
    return {table.name: _count(database, url, table.name) for table in TABLES}


def _statement(table: Table, pattern: str, copies: int) -> str:
    changed = {table.execution: COPY, **table.columns}
    pairs = ", ".join(f"'{column}', {value}" for column, value in changed.items())
    return (
        f"INSERT INTO {table.name} SELECT copy.* FROM {table.name} t, generate_series(1, {copies}) n,"
        f" LATERAL jsonb_populate_record(t, jsonb_build_object({pairs})) copy"
        f" WHERE t.{table.execution}::text = '{{pattern}}'"
    ).replace("{pattern}", pattern)


def _count(database: Server, url: str, table: str) -> int:
    ((rows,),) = database.execute(f"SELECT count(*) FROM {table}", database=url)
    return int(rows)
