"""A runbook that is changed on disk while the service runs."""

import time
from typing import Any

from runbook_factory.catalog import load_runbook
from runbook_factory.database import engine
from runbook_factory.execution_log import get_execution
from tests.served import Running

STEPS = """query { pipelineOrError(params: {pipelineName: "changing", repositoryName: "__repository__",
    repositoryLocationName: "runbooks"}) { ... on Pipeline { solidHandles { handleID } } } }"""

TEXT = """
id: changing
name: Changing
version: 1.0.0
owner: tests
legal_basis: none needed
steps:
  - {id: one, type: wait, inputs: {seconds: 0}}
"""


def write(running: Running, text: str) -> None:
    path = running.project.runbook_file("changing")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def steps(answer: Any) -> list[str]:
    found = answer["data"]["pipelineOrError"].get("solidHandles", ())
    return sorted(handle["handleID"] for handle in found)


def test_the_next_execution_has_it_as_it_is_now_and_so_do_dagsters_pages(running: Running) -> None:
    write(running, TEXT)
    first = running.execute("changing").json()
    assert [step["step"] for step in first["steps"]] == ["one"], first
    write(running, TEXT + "  - {id: two, type: wait, depends_on: [one], inputs: {seconds: 0}}\n")
    for _ in range(2):  # the second one is launched as the first one was
        second = running.execute("changing").json()
        assert [step["step"] for step in second["steps"]] == ["one", "two"]
        record = get_execution(engine(running.project), second["id"])
        assert record.definition_digest == load_runbook(running.project, "changing").digest
    assert steps(running.graphql(STEPS)) == ["one", "two"]


def test_dagsters_pages_follow_a_change_though_nobody_launches_it(running: Running) -> None:
    write(running, TEXT)
    running.execute("changing")
    write(running, TEXT.replace("id: one", "id: other"))
    deadline = time.monotonic() + 30
    while steps(running.graphql(STEPS)) != ["other"]:
        assert time.monotonic() < deadline
        time.sleep(0.3)
