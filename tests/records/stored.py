"""Execution records as files: saved from one database, and loaded into any later one."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from runbook_factory import schema

# The rows of a table, in the order in which they can be inserted.
Record = dict[str, list[dict[str, Any]]]

_OF_EXECUTION = {
    "actors": "WHERE id = (SELECT actor_id FROM runbook.runbook_executions WHERE id = :id)",
    "definitions": "WHERE digest = (SELECT definition_digest FROM runbook.runbook_executions WHERE id = :id)",
    "runbook_executions": "WHERE id = :id",
    "runbook_step_logs": "WHERE execution_id = :id ORDER BY position, attempt",
}
_BODIES = "WHERE digest = ANY(:digests) ORDER BY digest"
_DIGEST = re.compile(r'"([0-9a-f]{64})"')


def save(engine: Engine, execution_id: str, path: Path) -> None:
    """Writes all that the record of an execution consists of into the file; raises `LookupError`."""
    found = _rows(engine, execution_id)
    if not found["runbook_executions"]:
        raise LookupError(f"there is no execution {execution_id}")
    bodies = [{**body, "bytes": _packed(body["bytes"])} for body in found["bodies"]]
    content = {
        "format_version": found["runbook_executions"][0]["format_version"],
        "tables": {**found, "bodies": bodies},
    }
    written = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(written + "\n", encoding="utf-8")


def read(path: Path) -> Record:
    """The rows in the file, table by table; `bytes` of bodies in hexadecimal, as PostgreSQL writes them."""
    tables: Record = json.loads(path.read_text(encoding="utf-8"))["tables"]
    bodies = [{**body, "bytes": _unpacked(body["bytes"])} for body in tables["bodies"]]
    return {**{name: tables[name] for name in _OF_EXECUTION}, "bodies": bodies}


def load(engine: Engine, path: Path) -> str:
    """Puts the record in the file into the database, where it is not there yet; gives the execution's id.

    What the file has and the tables no longer have is left out; what only the tables have gets its default.
    """
    schema.ensure(engine)
    record = read(path)
    with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
        for table, rows in record.items():
            known = {column["name"] for column in inspect(connection).get_columns(table, schema="runbook")}
            for row in rows:
                _insert(connection, table, {name: row[name] for name in row if name in known})
    execution_id: str = record["runbook_executions"][0]["id"]
    return execution_id


def _rows(engine: Engine, execution_id: str) -> Record:
    """The rows as PostgreSQL itself writes them in JSON, so that any column of any type can be saved."""
    with engine.execution_options(isolation_level="REPEATABLE READ").begin() as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
        found = {
            table: _select(connection, table, which, id=execution_id)
            for table, which in _OF_EXECUTION.items()
        }
        # A text that looks like a digest and is none names no body.
        digests = sorted(set(_DIGEST.findall(json.dumps(found))))
        found["bodies"] = _select(connection, "bodies", _BODIES, digests=digests)
    return found


def _select(connection: Connection, table: str, which: str, **values: Any) -> list[dict[str, Any]]:
    query = f"SELECT to_jsonb(found) FROM runbook.{table} AS found {which}"
    return list(connection.execute(text(query), values).scalars())


def _insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    statement = f"""
        INSERT INTO runbook.{table} ({names})
        SELECT {names} FROM jsonb_populate_record(CAST(NULL AS runbook.{table}), CAST(:row AS JSONB))
        ON CONFLICT DO NOTHING
    """
    connection.execute(text(statement), {"row": json.dumps(row)})


def _packed(written: str) -> str:
    return base64.b64encode(zlib.compress(bytes.fromhex(written.removeprefix("\\x")), 9)).decode()


def _unpacked(packed: str) -> str:
    return "\\x" + zlib.decompress(base64.b64decode(packed)).hex()
