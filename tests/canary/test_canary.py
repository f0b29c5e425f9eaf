"""Secrets go everywhere that a runbook may send them, come back in every way, and are seen by nobody."""

import base64
import gzip
import html
import json
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml

from runbook_factory import database
from runbook_factory.project import Project
from step_ops.drivers.find_browser import find_browser
from step_ops.registry import step_types
from tests.canary.canaries import MARKER, canaries
from tests.canary.deployment import RUNBOOKS, Deployment, deployed
from tests.canary.searching import RECORD, Place, data_files, dump, files, table
from tests.canary.terminal import Terminal
from tests.canary.testing import with_real_secrets
from tests.canary.visiting import EXECUTION, LAUNCH, RUN, Visit, visiting
from tests.canary.world import told
from tests.scripted import Server

ECHOES, FAILURES = RUNBOOKS
LAUNCHED = {"repositoryLocationName": "runbooks", "repositoryName": "__repository__"}

# How the steps of the second runbook fail; all others there, and all of the first, succeed.
WRONG = {
    "config": "delayed hook no_address joined_address number guarded_push file no_parameter unquoted"
    " page_of_hook selector",
    "connection": "refused no_tls hook_refused no_database no_user no_server",
    "data": "no_json no_line no_output",
    "expression": "for_nothing no_name no_sum computed summed",
    "graphql": "graphql",
    "http": "broken long push",
    "policy": "away loop two_lines",
    "schema_validation": "schema long_word secret_word",
    "screenshot": "unstable",
    "secret": "too_short",
    "sql": "syntax cast unique raised no_value light",
    "timeout": "for_long for_good late missing",
}

ENCODERS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "JSON": lambda text: json.dumps({"text": text}).encode(),
    "JSON with all letters": lambda text: json.dumps({"text": text}, ensure_ascii=False).encode(),
    "JSON within JSON": lambda text: json.dumps(json.dumps([text])).encode(),
    "HTML": lambda text: html.escape(text).encode(),
    "a path": lambda text: quote(text).encode(),
    "a query": lambda text: quote_plus(text).encode(),
    "a query, lower case": lambda text: re.sub("%..", lambda byte: byte[0].lower(), quote(text)).encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, one on": lambda text: base64.b64encode(b"x" + text.encode()),
    "base64 for URLs, two on": lambda text: base64.urlsafe_b64encode(b"xx" + text.encode()),
    "hex": lambda text: text.encode().hex().encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "misread": lambda text: text.encode().decode("latin-1").encode(),
    "cut": lambda text: text[: max(12, len(text) * 2 // 3)].encode(),
    "compressed": lambda text: gzip.compress(text.encode()),
}


def definitions() -> Iterator[dict[str, Any]]:
    for runbook in RUNBOOKS:
        yield yaml.safe_load((Path(__file__).parent / "runbooks" / runbook / "runbook.yaml").read_text())


def test_every_step_type_has_canaries_that_come_back_and_some_that_fail() -> None:
    for definition in definitions():
        assert {step["type"] for step in definition["steps"]} == set(step_types())


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_search_finds_each_canary_in_each_encoding(encoder: str) -> None:
    for canary in canaries("http://127.0.0.1:80"):
        place = Place("here")
        place.add("somewhere", ENCODERS[encoder](canary.telling or canary.value))
        assert list(place.hits([canary])), canary.name


def test_no_secret_is_anywhere_but_where_it_was_sent(
    postgres: str, server: Server, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    if find_browser() is None:
        pytest.skip("no browser")
    caplog.set_level(logging.INFO)
    with (
        # Its name is short: sockets lie in it.
        tempfile.TemporaryDirectory(prefix="rb-") as folder,
        deployed(Path(folder), postgres=postgres, world=server, name="canary") as deployment,
        pytest.MonkeyPatch.context() as patched,
    ):
        for variable, value in deployment.environment.items():
            patched.setenv(variable, value)
        patched.setattr(tempfile, "tempdir", None)
        patched.chdir(deployment.root)
        terminal = Terminal(capfd)
        with visiting(deployment.root, said=Path(folder) / "said") as visit:
            earlier = local(terminal, deployment)
            patched.setenv("RB_TOKEN", visit.token())
            later = remote(terminal, visit, deployment)
            for one, other in zip(earlier, later, strict=True):
                terminal.rb("diff", one, other, code=1)
            terminal.rb("audit", "export", code=0)
        logging.getLogger("canary").info(MARKER)
        logged = Place("log records")
        logged.add("the log", "\n".join(record.getMessage() for record in caplog.records))
        places = [terminal.place, visit.rest, visit.graphql, visit.pages, visit.words, logged]
        places += kept(deployment)
        hits = [hit for place in places for hit in place.hits(deployment.canaries)]
        needles = sum(len(canary.needles) for canary in deployment.canaries)
        print(f"\n{len(deployment.canaries)} secrets, searched for in {needles} forms")
        print(table(places, hits, MARKER))
        assert hits == []
        assert [place.name for place in places if not place.kinds_of(MARKER)] == [visit.words.name]
        # Each was used, and went to the world as it is.
        record = b"".join(piece for place in places if place.name == RECORD for _, piece in place.pieces)
        unused = [item.name for item in deployment.canaries if f"secret:{item.name}#".encode() not in record]
        heard = {word for asked in server.asked for word in told(asked)}
        unheard = [item.name for item in deployment.canaries if item.value not in heard]
        assert (unused, unheard) == (["CANARY_SHORT"], ["CANARY_PASSWORD", "CANARY_HOOK", "CANARY_SHORT"])


def local(terminal: Terminal, deployment: Deployment) -> tuple[str, str]:
    """All that the command line does with executions, and the files that come of it; gives their ids."""
    echoes = terminal.execution("run", ECHOES, *deployment.inputs)
    failures = terminal.execution("run", FAILURES, *deployment.inputs)
    shown = json.loads(terminal.rb("show", echoes, "--json", code=0))
    assert (shown["status"], shown["reason"]) == ("failure", "missed KPI first_word")
    assert wrong(json.loads(terminal.rb("show", failures, "--json", code=0))) == WRONG
    for execution in (echoes, failures):
        terminal.rb("show", execution, "-v", "--full", code=0)
    assert "REPLAY VERIFIED" in terminal.rb("replay", echoes, code=0)
    terminal.rb("replay", failures, code=1)  # digits that were a number then are a pseudonym now
    terminal.rb("pack", "from", echoes, "--name", "recorded", code=0)
    terminal.rb("test", ECHOES, "--report", str(deployment.outside / "report"), code=0)
    with pytest.MonkeyPatch.context() as patched:
        other = with_real_secrets(deployment, "recorded")
        patched.setenv("RUNBOOK_PROJECT", str(other))
        patched.chdir(other)
        terminal.rb("test", ECHOES, "--report", str(deployment.outside / "report-of-real"), code=1)
        # A fault of our own, in the middle of a run: the file with its details is in the temporary folder.
        patched.setattr("cli.reporters.progress.Progress.show", broken)
        terminal.rb("run", ECHOES, *deployment.inputs, code=3)
    secret = (deployment.outside / "customer").read_text(encoding="utf-8")
    terminal.rb("run", ECHOES, "-i", f"customer={secret}", code=2)
    terminal.rb("ls", "--all", "--json", code=0)
    return echoes, failures


def broken(*arguments: Any) -> None:
    raise RuntimeError(f"a fault of ours in {MARKER}")


def wrong(execution: dict[str, Any]) -> dict[str, str]:
    """The steps by the type of their error, as they stand in the runbook."""
    found: dict[str, dict[str, None]] = {}
    for step in execution["steps"]:
        for error in step["errors"]:
            found.setdefault(error["type"], {})[step["step_id"]] = None
    return {kind: " ".join(found[kind]) for kind in sorted(found)}


def remote(terminal: Terminal, visit: Visit, deployment: Deployment) -> tuple[str, str]:
    """The same on the service, asked for in every way, and looked at in every way."""
    customer = (deployment.outside / "customer").read_text(encoding="utf-8")
    inputs = {"customer": customer, "plain": MARKER}
    body = {"runbook_id": ECHOES, "inputs": inputs, "wait": False}
    started = visit.ask("POST", "/api/runbooks/execute", json=body, headers={"Idempotency-Key": "one"}).json()
    failures = terminal.execution("run", FAILURES, *deployment.inputs, "--server", visit.url)
    echoes = str(started["id"])
    visit.ask("GET", f"/api/executions/{echoes}/events")
    terminal.rb("replay", echoes, "--server", visit.url, code=0)
    for execution in (echoes, failures):
        seen(visit, execution)
    visit.ask("GET", "/api/executions?mode=live&mode=replay&mode=test")
    visit.ask("GET", "/metrics")
    refused(visit, customer)
    visit.look(
        (f"/runs/{echoes}", "Show JSON"),
        (f"/runs/{failures}", "View tags and config"),
        ("/assets/runbooks/canary_failures/kpis", ""),
    )
    assert MARKER in "".join(text.decode() for where, text in visit.pages.pieces if where.startswith("text"))
    return echoes, failures


def seen(visit: Visit, execution: str) -> None:
    """Asks for all that there is of one execution."""
    path = f"/api/executions/{execution}"
    assert visit.ask("GET", path).json()["status"] == "failure"
    for artifact in visit.ask("GET", f"{path}/artifacts").json()["artifacts"]:
        visit.ask("GET", f"{path}/artifacts/{artifact['name']}")
    assert visit.ask("GET", f"/download_debug/{execution}").status_code == 200
    for document in (EXECUTION, RUN):
        assert "errors" not in visit.query(document, id=execution)


def refused(visit: Visit, customer: str) -> None:
    """Sends a sensitive input in wrong ways; the answer says why, and does not quote it."""
    for inputs in ({"customer": [customer]}, {"custmer": customer}, {"customer": customer, "plain": 5}):
        answer = visit.ask("POST", "/api/runbooks/execute", json={"runbook_id": ECHOES, "inputs": inputs})
        assert answer.status_code == 422
    visit.query(
        'mutation($inputs: JSON) { executeRunbook(id: "canary-echoes", inputs: $inputs) { id } }',
        inputs={"customer": [customer]},
    )
    config = {"inputs": {"customer": customer, "plain": MARKER}}
    selector = {**LAUNCHED, "jobName": "canary_echoes"}
    answer = visit.query(LAUNCH, params={"selector": selector, "runConfigData": config})
    assert answer["data"]["launchRun"]["__typename"] == "RunConfigValidationInvalid"


def kept(deployment: Deployment) -> Iterator[Place]:
    """What is left of it all."""
    temporary = Path(deployment.environment["TMPDIR"])
    assert list(temporary.glob("rb-error-*"))
    engine = database.engine(Project(deployment.root))
    yield dump(engine)
    yield data_files(engine)
    engine.dispose()
    yield files("project, with .runbook", deployment.root)
    yield files("test reports", deployment.outside / "report", deployment.outside / "report-of-real")
    yield files("temporary files", temporary)
