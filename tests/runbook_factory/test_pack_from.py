"""Recorded executions made into scenarios, which pass at once whatever way the executions went."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from runbook_defs.execution import ExecutionRecord, Status
from runbook_defs.pack import Scenario, load_pack
from runbook_factory import database
from runbook_factory.acceptance import CaseFinished, find_cases, run_case
from runbook_factory.actors import local_actor
from runbook_factory.catalog import load_runbook
from runbook_factory.execution_log import get_execution
from runbook_factory.instance import passing_instance
from runbook_factory.pack_from.fake_secrets import FakeSecrets
from runbook_factory.pack_from.pack_text import with_scenario
from runbook_factory.pack_from.packing import Packed, pack_execution
from runbook_factory.pack_from.refusal import NotPackable
from runbook_factory.packs import check_pack
from step_ops.drivers.find_browser import find_browser
from step_ops.registry import step_types
from step_ops.step_type import Effect, Result, StepConfig, StepType
from tests.records.stored import load
from tests.scripted import Asked, Says, Server
from tests.workshop import Workshop

TOKEN = "token-that-is-nowhere-4711"
STORED = Path(__file__).parents[1] / "records" / "format-1"


def fetch(server: Server, step_id: str, path: str = "/a", **more: Any) -> dict[str, Any]:
    inputs = {"source_url": f"{server.url}{path}", **more.pop("inputs", {})}
    return {"id": step_id, "type": "data_fetch", "inputs": inputs, **more}


def post(server: Server, step_id: str, path: str = "/post", **more: Any) -> dict[str, Any]:
    inputs = {"endpoint": f"{server.url}{path}", "method": "POST", "body": more.pop("body", {})}
    return {"id": step_id, "type": "api_call", "inputs": inputs, **more}


class Everywhere(dict[str, Any]):
    """Answers of a server that answers with nothing where no other answer is stated."""

    def get(self, path: str, default: Any = None) -> Any:
        return super().get(path, Says(text=""))


class Made:
    """A scenario that was made of an execution, read back from its files."""

    def __init__(self, workshop: Workshop, packed: Packed) -> None:
        self.workshop, self.packed = workshop, packed
        self.folder = workshop.project.pack(packed.runbook.id)
        self.fixture: dict[str, Any] = json.loads(packed.fixture.read_text())
        self.scenario: Scenario = load_pack(self.folder).scenarios[-1]

    @property
    def expected(self) -> dict[str, Any]:
        return self.scenario.expected.model_dump(exclude_unset=True)

    def entries(self, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.fixture["steps"][key]
        return found

    def output(self, step: str) -> Any:
        return json.loads((self.folder / self.expected["outputs"][step]).read_text())

    def run(self) -> CaseFinished:
        (case,) = find_cases(
            load_runbook(self.workshop.project, self.packed.runbook.id), self.scenario.fixture
        )
        with passing_instance() as instance:
            *_, last = run_case(case, actor=local_actor(), instance=instance)
        assert isinstance(last, CaseFinished)
        return last


Pack = Callable[..., Made]


@pytest.fixture
def pack(workshop: Workshop) -> Pack:
    """Makes a scenario of an execution, sees that it is good and holds no secret, and that it passes."""

    def make(record: ExecutionRecord, *, passes: bool = True, **options: Any) -> Made:
        made = Made(workshop, pack_execution(workshop.project, record.id, **options))
        problems = check_pack(made.folder / "acceptance.yml").problems
        assert not problems, [item.message for item in problems]
        for path in (workshop.project.root / item for item in made.packed.files):
            assert b"secret:" not in path.read_bytes(), path
            assert TOKEN.encode() not in path.read_bytes(), path
        finished = made.run()
        if passes:
            assert [item.what for item in finished.findings] == []
            assert finished.record.status is record.status
        return made

    return make


# What is told again


def test_a_scenario_has_the_inputs_the_answers_and_what_was_sent(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    server.answers = {"/a": Says({"n": 3}, headers={"X-Kind": "small"}), "/post": Says({"ok": True}, 201)}
    workshop.runbook(
        [
            fetch(server, "a", inputs={"params": {"day": "${day}"}}, outputs={"n": "$.n"}),
            post(server, "b", body={"n": "${steps.a.outputs.n}"}, depends_on=["a"], outputs={"ok": "$.ok"}),
        ],
        inputs={"day": {}, "limit": {"type": "integer", "default": 5}},
        assumptions=[{"seen_by_hand": True}, {"id": "few", "check": "${limit < 10}"}],
    )
    record = workshop.live(inputs={"day": "2025-11-29"})
    made = pack(record, name="A good day")
    assert {name: made.fixture[name] for name in ("scenario", "runbook", "inputs", "assumptions")} == {
        "scenario": "a-good-day",
        "runbook": "rb-test",
        "inputs": {"day": "2025-11-29", "limit": 5},
        "assumptions": {"seen_by_hand": True},
    }
    assert made.fixture["clock"][:10] == f"{record.started_at:%Y-%m-%d}"
    (asked,) = made.entries("a")
    assert (asked["status"], asked["json"], asked["headers"]["x-kind"]) == (200, {"n": 3}, "small")
    assert 0 < asked["takes_seconds"] < 5
    assert asked["expect"] == {"method": "GET", "url": f"{server.url}/a", "params": {"day": "2025-11-29"}}
    (sent,) = made.entries("b")
    assert (sent["status"], sent["expect"]["body"]) == (201, {"n": 3})
    assert made.expected == {
        "status": "success",
        "errors": {"count": 0},
        "outputs": {"a": "expected/a-good-day/a.json", "b": "expected/a-good-day/b.json"},
        "path": {"ran": ["a", "b"], "failed": [], "skipped": [], "not_run": [], "retried": {}},
    }
    assert made.output("a") == {"n": 3}
    server.answers["/a"] = Says({"n": 4})
    assert made.run().passed  # asks nobody


def test_large_bodies_are_files_beside_the_fixture_of_the_kind_that_they_are(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    rows = "".join(f"{number},name {number}\n" for number in range(300))
    server.answers = {
        "/list": Says({"items": [{"id": number, "name": "x" * 20} for number in range(200)]}),
        "/table": Says(text=f"id,name\n{rows}", headers={"Content-Type": "text/csv; charset=utf-8"}),
    }
    workshop.runbook(
        [
            fetch(server, "json", "/list", outputs={"items": "$.items"}),
            fetch(server, "csv", "/table", inputs={"format": "csv"}, outputs={"rows": "$"}),
            post(server, "sent", "/list", body={"all": "${steps.json.outputs.items}"}, depends_on=["json"]),
        ]
    )
    made = pack(workshop.live(), name="Large")
    assert made.entries("json")[0]["json_file"] == "large/json.json"
    assert made.entries("csv")[0]["body_file"] == "large/csv.csv"
    assert len(json.loads((made.folder / "fixtures/large/json.json").read_text())["items"]) == 200
    assert made.output("csv")["rows"][299] == {"id": "299", "name": "name 299"}
    assert len(made.entries("sent")[0]["expect"]["body"]["all"]) == 200


def test_retries_errors_waits_and_skipped_steps_are_told_in_their_order(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    server.answers = {
        "/flaky": [Says(status=503), Says(status=503, headers={"Retry-After": "0"}), Says({"n": 3})],
        "/gone": Says({"no": "such"}, status=404),
        "/poll": [Says({"state": "busy"}), Says(status=503), Says({"state": "done"})],
        "/probe": Says({"up": True}),
    }
    quick = {"max_attempts": 4, "delay_seconds": 0.01, "jitter": 0.5}
    request = {"url": f"{server.url}/poll"}
    poll = {"request": request, "until": "${response.body.state == 'done'}", "deadline_seconds": 5}
    probe = {
        "type": "data_fetch",
        "inputs": {"source_url": f"{server.url}/probe"},
        "expect": "${response.up}",
    }
    workshop.runbook(
        [
            fetch(server, "flaky", "/flaky", retry=quick, outputs={"n": "$.n"}),
            fetch(server, "gone", "/gone", on_failure="log_and_continue", depends_on=["flaky"]),
            {
                **fetch(server, "refused", on_failure="log_and_continue", depends_on=["gone"]),
                "inputs": {"source_url": "http://127.0.0.1:1/nobody"},
            },
            fetch(server, "never", when="${steps.flaky.outputs.n > 5}", depends_on=["flaky"]),
            {
                "id": "poll",
                "type": "wait",
                "inputs": {**poll, "every_seconds": 0.1},
                "depends_on": ["refused"],
            },
        ],
        assumptions=[{"id": "up", "probe": probe}],
    )
    made = pack(workshop.live())
    assert made.entries("assumptions.up")[0]["json"] == {"up": True}
    assert made.fixture["assumptions"] == {}
    assert [entry["status"] for entry in made.entries("flaky")] == [503, 503, 200]
    assert made.entries("refused")[0]["error"].startswith("connection: GET http://127.0.0.1:1/nobody")
    assert [entry["status"] for entry in made.entries("poll")] == [200, 503, 200]
    assert made.expected["errors"] == {"count": 2}
    path = made.expected["path"]
    assert (path["failed"], path["skipped"], path["retried"]) == (
        ["gone", "refused"],
        ["never"],
        {"flaky": 3},
    )


def test_items_that_fail_at_the_same_time_live_fail_one_after_the_other_in_a_test(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    tries: dict[str, int] = {}

    def answer(asked: Asked) -> Says:
        tries[asked.path] = tries.get(asked.path, 0) + 1
        bad = asked.path in {"/items/1", "/items/3"} and tries[asked.path] == 1
        return Says(status=503, delay=0.1) if bad else Says({"n": int(asked.path[-1])})

    server.answers = {f"/items/{number}": answer for number in range(5)}
    items = fetch(server, "items", "/items/${item}", for_each=[0, 1, 2, 3, 4], max_parallel=5)
    retry = {"max_attempts": 2, "delay_seconds": 0.01}
    workshop.runbook([{**items, "retry": retry, "outputs": {"n": "$.n"}}])
    record = workshop.live()
    assert record.status is Status.SUCCESS
    assert tries["/items/1"] == tries["/items/3"] == 2
    made = pack(record)
    asked = {key: [entry["status"] for entry in entries] for key, entries in made.fixture["steps"].items()}
    assert sorted(asked.values()) == [[200], [200], [200], [200], [503, 200]]
    assert made.expected["path"]["retried"] == {"items": 2}
    assert made.output("items") == {"n": [0, 1, 2, 3, 4]}


def test_items_behind_the_one_that_ended_it_are_not_told(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    server.answers = {f"/items/{number}": Says({}, delay=0.05) for number in range(5)}
    server.answers["/items/1"] = Says(status=404, delay=0.1)
    items = fetch(server, "items", "/items/${item}", for_each=[0, 1, 2, 3, 4], max_parallel=4)
    workshop.runbook([items])
    record = workshop.live()
    assert record.status is Status.ABORTED
    assert len(server.asked) > 2
    made = pack(record)
    assert set(made.fixture["steps"]) == {"items[0]", "items[1]"}


@pytest.mark.parametrize("items", [None, [1, 2, 3]])
def test_a_step_that_took_too_long_does_so_on_the_virtual_clock(
    workshop: Workshop, server: Server, pack: Pack, items: list[int] | None
) -> None:
    server.answers = {"/a": Says({"done": False}, delay=0.05)}
    poll = {"request": {"url": f"{server.url}/a"}, "until": "${response.body.done}", "every_seconds": 0.1}
    step = {"id": "w", "type": "wait", "inputs": {**poll, "deadline_seconds": 9}, "timeout_seconds": 0.4}
    workshop.runbook([{**step, **({"for_each": items} if items else {})}])
    record = workshop.live()
    assert "longer than its timeout" in record.reason
    made = pack(record)
    assert made.expected["errors"] == {"count": 1, "type": "timeout"}


def test_a_denied_assumption_and_a_missed_kpi_are_expected(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    server.answers = {"/a": Says({"n": 1})}
    kpis = {"enough": {"value": "${steps.a.outputs.n}", "min": 2}, "max_duration_seconds": 60}
    workshop.runbook([fetch(server, "a", outputs={"n": "$.n"})], assumptions=[{"by_hand": True}], kpis=kpis)
    denied = pack(workshop.live(deny=("by_hand",)))
    assert denied.fixture["assumptions"] == {"by_hand": False}
    assert denied.expected["path"]["not_run"] == ["a"]
    missed = pack(workshop.live())
    assert missed.expected["status"] == "failure"
    assert missed.expected["kpis"] == {"max_duration_seconds": "<= 60", "enough": 1}


def test_a_test_becomes_a_scenario_too(workshop: Workshop, pack: Pack) -> None:
    workshop.runbook([{"id": "a", "type": "data_fetch", "inputs": {"source_url": "https://a.test/x"}}])
    told = {"a": [{"status": 200, "text": "[1, 2]", "takes_seconds": 70}]}
    made = pack(workshop.test(steps=told))
    assert made.run().record.duration_seconds == 70


@pytest.mark.parametrize(
    ("told", "kind", "message"),
    [
        ("graphql: it said: no", "graphql", "it said: no"),
        ("timeout: GET https://a.test/x: late", "timeout", "GET https://a.test/x: late"),
        ("timeout", "timeout", "GET https://a.test/x: no answer in time (told by the fixture)"),
        ("boom: no", "connection", "GET https://a.test/x: boom: no (told by the fixture)"),
    ],
)
def test_a_fixture_tells_of_an_error_as_a_record_does(
    workshop: Workshop, told: str, kind: str, message: str
) -> None:
    workshop.runbook([{"id": "a", "type": "data_fetch", "inputs": {"source_url": "https://a.test/x"}}])
    failure = workshop.test(steps={"a": [{"error": told}]}).steps[0].failure
    assert failure is not None
    assert (failure["type"], failure["message"]) == (kind, message)


# What cannot be the same


def test_what_comes_of_clocks_and_ids_is_neither_expected_to_be_sent_nor_to_be_given(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    server.answers = Everywhere({"/post": lambda asked: Says({"got": asked.json()["x"]})})
    told = {
        "id": "${execution.id}",
        "at": "since ${execution.started_at}",
        "seconds": "${execution.duration}",
        "late": "${execution.duration > 5}",
        "who": "for ${execution.actor}",
        "plain": "as ever",
    }
    steps = [post(server, name, body={"x": value}, outputs={"got": "$.got"}) for name, value in told.items()]
    workshop.runbook(
        [
            *steps,
            post(server, "again", body={"x": "${steps.id.outputs.got}"}, depends_on=["id"]),
            {
                "id": "report",
                "type": "metrics_publish",
                "inputs": {"metrics": {"seconds": "${execution.duration * 2}", "n": 5}},
                "depends_on": list(told),
            },
        ],
        kpis={
            "lasted": {"value": "${execution.duration}", "max": 100},
            "n": {"value": "${len(steps.plain.outputs.got)}", "min": 1},
        },
    )
    gateway = f"connections:\n  pushgateway: {{type: pushgateway, url: '{server.url}'}}"
    workshop.file("connections.yaml", gateway)
    made = pack(workshop.live())
    for name in told:
        sent = made.entries(name)[0]["expect"]
        assert ("body" in sent) is (name == "plain"), name
    assert made.expected["kpis"] == {"lasted": "<= 100", "n": 7}
    assert made.entries("report")[0]["expect"] == {"method": "PUT"}
    assert "body" not in made.entries("again")[0]["expect"]
    outputs = made.expected["outputs"]
    assert outputs["id"] == {"got": "matches ^[0-9a-f-]{36}$"}
    assert outputs.keys() & told.keys() == {"id", "plain"}


def test_a_picture_path_is_matched_and_an_own_reading_of_a_clock_left_out(
    workshop: Workshop, server: Server, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Config(StepConfig):
        """Nothing."""

    def run(config: Any, gate: Any) -> Result:
        path = gate.keep("note.txt", b"x")
        return Result(value={"path": path, "at": gate.now().isoformat(), "id": str(gate.new_id()), "n": 1})

    stamp = StepType(name="stamp", config=Config, run=run, effect=Effect.READ)
    monkeypatch.setitem(step_types()._doors, "stamp", [])
    monkeypatch.setitem(step_types()._loaded, "stamp", stamp)
    outputs = {name: f"$.{name}" for name in ("path", "at", "id", "n")}
    workshop.runbook([{"id": "s", "type": "stamp", "outputs": {**outputs, "fixed": 5}}])
    made = pack(workshop.live())
    assert made.expected["outputs"] == {
        "s": {
            "fixed": "expected/SLUG/s.fixed.json".replace("SLUG", made.fixture["scenario"]),
            "path": r"matches ^\.runbook/artifacts/[0-9a-f-]{36}/s/note\.txt$",
        }
    }


def test_steps_that_chance_begins_or_not_are_left_out_and_told_of(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    server.answers = {"/bad": Says(status=404, delay=0.3), "/a": Says({"n": 1}), "/slow": Says(1, delay=0.6)}
    workshop.runbook(
        [
            fetch(server, "fails", "/bad", outputs={"n": "$.n"}),
            fetch(server, "beside", outputs={"n": "$.n"}),
            fetch(server, "after_beside", depends_on=["beside"], outputs={"n": "$.n"}),
            fetch(server, "slow", "/slow"),
            fetch(server, "after_slow", depends_on=["slow"]),
            fetch(server, "after_fails", depends_on=["fails"]),
        ]
    )
    record = workshop.live()
    assert record.status is Status.ABORTED
    made = pack(record, passes=False)
    assert made.packed.notes == (
        "nothing is expected of after_beside, after_slow: in an abort, chance decides which steps begin",
        "no answer to after_slow is recorded: a test in which one of them begins fails",
    )
    assert made.expected["path"] == {"failed": ["fails"], "retried": {}}
    assert made.expected["errors"] == {"type": "http"}
    assert list(made.expected["outputs"]) == ["beside"]


def test_only_an_order_that_the_graph_prescribes_is_expected(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    server.answers = {"/a": Says(1), "/slow": Says(1, delay=0.1)}
    steps = [
        fetch(server, "one", "/slow"),
        fetch(server, "two"),
        fetch(server, "after_one", depends_on=["one"]),
        fetch(server, "last", depends_on=["after_one", "two"]),
    ]
    workshop.runbook(steps)
    made = pack(workshop.live())
    assert made.expected["path"]["ran"] == ["one", "two", "after_one", "last"]
    workshop.runbook([*steps, fetch(server, "after_two", depends_on=["two"])])
    made = pack(workshop.live())
    assert "ran" not in made.expected["path"]
    assert made.expected["path"]["not_run"] == []


# Secrets


def test_secrets_become_fake_ones_with_which_the_flow_goes_on(
    workshop: Workshop, server: Server, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", TOKEN)
    padding = "x" * 3000
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    server.answers = {
        "/a": lambda asked: Says({"you": asked.headers["authorization"], "again": [TOKEN, "x"], "jwt": jwt}),
        "/post": lambda asked: Says({"got": asked.json(), "padding": padding}),
        "/text": lambda asked: Says(text=f"{padding} {TOKEN}"),
    }
    workshop.runbook(
        [
            fetch(
                server,
                "a",
                inputs={"auth_token": "${API_TOKEN}"},
                outputs={"again": "$.again[0]", "x": "$.again[1]", "jwt": "$.jwt"},
            ),
            post(
                server,
                "b",
                body={"t": "${steps.a.outputs.again}", "u": "id=${steps.a.outputs.again}&x"},
                depends_on=["a"],
                outputs={"got": "$.got", "padding": "$.padding"},
            ),
            fetch(server, "c", "/text", inputs={"format": "csv"}, depends_on=["b"]),
        ],
        kpis={
            "again": {"value": "${steps.a.outputs.again}", "equals": "x"},
            "other": {"value": "${steps.a.outputs.x}", "equals": "x"},
        },
    )
    made = pack(workshop.live(), name="Secrets")
    assert set(made.expected["kpis"]) == {"other"}
    fake = "not-a-real-api-token"
    assert made.fixture["secrets"] == {"API_TOKEN": fake}
    assert made.entries("a")[0]["json"] == {
        "you": f"Bearer {fake}",
        "again": [fake, "x"],
        "jwt": "withheld:jwt",
    }
    assert made.entries("b")[0]["expect"] == {"method": "POST", "url": f"{server.url}/post"}
    assert json.loads((made.folder / "fixtures/secrets/b.json").read_text())["got"]["t"] == fake
    assert (made.folder / "fixtures/secrets/c.txt").read_text().endswith(f" {fake}")
    outputs = made.expected["outputs"]
    assert (outputs["a"].keys(), outputs["b"].keys()) == ({"x", "jwt"}, {"padding"})
    finished = made.run()
    assert finished.record.steps[1].inputs["body"]["u"].startswith("id=secret:API_TOKEN#")


def test_every_pseudonym_gives_way_to_the_fake_value_of_its_name() -> None:
    secrets = FakeSecrets(["API_TOKEN", "vault/a b#c"])
    value = {
        "secret:API_TOKEN#0123456789": ["secret:API_TOKEN#abcdef0123abc", 5, None],
        "of": "x secret:vault/a b#c#0123456789 y, secret:OTHER#0123456789",
        "joined": "secret:API_TOKEN+OTHER#0123456789",
        "none": "secret: API_TOKEN, secret:API_TOKEN#short",
    }
    assert secrets.put_into(value) == {
        "not-a-real-api-token": ["not-a-real-api-tokenabc", 5, None],
        "of": "x not-a-real-vault-a-b-c y, not-a-real-other",
        "joined": "not-a-real-api-tokennot-a-real-other",
        "none": value["none"],
    }
    assert secrets.put_into(b"\xff secret:API_TOKEN#0123456789 \x00") == b"\xff not-a-real-api-token \x00"
    assert set(secrets.used) == {"API_TOKEN", "vault/a b#c", "OTHER"}
    assert all(len(fake) >= 6 for fake in secrets.used.values())


# Pages

browser = pytest.mark.skipif(find_browser() is None, reason="no browser on this machine")
PAGE = {"Content-Type": "text/html; charset=utf-8"}


def shot(url: str, **inputs: Any) -> dict[str, Any]:
    return {"id": "shot", "type": "ui_screenshot", "inputs": {"url": url, "selector": "#box", **inputs}}


@browser
def test_a_page_is_drawn_from_its_answers_with_fake_secrets_in_them(
    workshop: Workshop, server: Server, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", TOKEN)
    html = f"<link rel=stylesheet href=/style.css?t={TOKEN}><div id=box data-t={TOKEN}>drawn</div>"
    server.answers = {
        "/a": Says({}),
        "/page": Says(text=html, headers=PAGE),
        "/style.css": Says(text="#box { background: #c00 }", headers={"Content-Type": "text/css"}),
    }
    step = {**shot(f"{server.url}/page", max_diff_ratio=0), "depends_on": ["a"]}
    outputs = {"path": "$.screenshot", "ratio": "$.ratio"}
    workshop.runbook(
        [fetch(server, "a", inputs={"auth_token": "${API_TOKEN}"}), {**step, "outputs": outputs}]
    )
    made = pack(workshop.live(), name="Page")
    assert server.asked[-1].path == f"/style.css?t={TOKEN}"
    har = (made.folder / "fixtures/page/shot.har").read_text()
    assert f"{server.url}/style.css?t=not-a-real-api-token" in har
    assert "data-t=not-a-real-api-token" in har
    assert "#c00" in har
    assert made.expected["screenshots"] == {"box": "screenshots/page-box.png"}
    assert made.expected["outputs"]["shot"].keys() == {"path"}


@browser
def test_a_picture_that_no_scenario_can_expect_is_refused(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    colour = {"/page": "#c00"}
    server.answers = {
        "/page": lambda asked: Says(text=f"<div id=box style='background:{colour['/page']}'>x", headers=PAGE)
    }
    workshop.runbook([shot(f"{server.url}/page", max_diff_ratio=0)])
    picture = pack(workshop.live(), name="Red").folder / "screenshots/red-box.png"
    picture.rename(picture.with_name("baseline-box.png"))
    colour["/page"] = "#0c0"
    with pytest.raises(NotPackable, match="'shot' failed because its picture is not like the baseline"):
        pack(workshop.live(), name="Green")
    server.answers["/page"] = Says(status=404)
    with pytest.raises(NotPackable, match=r"'shot' got no picture of its page, .* answered with status 404"):
        pack(workshop.live(), name="Gone")


# What may differ


def test_places_that_differ_from_other_executions_are_proposed_as_tolerances(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    def answer(number: int) -> Says:
        uuid = f"0d9a2ab4-9f1b-4c8e-9e53-6c6a3f3b7a{number:02}"
        items = [{"name": name, "score": 0.5 + number / 1000} for name in ("a", "b")]
        return Says(
            {
                "id": uuid,
                "at": f"2025-11-29T09:00:{number:02}Z",
                "count": 10 + number,
                "page token": f"t-{number}",
                "serial": f"{number:06}",
                "items": items,
                "tags": ["x", "y"] if number % 2 else ["y", "x"],
                "same": 1,
                **({"extra": number} if number == 2 else {}),
                "load": number,
            }
        )

    server.answers = {"/a": [answer(number) for number in (1, 2, 4)], "/b": Says({"n": 1})}
    tolerances = [{"step": "a", "in": ["response"], "path": "$.load", "ignore": True}]
    workshop.runbook(
        [fetch(server, "a"), fetch(server, "b", "/b")],
        inputs={"day": {"default": "monday"}},
        tolerances=tolerances,
    )
    first = workshop.live()
    alone = pack(first, name="Alone").packed
    assert (alone.compared, alone.proposals) == (0, ())
    workshop.live()
    workshop.live()
    workshop.live(inputs={"day": "tuesday"})
    made = pack(first, name="Third")
    assert made.packed.compared == 2
    assert {str(each) for each in made.packed.proposals} == {
        '{step: a, in: [response], path: "$.count", numeric: {abs: 3}}',
        '{step: a, in: [response], path: "$[\\"page token\\"]", ignore: true}',
        '{step: a, in: [response], path: "$.serial", any: digits}',
        '{step: a, in: [response], path: "$.items[*].score", numeric: {abs: 0.003}}',
        '{step: a, in: [response], path: "$.tags", unordered: true}',
        '{step: a, in: [response], path: "$.extra", ignore: true}',
    }


def test_what_is_proposed_is_good_in_a_runbook_and_allows_what_was_found(
    workshop: Workshop, server: Server, pack: Pack, rb: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workshop.project.root)
    answers = [{"n": number, "rows": [{"of": f"x-{number}"}] * number} for number in (1, 2)]
    server.answers = {"/a": [Says(answer) for answer in answers]}
    steps = [fetch(server, "a")]
    workshop.runbook(steps)
    one, _ = workshop.live(), workshop.live()
    proposals = pack(one).packed.proposals
    assert len(proposals) == 2
    path = workshop.project.runbook_file("rb-test")
    lines = "\n".join(f"- {each}" for each in proposals)
    workshop.runbook(steps, tolerances=yaml.safe_load(lines))
    assert rb("validate", str(path)).code == 0
    again = pack(one, name="Again").packed
    assert again.proposals == ()


# Refused


def stored(workshop: Workshop, name: str) -> ExecutionRecord:
    """The record in a file, with its runbook in the project."""
    engine = database.engine(workshop.project)
    record = get_execution(engine, load(engine, STORED / f"{name}.json"))
    with engine.connect() as connection:
        query = text("SELECT text, files FROM runbook.definitions WHERE digest = :digest")
        found = connection.execute(query, {"digest": record.definition_digest}).one()
        workshop.file(f"runbooks/{record.runbook_id}/runbook.yaml", found.text)
        for file, digest in found.files.items():
            body = text("SELECT bytes FROM runbook.bodies WHERE digest = :digest")
            data = bytes(connection.execute(body, {"digest": digest}).scalar_one())
            workshop.file(f"runbooks/{record.runbook_id}/{file}", data.decode())
    return record


@pytest.mark.parametrize("name", ["everything-live", "rb-001-no-screenshot-live", "dq-001-live"])
def test_records_of_the_first_format_become_scenarios(workshop: Workshop, pack: Pack, name: str) -> None:
    pack(stored(workshop, name))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cancelled-live", "was cancelled from outside"),
        ("lost-live", "its process was lost"),
        ("truncated-live", "was cut when it was recorded"),
        ("rb-001-live", "step 'screenshot_ui' photographed a page, and the record holds the picture only"),
    ],
)
def test_a_record_that_is_not_enough_is_refused_with_its_reason(
    workshop: Workshop, pack: Pack, name: str, reason: str
) -> None:
    record = stored(workshop, name)
    with pytest.raises(NotPackable, match=re.escape(reason)):
        pack(record)
    assert not (workshop.project.root / "acceptance").exists()


def tree(root: Path) -> Mapping[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_nothing_is_overwritten_and_a_write_that_fails_leaves_nothing(
    workshop: Workshop, server: Server, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = {"/a": Says({"n": 1})}
    workshop.runbook([fetch(server, "a", outputs={"n": "$.n"})])
    record = workshop.live()
    acceptance = workshop.project.root / "acceptance"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(NotPackable, match="no space"):
            pack_execution(workshop.project, record.id)
    assert not acceptance.exists()
    pack(record, name="Mine")
    before = tree(acceptance)
    with pytest.raises(NotPackable, match="has a scenario called 'Mine' already"):
        pack_execution(workshop.project, record.id, name="Mine")
    with pytest.raises(NotPackable, match=r"in the way .* fixtures/mine.json, expected/mine/a.json"):
        pack_execution(workshop.project, record.id, name="mine!")
    assert tree(acceptance) == before
    pack(record, name="mine!", file_name="other")


def test_a_runbook_that_is_another_by_now_is_told_of_and_one_without_the_step_refused(
    workshop: Workshop, server: Server, pack: Pack
) -> None:
    server.answers = {"/a": Says({"n": 1})}

    def write(step_id: str, path: str = "$.n") -> None:
        workshop.runbook([fetch(server, step_id, outputs={"n": path})])

    write("a")
    record = workshop.live()
    write("a", "$.m")
    made = pack(record, passes=False)
    assert made.packed.notes == ("the runbook has changed since in a: the scenario is of what was recorded",)
    assert not made.run().passed
    shutil.rmtree(made.folder)
    write("b")
    with pytest.raises(NotPackable, match="the runbook is another one by now: the runbook has no step 'a'"):
        pack_execution(workshop.project, record.id, name="Later")


def test_a_denial_of_what_is_checked_cannot_be_told(workshop: Workshop, server: Server) -> None:
    workshop.runbook([fetch(server, "a")], assumptions=[{"id": "one", "check": "${1 < 2}"}])
    record = workshop.live(deny=("one",))
    with pytest.raises(NotPackable, match="'one' was denied"):
        pack_execution(workshop.project, record.id)


# Into the pack

NEW = {
    "name": "new",
    "fixture": "fixtures/new.json",
    "expected": {"path": {"ran": ["a", "b"], "retried": {}}},
}
BLOCK = """\
# Of the orders.
scenarios:
  # The first one.
  - name: "one"   # as ever
    fixture: fixtures/one.json

# The end.
"""
WINDOWS = "scenarios:\r\n  - name: one\r\n    fixture: f\r\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "scenarios:\n  - name: new\n"),
        (BLOCK, f"{BLOCK}\n  - name: new\n    fixture: fixtures/new.json\n"),
        ("scenarios:\n- {name: one, fixture: f}", "scenarios:\n- {name: one, fixture: f}\n\n- name: new\n"),
        ("scenarios: []  # none yet\n", "scenarios:\n  - name: new\n"),
        ("scenarios: [{name: one, fixture: f.json}, ] # x\n", "scenarios: [{name: one, fixture: f.json}, {"),
        ('{"scenarios": [\n  {"name": "one", "fixture": "f"}\n]}\n', '{"scenarios": [\n  {"name": "one"'),
        (WINDOWS, f"{WINDOWS}\r\n  - name: new\r\n    fixture: fixtures/new.json\r\n"),
    ],
)  # fmt: skip
def test_a_scenario_is_added_to_a_pack_that_is_written_in_any_way(before: str | None, after: str) -> None:
    added = with_scenario(before, NEW)
    assert added.startswith(after)
    comments = re.findall("#.*", before or "")
    assert [comment for comment in comments if comment not in added] == []
    data = yaml.safe_load(added)
    assert data["scenarios"][-1] == NEW
    assert len(data["scenarios"]) == (2 if before and "one" in before.replace("none", "") else 1)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("scenarios:\n  - name: one\n", "line 2: scenario number 1 has no 'fixture'"),
        ("scenarios: [", "has errors: line 2: not YAML"),
        ("{}\n", "no scenario can be added to acceptance.yml as it is written"),
        ("scenarios:\n  - {name: one, fixture: f}\n...\n", "no scenario can be added"),
        ("scenarios:\n  - {name: new, fixture: f}\n", "has a scenario called 'new' already"),
    ],
)
def test_a_pack_that_nothing_can_be_added_to_is_refused(before: str, reason: str) -> None:
    with pytest.raises(NotPackable, match=re.escape(reason)):
        with_scenario(before, NEW)
