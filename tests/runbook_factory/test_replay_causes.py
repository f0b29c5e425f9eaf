"""Deviations at the right step with the right cause: what was changed, and nothing else, is told."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.app import DEFAULT_TOKEN
from demo.world import pushgateway, upstream
from runbook_defs.replay import Cause, ReplayReport, Verdict
from runbook_factory.instance import stored_instance
from runbook_factory.replay.replays import compare_executions
from step_ops.drivers.find_browser import find_browser
from tests.scripted import Asked, Says, Server
from tests.workshop import Workshop

RUNBOOK = "rb-001-entity-enrichment"
ID = "0d9a2ab4-9f1b-4c8e-9e53-6c6a3f3b7a{:02}"
HTML = {"Content-Type": "text/html"}

needs_browser = pytest.mark.skipif(
    find_browser() is None, reason="no browser: apt-get install chromium-headless-shell"
)


def causes(report: ReplayReport) -> dict[str, str | None]:
    return {step.step: step.cause.value if step.cause else None for step in report.steps}


def details(report: ReplayReport, step: str) -> str:
    (found,) = [each for each in report.steps if each.step == step]
    return "\n".join(line for each in found.deviations for line in (each.what, *each.details))


# The shipped runbook against the real demo


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[str, str]]:
    with upstream() as api, pushgateway() as metrics:
        yield api, metrics


@pytest.fixture
def enriched(
    world: tuple[str, str], workshop: Workshop, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A live execution of rb-001 but for its screenshot."""
    api, metrics = world
    path = shipped / "runbooks" / RUNBOOK / "runbook.yaml"
    path.write_text(path.read_text().partition("  - id: screenshot_ui")[0])
    for name, value in {
        "SOURCE_API_URL": f"{api}/api/entities",
        "API_TOKEN": DEFAULT_TOKEN,
        "API_BASE_URL": api,
        "PUSHGATEWAY_URL": metrics,
    }.items():
        monkeypatch.setenv(name, value)
    yield workshop.live(RUNBOOK).id
    switch(api)


def switch(api: str, *switches: dict[str, Any]) -> None:
    import requests

    assert requests.put(f"{api}/switches", json=list(switches), timeout=5).ok


def test_a_changed_query_file_is_a_change_of_the_definition(
    enriched: str, workshop: Workshop, shipped: Path
) -> None:
    file = shipped / "runbooks" / RUNBOOK / "enrichment-query.graphql"
    file.write_text(file.read_text().replace("    region\n", ""))
    assert workshop.replay(enriched).verdict is Verdict.VERIFIED  # the recorded one is run
    report = workshop.replay(enriched, against=RUNBOOK)
    assert (report.verdict, report.at) == (Verdict.DEVIATED, "enrich")
    assert causes(report) == {"ingest": None, "validate": None, "enrich": "definition", "report": None}
    (step,) = [each for each in report.steps if each.step == "enrich"]
    assert any("region" in line for line in step.because)


def test_a_changed_schema_file_is_a_change_of_the_definition(
    enriched: str, workshop: Workshop, shipped: Path
) -> None:
    file = shipped / "runbooks" / RUNBOOK / "entity-v2.json"
    file.write_text(file.read_text().replace('"minLength": 1', '"minLength": 20'))
    report = workshop.replay(enriched, against=RUNBOOK)
    assert (report.verdict, report.at) == (Verdict.DEVIATED, "validate")
    assert causes(report)["validate"] == "definition"
    assert causes(report)["enrich"] == "downstream"
    assert causes(report)["ingest"] is None


def test_live_nothing_has_changed(enriched: str, workshop: Workshop) -> None:
    report = workshop.replay(enriched, live=True)
    assert report.verdict is Verdict.VERIFIED, details(report, report.at)
    assert any("report" in note for note in report.notes)  # it pushes metrics: answered from the record


@pytest.mark.parametrize(
    ("change", "cause", "said"),
    [
        ({"rename": {"confidence": "score"}}, "schema", "entities[*].confidence: missing"),
        ({"set": {"name": "Somebody"}}, "data", 'is "Somebody"'),
        ({"status": 503}, "availability", "answered 200 before, and 503 now"),
        ({"answer": "reset"}, "availability", "connection"),
        ({"answer": "html"}, "schema", "application/json before, and text/html now"),
        ({"status": 404}, "schema", "404 now"),
    ],
)
def test_live_what_the_upstream_changed_is_told_by_its_kind(
    enriched: str,
    workshop: Workshop,
    world: tuple[str, str],
    change: dict[str, Any],
    cause: str,
    said: str,
) -> None:
    switch(world[0], {"path": "/api/entities", **change})
    report = workshop.replay(enriched, live=True)
    assert (report.verdict, report.at) == (Verdict.DEVIATED, "ingest")
    found = causes(report)
    assert found["ingest"] == cause
    assert set(found.values()) <= {cause, "downstream", None}
    assert said in details(report, "ingest")
    follows = {each.follows for each in report.steps if each.cause is Cause.DOWNSTREAM}
    assert follows <= {"ingest"}


# Screenshots


@needs_browser
def test_another_window_size_is_found_at_the_picture(workshop: Workshop, server: Server) -> None:
    page = "<body style='margin:0'><div id=box style='width:50vw;height:60px;background:#369'></div>"
    server.answers = {"/": Says(text=page, headers=HTML)}

    def steps(**inputs: Any) -> list[dict[str, Any]]:
        wanted = {"url": f"{server.url}/", "selector": "#box", **inputs}
        return [{"id": "shot", "type": "ui_screenshot", "inputs": wanted}]

    workshop.runbook(steps())
    record = workshop.live()
    server.stop()
    assert workshop.replay(record.id).verdict is Verdict.VERIFIED
    workshop.runbook(steps(viewport={"width": 1000, "height": 720}))
    report = workshop.replay(record.id, against="rb-test")
    assert (report.verdict, report.at) == (Verdict.DEVIATED, "shot")
    (step,) = report.steps
    assert step.cause is Cause.DEFINITION
    assert any("viewport" in line for line in step.because)
    assert "differs in" in details(report, "shot")


@needs_browser
def test_a_browser_that_draws_otherwise_is_the_environment(
    workshop: Workshop, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The definition is the same, the page is the same: the window of this machine has another scale."""
    page = "<body style='margin:0'><div id=box style='font: 20px serif'>Entities and their names</div>"
    server.answers = {"/": Says(text=page, headers=HTML)}
    inputs = {"url": f"{server.url}/", "selector": "#box"}
    workshop.runbook([{"id": "shot", "type": "ui_screenshot", "inputs": inputs}])
    record = workshop.live()
    server.stop()
    wrapper = tmp_path / "browser"
    wrapper.write_text(
        f'#!/bin/sh\nexec "{find_browser()}" "$@" --blink-settings=standardFontFamily=x,minimumFontSize=40\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("RB_BROWSER", str(wrapper))
    report = workshop.replay(record.id)
    assert (report.verdict, report.at) == (Verdict.DEVIATED, "shot")
    assert report.steps[0].cause is Cause.ENVIRONMENT
    assert report.steps[0].screenshots[0].change


@needs_browser
def test_live_another_content_of_a_page_is_data(workshop: Workshop, server: Server) -> None:
    colour = ["#369", "#963"]
    server.answers = {
        "/": lambda asked: Says(text=f"<div id=box style='background:{colour[0]}'>x</div>", headers=HTML)
    }
    inputs = {"url": f"{server.url}/", "selector": "#box"}
    workshop.runbook([{"id": "shot", "type": "ui_screenshot", "inputs": inputs}])
    record = workshop.live()
    colour.reverse()
    report = workshop.replay(record.id, live=True)
    assert report.steps[0].cause is Cause.DATA
    assert any("answers otherwise" in line for line in report.steps[0].because)


# Ids and times


def tickets(server: Server, number: list[int], close: Callable[[str], str] = lambda ticket: ticket) -> None:
    """A service that makes tickets with new ids, and closes them."""

    def opened(asked: Asked) -> Says:
        number[0] += 1
        now = f"2026-01-{number[0]:02}T10:00:00Z"
        return Says({"id": ID.format(number[0]), "at": now, "title": "t"})

    server.answers = {"/new": opened, "/close": Says({"ok": True})}


def steps_of(server: Server) -> list[dict[str, Any]]:
    opened = {"endpoint": f"{server.url}/new", "method": "GET"}
    closed = {
        "endpoint": f"{server.url}/close",
        "method": "GET",
        "params": {"ticket": "ref/${steps.open.outputs.id}", "since": "${steps.open.outputs.at}"},
    }
    return [
        {"id": "open", "type": "api_call", "inputs": opened, "outputs": {"id": "$.id", "at": "$.at"}},
        {"id": "close", "type": "api_call", "inputs": closed, "depends_on": ["open"]},
    ]


def test_new_ids_and_times_are_paired_and_must_be_sent_on(workshop: Workshop, server: Server) -> None:
    number = [0]
    tickets(server, number)
    workshop.runbook(steps_of(server))
    record = workshop.live()
    report = workshop.replay(record.id, live=True)
    assert report.verdict is Verdict.VERIFIED, details(report, report.at)
    assert (report.ids, report.times) == (1, 1)


def test_an_id_that_is_not_the_one_that_came_back_is_a_deviation(workshop: Workshop, server: Server) -> None:
    number = [0]
    tickets(server, number)
    steps = steps_of(server)
    workshop.runbook(steps)
    record = workshop.live()
    stale = ID.format(1)  # written down, where the other follows what comes back
    steps[1]["inputs"]["params"]["ticket"] = f"ref/{stale}"
    workshop.runbook(steps)
    other = workshop.live()
    report = compare_executions(workshop.project, record.id, other.id)[2]
    assert report.verdict is Verdict.DEVIATED
    assert report.at == "close"
    assert ID.format(2) in details(report, "close")


def test_a_tolerance_takes_away_what_it_says_and_tells_how_often(workshop: Workshop, server: Server) -> None:
    count = [0]

    def answer(asked: Asked) -> Says:
        count[0] += 1
        return Says({"load": 0.5 + count[0] / 100, "name": "a" if count[0] < 3 else "b"})

    server.answers = {"/a": answer}
    step = {"id": "a", "type": "data_fetch", "inputs": {"source_url": f"{server.url}/a"}}
    workshop.runbook([step], tolerances=[{"path": "$.load", "numeric": {"abs": 0.05}}])
    record = workshop.live()
    report = workshop.replay(record.id, live=True)
    assert report.verdict is Verdict.VERIFIED
    assert [(each.fired, "load" in each.rule) for each in report.tolerances] == [(1, True)]
    report = workshop.replay(record.id, live=True)
    assert report.steps[0].cause is Cause.DATA
    assert "name" in details(report, "a")
    assert "load" not in details(report, "a")


# What changes the world


def test_live_a_write_is_answered_from_the_record_unless_it_is_allowed(
    workshop: Workshop, server: Server
) -> None:
    server.answers = {"/post": Says({"ok": True}), "/a": Says(1)}
    body = {"run": "${execution.id}", "at": "${execution.started_at}"}
    workshop.runbook(
        [
            {"id": "a", "type": "data_fetch", "inputs": {"source_url": f"{server.url}/a"}},
            {
                "id": "b",
                "type": "api_call",
                "inputs": {"endpoint": f"{server.url}/post", "method": "POST", "body": body},
                "depends_on": ["a"],
            },
        ]
    )
    record = workshop.live()
    server.asked.clear()
    report = workshop.replay(record.id, live=True)
    assert report.verdict is Verdict.VERIFIED
    assert [asked.method for asked in server.asked] == ["GET"]
    assert [step.answered for step in report.steps] == [False, True]
    server.asked.clear()
    report = workshop.replay(record.id, live=True, allow_writes=True)
    assert report.verdict is Verdict.VERIFIED, details(report, report.at)
    assert [asked.method for asked in server.asked] == ["GET", "POST"]
    assert server.asked[1].json()["run"] == workshop.replayed.id  # under its own name
    with stored_instance(workshop.project) as instance:
        assert instance.get_run_by_id(workshop.replayed.id) is not None


def test_live_a_missed_duration_is_timing(workshop: Workshop, server: Server) -> None:
    server.answers = {"/a": [Says(1), Says(1, delay=0.6)]}
    step = {"id": "a", "type": "data_fetch", "inputs": {"source_url": f"{server.url}/a"}}
    workshop.runbook([step], kpis={"max_duration_seconds": 0.5})
    record = workshop.live()
    report = workshop.replay(record.id, live=True)
    assert report.verdict is Verdict.DEVIATED
    assert report.cause is Cause.TIMING


def test_live_a_rotated_secret_is_a_note_and_no_deviation(
    workshop: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = {"/a": lambda asked: Says({"you": asked.headers["authorization"]})}
    inputs = {"source_url": f"{server.url}/a", "auth_token": "${API_TOKEN}"}
    workshop.runbook([{"id": "a", "type": "data_fetch", "inputs": inputs}])
    monkeypatch.setenv("API_TOKEN", "the-first-token")
    record = workshop.live()
    monkeypatch.setenv("API_TOKEN", "quite-another-one")
    report = workshop.replay(record.id, live=True)
    assert report.verdict is Verdict.VERIFIED, details(report, "a")
    assert "secret API_TOKEN was changed since" in report.notes
