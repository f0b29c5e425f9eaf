"""The pictures of executions that ran on another machine."""

import json

from sqlalchemy import text

from runbook_factory.database import engine
from step_ops.recording import digest
from tests.served import Running

PNG = b"\x89PNG\r\n\x1a\n and so on"


def test_a_picture_that_is_only_in_the_record_is_given_out(running: Running) -> None:
    execution = running.execute().json()["id"]
    path = f".runbook/artifacts/{execution}/fetch/list.png"
    with engine(running.project).connect() as connection:
        connection.execute(
            text("INSERT INTO runbook.bodies (digest, bytes, size, truncated) VALUES (:d, :b, :n, false)"),
            {"d": digest(PNG), "b": PNG, "n": len(PNG)},
        )
        connection.execute(
            text(
                "UPDATE runbook.runbook_step_logs SET pictures = CAST(:p AS JSONB)"
                " WHERE execution_id = CAST(:id AS UUID) AND step_id = 'fetch'"
            ),
            {"p": json.dumps([{"path": path, "digest": digest(PNG)}]), "id": execution},
        )
    (found,) = running.ask("GET", f"/api/executions/{execution}/artifacts").json()["artifacts"]
    assert found == {"name": "fetch/list.png", "bytes": len(PNG), "sha256": digest(PNG)}
    answer = running.ask("GET", f"/api/executions/{execution}/artifacts/fetch/list.png")
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert running.ask("GET", f"/api/executions/{execution}/artifacts/fetch/other.png").status_code == 404
    other = running.execute().json()["id"]
    assert (
        running.ask("GET", f"/api/executions/{other}/artifacts/../{execution}/fetch/list.png").status_code
        == 404
    )
