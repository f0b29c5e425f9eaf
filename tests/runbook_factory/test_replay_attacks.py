"""What tempts a replay to lie: executions that are the same, and records that are not."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text as sql

from runbook_defs.execution import ExecutionRecord, Status
from runbook_defs.replay import Verdict
from runbook_factory import database
from runbook_factory.replay.recording import NotReplayable
from step_ops.live import LiveWorld
from tests.runbook_factory.test_replay import TOKEN, fetch, post, told, verified
from tests.scripted import Asked, Says, Server
from tests.workshop import Workshop

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
QUICK = {"max_attempts": 3, "delay_seconds": 0.01, "jitter": 0.5}
ALL = {"all": "$"}


def text(value: str, kind: str = "application/json") -> Says:
    return Says(text=value, headers={"Content-Type": kind})


def padded(length: int, letter: str = "x") -> Says:
    """JSON that has this many characters in its shortest form."""
    return Says({"n": letter * (length - len('{"n":""}'))})


# What other sides answer

ANSWERS = {
    "NUL in a short text": Says({"a": "x\0y", "k\0": 1}),
    "NUL in a long text": Says({"a": "x\0y" + "z" * 3000}),
    "half a surrogate pair": text('{"a": "\\ud800", "b": ["\\udfff\\ud800"]}'),
    "half a surrogate pair in a long text": text('{"a": "\\ud800' + "z" * 3000 + '"}'),
    "a pair of surrogates": text('{"a": "\\ud83d\\ude00"}'),
    "what looks like an escaped NUL": text('{"a": "\\\\u0000", "b": "\\\\\\\\u0000"}'),
    "NaN": text('{"a": NaN}'),
    "too large for a number": text('{"a": 1e999}'),
    "minus infinity by its digits": text("[-1e400]"),
    "a large power": text('{"a": 1e23, "b": 1e300, "c": -1.5e25}'),
    "a large power in a long answer": text('{"a": 1e23, "pad": "' + "z" * 3000 + '"}'),
    "a small power": text('{"a": 5e-324, "b": 1e-7, "c": -0.0}'),
    "a large number": text('{"a": 1' + "0" * 400 + "}"),
    "more digits than Python reads": text('{"a": 1' + "0" * 5000 + "}"),
    "1.0": text('{"a": 1.0, "b": 1.00, "c": 1E2, "d": 0.1000}'),
    "a key twice": text('{"a": 1, "a": 2, "b": {"c": 1, "c": [2]}}'),
    "a scalar number": text("1.00"),
    "a scalar text": text('"x"'),
    "a scalar with space": text("  true \n"),
    "null": text("null"),
    "an empty list": text("[]"),
    "an empty key": text('{"": {"": 1}}'),
    "a byte order mark": Says(data=b'\xef\xbb\xbf{"a": 1}'),
    "UTF-16": Says(data='{"a": "\u00e4"}'.encode("utf-16")),
    "line separators": text('{"a": "\u2028\u2029\x85"}'),
    "nothing": Says(data=b""),
    "nothing, 204": Says(data=b"", status=204),
    "binary": Says(data=bytes(range(256)) * 4),
    "plain text": text("hello", "text/plain"),
    "2047": padded(2047),
    "2048": padded(2048),
    "2049": padded(2049),
    "2048 of two bytes each": padded(2048, "\u00e9"),
    "2049 of two bytes each": padded(2049, "\u00e9"),
    "deep": text("[" * 200 + "]" * 200),
    "deeper": text("[" * 450 + "]" * 450),
    "as deep as JSON is read": text("[" * 900 + "]" * 900),
    "keys out of order": text('{"b": 1, "a": {"d": 1, "c": 2}, "aa": 0}'),
    "a token": Says({"t": JWT, "u": f"x {JWT} y", JWT: 1}),
    "many headers": Says({"a": 1}, headers={"X-A": "\u00e9", "Set-Cookie": "a=b", "X-Empty": ""}),
    "what looks like an answer of the program": Says({"truncated": True, "body_digest": "x", "error": "y"}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_was_answered_replays_the_same(workshop: Workshop, server: Server, name: str) -> None:
    server.answers = {"/a": ANSWERS[name], "/post": Says({})}
    workshop.runbook(
        [
            fetch(server, "a", outputs=ALL),
            post(
                server,
                "b",
                body={"all": "${steps.a.outputs.all}", "text": "it is ${steps.a.outputs.all}"},
                depends_on=["a"],
            ),
        ]
    )
    verified(workshop, server, workshop.live())


SHEETS = {
    "csv": ("csv", 'id,name\r\n1,a\n2,"b\r\nc"\n'),
    "csv with a byte order mark": ("csv", "\ufeffid,name\n1,a\n"),
    "csv with NUL": ("csv", "id,name\n1,a\0b\n"),
    "csv with too many cells": ("csv", "id,name\n1,a,more,still\n2\n"),
    "csv of one cell": ("csv", "1.00\n2.00\n"),
    "csv that looks like JSON": ("csv", "[1,2]\n3,4\n"),
    "empty csv": ("csv", ""),
    "ndjson": ("ndjson", '{"a": 1.0}\n\n{"a": 1e5}\n'),
    "ndjson of one line": ("ndjson", '{"b": 1, "a": "\\u0000"}'),
    "ndjson of many lines": ("ndjson", "\n".join(json.dumps({"n": n, "t": "x\0"}) for n in range(300))),
    "broken ndjson": ("ndjson", '{"a": 1}\n{"a": '),
}


@pytest.mark.parametrize("name", SHEETS)
def test_records_in_other_formats_replay_the_same(workshop: Workshop, server: Server, name: str) -> None:
    form, content = SHEETS[name]
    server.answers = {"/a": text(content, "text/plain"), "/post": Says({})}
    workshop.runbook(
        [
            fetch(server, "a", inputs={"format": form}, outputs=ALL),
            post(server, "b", body={"all": "${steps.a.outputs.all}"}, depends_on=["a"]),
        ]
    )
    verified(workshop, server, workshop.live())


@pytest.mark.parametrize("by", ["url", "param"])
def test_pages_replay_in_their_order(workshop: Workshop, server: Server, by: str) -> None:
    def page(asked: Asked) -> Says:
        number = int(asked.path.partition("page=")[2] or 0)
        following = {"url": f"/a?page={number + 1}", "param": number + 1}[by] if number < 4 else None
        return Says({"items": [number], "next": following})

    server.answers = {"/a": page}
    paging = {"next": "$.next", **({"param": "page"} if by == "param" else {})}
    workshop.runbook([fetch(server, "a", inputs={"paging": paging}, outputs={"n": "$.items[*]"})])
    record = workshop.live()
    assert len(record.steps[0].exchanges) == 5, record.reason
    verified(workshop, server, record)


def test_redirects_replay_as_their_last_answer(workshop: Workshop, server: Server) -> None:
    server.answers = {
        "/a": Says(status=302, headers={"Location": "/b"}),
        "/b": Says(status=307, headers={"Location": "/c?x=1"}),
        "/c": Says({"n": 1}),
        "/post": Says(status=303, headers={"Location": "/c"}),
    }
    workshop.runbook(
        [
            fetch(server, "a", outputs=ALL),
            post(server, "b", on_failure="log_and_continue"),
        ]
    )
    verified(workshop, server, workshop.live())


# Secrets


@pytest.mark.parametrize(
    ("name", "secret", "echo"),
    [
        ("plain", TOKEN, lambda s: {"s": s, s: 1, "long": "a" * 3000 + s}),
        ("base64", TOKEN, lambda s: {"s": base64.b64encode(f"user:{s}".encode()).decode()}),
        ("url", "to/k en+&=?%7319", lambda s: {"s": "https://x/?t=to%2Fk%20en%2B%26%3D%3F%257319"}),
        ("number", "73197319", lambda s: {"s": int(s), "f": float(s), "in": f"a{s}b"}),
        ("quotes", 'to"k\\en\n73', lambda s: {"s": s, "twice": json.dumps(s)}),
        ("jwt", JWT, lambda s: {"s": s, "b": f"Bearer {s}"}),
        ("too short", "abc", lambda s: {"s": s}),
        ("hex", "d3adb33f42", lambda s: {"s": s * 3}),
    ],
)
def test_a_secret_that_is_echoed_replays_the_same(
    workshop: Workshop,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    secret: str,
    echo: Callable[[str], Any],
) -> None:
    monkeypatch.setenv("API_TOKEN", secret)
    server.answers = {"/a": Says(echo(secret)), "/post": Says({})}
    workshop.runbook(
        [
            fetch(server, "a", inputs={"headers": {"X-Api-Key": "${API_TOKEN}"}}, outputs=ALL),
            post(
                server,
                "b",
                body={"all": "${steps.a.outputs.all}", "t": "x=${steps.a.outputs.all.s}&y"},
                depends_on=["a"],
            ),
        ]
    )
    record = workshop.live()
    monkeypatch.delenv("API_TOKEN")
    verified(workshop, server, record)


@pytest.mark.parametrize("form", ["${x}", "id=${x}&z", "${x}_v2", "v${x}", "${x}${x}"])
@pytest.mark.parametrize("token", [JWT, "ghp_" + "a1" * 20])
def test_a_token_that_was_answered_is_sent_on_in_any_text(
    workshop: Workshop, server: Server, token: str, form: str
) -> None:
    server.answers = {"/a": Says({"t": token}), "/post": Says({})}
    sent = form.replace("${x}", "${steps.a.outputs.t}")
    workshop.runbook(
        [fetch(server, "a", outputs={"t": "$.t"}), post(server, "b", body={"t": sent}, depends_on=["a"])]
    )
    verified(workshop, server, workshop.live())


# Values of the definition and of inputs

VALUES: dict[str, Any] = {
    "large power": 1e23,
    "whole number as a float": 100000.0,
    "large number": 10**30,
    "text": "x",
    "NUL": "x\0y",
    "line ends": "a\r\nb\u2028",
    "number in a text": "1.00",
    "nested": {"b": [1, 1.0, None, True], "a": {}},
    "other letters": "\u20ac\u00e9",
    "token": JWT,
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_of_the_definition_replays_the_same(workshop: Workshop, server: Server, name: str) -> None:
    server.answers = {"/post": lambda asked: Says({"got": asked.json()})}
    workshop.runbook([post(server, "b", body={"v": VALUES[name]}, outputs=ALL)])
    verified(workshop, server, workshop.live())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "\u20ac\u00e9"),
        ("string", JWT),
        ("string", ""),
        ("integer", 10**30),
        ("number", 1e23),
        ("number", -0.0),
        ("boolean", False),
        ("list", [1, "a", {"z": 1, "a": None}]),
        ("object", {"z": 1.0, "a": {"c": [], "b": 1e23}}),
    ],
)
def test_an_input_of_any_type_replays_the_same(
    workshop: Workshop, server: Server, kind: str, value: Any
) -> None:
    server.answers = {"/post": lambda asked: Says({"got": asked.json()})}
    workshop.runbook(
        [post(server, "b", body={"v": "${v}", "t": "is ${v}", "d": "${d}"}, outputs=ALL)],
        inputs={"v": {"type": kind}, "d": {"type": kind, "default": value}},
    )
    verified(workshop, server, workshop.live(inputs={"v": value}))


# Ways of going


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("retry", [None, QUICK])
def test_a_failing_item_leaves_the_others_as_they_were(
    workshop: Workshop, server: Server, retry: dict[str, Any] | None, lanes: int
) -> None:
    for _ in range(lanes):
        server.answers = {f"/items/{n}": Says({"n": n}, delay=0.02) for n in range(8)}
        server.answers["/items/2"] = Says(status=503)
        more = {"retry": retry} if retry else {}
        workshop.runbook(
            [
                fetch(server, "i", "/items/${item}", for_each=list(range(8)), max_parallel=lanes, **more),
                fetch(server, "after", "/items/1", depends_on=["i"]),
            ]
        )
        record = workshop.live()
        assert record.status is Status.ABORTED
        report = workshop.replay(record.id)
        assert report.verdict is Verdict.VERIFIED, told(report)


@pytest.mark.parametrize("late", [0.0, 0.12])
def test_items_that_end_by_their_timeout_end_so_again(
    workshop: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    """Also on a busy machine, where a pause takes longer than the record can know."""
    pause = LiveWorld.sleep
    monkeypatch.setattr(LiveWorld, "sleep", lambda world, seconds: pause(world, seconds + late))
    server.answers = {"/a": Says({"done": False})}
    poll = {
        "request": {"url": f"{server.url}/a"},
        "until": "${response.body.done}",
        "every_seconds": 0.1,
        "deadline_seconds": 9,
    }
    step = {"id": "w", "type": "wait", "inputs": poll, "timeout_seconds": 0.35}
    workshop.runbook([{**step, "for_each": [0, 1, 2], "max_parallel": 3, "retry": QUICK}])
    verified(workshop, server, workshop.live())


def test_items_in_parallel_whose_answers_are_too_slow_replay(workshop: Workshop, server: Server) -> None:
    server.answers = {f"/items/{n}": Says({"n": n}, delay=0.6 if n % 2 else 0.0) for n in range(6)}
    workshop.runbook(
        [
            fetch(
                server,
                "i",
                "/items/${item}",
                for_each=list(range(6)),
                max_parallel=3,
                timeout_seconds=0.3,
                retry=QUICK,
                on_failure="log_and_continue",
            )
        ]
    )
    verified(workshop, server, workshop.live())


def test_many_steps_at_once_replay(workshop: Workshop, server: Server) -> None:
    server.answers = {f"/items/{n}": Says({"n": n}, delay=(n % 4) / 50) for n in range(20)}
    steps = [fetch(server, f"s{n}", f"/items/{n}", outputs={"n": "$.n"}) for n in range(20)]
    total = " + ".join(f"steps.s{n}.outputs.n" for n in range(20))
    last = post(server, "last", body={"n": f"${{{total}}}"}, depends_on=[step["id"] for step in steps])
    server.answers["/post"] = Says({})
    workshop.runbook([*steps, last])
    verified(workshop, server, workshop.live())


def test_an_abort_among_branches_replays_whatever_the_threads_did(workshop: Workshop, server: Server) -> None:
    for _ in range(10):
        server.answers = {
            "/fail": Says(status=404, delay=0.05),
            "/a": Says(1, delay=0.01),
            "/b": Says(status=503, delay=0.04),
        }
        chain = [fetch(server, f"c{n}", depends_on=[f"c{n - 1}"] if n else [], retry=QUICK) for n in range(8)]
        retried = fetch(server, "r", "/b", retry={"max_attempts": 5, "delay_seconds": 0.03})
        workshop.runbook([fetch(server, "f", "/fail"), *chain, retried])
        record = workshop.live()
        assert record.status is Status.ABORTED
        report = workshop.replay(record.id)
        assert report.verdict is Verdict.VERIFIED, told(report)
        assert {step.step_id: step.status for step in workshop.replayed.steps} == {
            step.step_id: step.status for step in record.steps
        }


def test_what_goes_on_after_failures_and_skips_replays(workshop: Workshop, server: Server) -> None:
    server.answers = {"/gone": Says(status=404), "/a": Says({"n": 0})}
    workshop.runbook(
        [
            fetch(server, "gone", "/gone", on_failure="log_and_continue", outputs=ALL),
            fetch(server, "no", when="${steps.gone.status == 'success'}", depends_on=["gone"], outputs=ALL),
            fetch(server, "after_no", depends_on=["no"]),
            fetch(server, "but", when="${steps.no.status == 'skipped'}", depends_on=["no"], outputs=ALL),
            fetch(server, "null", when="${steps.no.outputs.all == null}", depends_on=["no"]),
            fetch(
                server,
                "broken",
                when="${1 / steps.but.outputs.all.n > 1}",
                depends_on=["but"],
                on_failure="log_and_continue",
            ),
            fetch(server, "bad", "/${steps.gone.outputs.all.x}", depends_on=["gone"]),
        ]
    )
    verified(workshop, server, workshop.live())


@pytest.mark.parametrize("answer", [Says({"ok": True}), Says({"ok": 1}), Says(status=500), Says(text="x")])
def test_a_probe_replays_whatever_it_found(workshop: Workshop, server: Server, answer: Says) -> None:
    server.answers = {"/probe": answer, "/a": Says(1)}
    probe = {
        "type": "data_fetch",
        "inputs": {"source_url": f"{server.url}/probe"},
        "expect": "${response.ok == true}",
    }
    workshop.runbook([fetch(server, "a")], assumptions=[{"id": "up", "probe": probe}])
    record = workshop.live()
    assert record.probes, record.reason
    verified(workshop, server, record)


WAITS = {
    "Retry-After": [Says(status=503, headers={"Retry-After": "1"}), Says({"done": True})],
    "error answers": [Says(status=500), Says(status=429), Says(text="busy"), Says({"done": True})],
    "an end": [Says(status=404), Says(status=401)],
    "an answer that has no such key": [Says([]), Says({"done": True})],
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_replays_through_every_answer(workshop: Workshop, server: Server, name: str) -> None:
    server.answers = {"/a": list(WAITS[name])}
    poll = {
        "request": {"url": f"{server.url}/a"},
        "until": "${response.body.done}",
        "every_seconds": 0.1,
        "deadline_seconds": 5,
    }
    workshop.runbook([{"id": "w", "type": "wait", "inputs": poll, "outputs": {"n": "$.waited_seconds"}}])
    verified(workshop, server, workshop.live())


def test_a_wait_that_keeps_the_whole_answer_replays(workshop: Workshop, server: Server) -> None:
    """Its headers too, among them those that are others at every answer."""
    server.answers = {"/a": Says({"done": True})}
    poll = {
        "request": {"url": f"{server.url}/a"},
        "until": "${response.headers['date'] != ''}",
        "deadline_seconds": 5,
    }
    workshop.runbook([{"id": "w", "type": "wait", "inputs": poll, "outputs": ALL}])
    record = workshop.live()
    assert record.status is Status.SUCCESS, record.reason
    verified(workshop, server, record)


@pytest.mark.parametrize(
    "where",
    [
        {"when": "${execution.duration > 0.2}"},
        {"for_each": "${execution.duration > 0.2 and [1, 2] or [1]}"},
        {"summary": "after ${execution.duration}"},
    ],
)
def test_how_long_it_had_run_is_read_again_wherever_it_is_asked(
    workshop: Workshop, server: Server, where: dict[str, str]
) -> None:
    server.answers = {"/slow": Says(1, delay=0.3), "/a": Says(1)}
    workshop.runbook([fetch(server, "slow", "/slow"), fetch(server, "a", depends_on=["slow"], **where)])
    record = workshop.live()
    assert record.steps[1].status.value == "success", record.reason
    verified(workshop, server, record)


def test_a_fault_of_the_program_replays_as_that_fault(
    workshop: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("broken")

    server.answers = {"/a": Says(1)}
    workshop.runbook([fetch(server, "a")])
    with monkeypatch.context() as context:
        context.setattr("step_ops.drivers.http.send", broken)
        record = workshop.live()
    assert "broken" in record.reason
    verified(workshop, server, record)


def test_metrics_that_were_published_are_published_again(
    workshop: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.file(
        "connections.yaml", f"connections:\n  pushgateway: {{type: http, base_url: '{server.url}'}}\n"
    )
    server.answers = {"/a": Says({"n": 3, "f": 0.25})}
    workshop.runbook(
        [
            fetch(server, "a", outputs={"n": "$.n", "f": "$.f"}),
            {
                "id": "m",
                "type": "metrics_publish",
                "depends_on": ["a"],
                "inputs": {"metrics": {"n": "${steps.a.outputs.n}", "f": "${steps.a.outputs.f}"}},
                "on_failure": "log_and_continue",
            },
        ],
        kpis={"n": {"value": "${steps.a.outputs.f}", "max": 2}, "max_duration_seconds": 60},
    )
    verified(workshop, server, workshop.live())


ROWS = {
    "text": "'x'",
    "NUL": "'x' || char(0) || 'y'",
    "NUL in many": "'x' || char(0) || replace(hex(zeroblob(2000)), '00', 'z')",
    "binary": "x'00ff'",
    "float": "1e23",
    "infinity": "9e999",
    "null": "NULL",
    "large": "9223372036854775807",
    "whole": "1.0",
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_any_value_replay(workshop: Workshop, server: Server, name: str) -> None:
    workshop.file(
        "connections.yaml",
        f"connections:\n  crm: {{type: sql, url: 'sqlite:///{workshop.project.root}/crm.db'}}\n",
    )
    workshop.file("crm.db", "")
    query = {"connection": "crm", "query": f"SELECT {ROWS[name]} AS v"}
    server.answers = {"/post": Says({})}
    workshop.runbook(
        [
            {"id": "q", "type": "sql_query", "inputs": query, "outputs": ALL},
            post(server, "b", body={"v": "${steps.q.outputs.all.rows}"}, depends_on=["q"]),
        ]
    )
    verified(workshop, server, workshop.live())


def test_a_statement_that_writes_replays_without_writing(workshop: Workshop, server: Server) -> None:
    import sqlite3

    path = workshop.project.root / "crm.db"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE t (n INTEGER)")
        base.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(5)])
    workshop.file("connections.yaml", f"connections:\n  crm: {{type: sql, url: 'sqlite:///{path}'}}\n")
    step = {"type": "sql_query", "effect": "write", "outputs": {"count": "$.count"}}
    add = {"connection": "crm", "query": "UPDATE t SET n = n + :by", "params": {"by": 1}}
    bad = {"connection": "crm", "query": "UPDATE t SET nothing = 1"}
    workshop.runbook(
        [
            {"id": "add", "inputs": add, **step},
            {"id": "bad", "inputs": bad, **step, "depends_on": ["add"], "on_failure": "log_and_continue"},
        ]
    )
    record = workshop.live()
    assert record.steps[0].outputs == {"count": 5}, record.reason
    verified(workshop, server, record)
    with sqlite3.connect(path) as base:
        assert base.execute("SELECT sum(n) FROM t").fetchone() == (15,)


def test_a_test_with_items_and_errors_replays(workshop: Workshop, server: Server) -> None:
    more: dict[str, Any] = {"for_each": [1, 2, 3, 4], "max_parallel": 2, "retry": QUICK, "timeout_seconds": 5}
    workshop.runbook([fetch(server, "i", "/${item}", **more), fetch(server, "z", depends_on=["i"])])
    slow = {"status": 200, "json": 2, "takes_seconds": 9}
    answers: dict[str, Any] = {
        "i[0]": [{"status": 200, "json": 1}],
        "i[1]": [{"status": 503}, slow, {"status": 200, "json": 2, "takes_seconds": 4}],
        "i[2]": [{"status": 200, "json": 1}],
        "i[3]": [{"status": 200, "json": 1}],
        "z": [{"status": 200, "text": "[1e23]"}],
    }
    record = workshop.test(steps=answers)
    assert record.status is Status.SUCCESS, record.reason
    verified(workshop, server, record)


# Records that were changed afterwards


@pytest.fixture
def change(workshop: Workshop) -> Callable[..., int]:
    """Changes the database; gives how many rows."""

    def do(statement: str, **values: Any) -> int:
        with database.engine(workshop.project).connect() as connection:
            return connection.execute(sql(statement), values).rowcount

    return do


def recorded(workshop: Workshop, server: Server, monkeypatch: pytest.MonkeyPatch) -> ExecutionRecord:
    """An execution with an id, a secret, a file, a retry, items, a probe, a large answer and a KPI."""
    monkeypatch.setenv("API_TOKEN", TOKEN)
    own = workshop.project.root.name  # a body is stored once for all executions of the database
    workshop.file("runbooks/rb-test/q.graphql", f"query Q($n: Int) {{ x(n: $n) }} # {own}")
    workshop.file("connections.yaml", f"connections:\n  api: {{type: http, base_url: '{server.url}'}}\n")
    server.answers = {
        "/probe": Says({"ok": True}),
        "/a": [Says(status=503), Says({"n": 3, "other": "x"})],
        "/large": Says({"n": 1, "pad": "z" * 3000 + own}),
        "/gone": Says(status=404),
        "/graphql": Says({"data": {"x": 7}}),
        "/post": Says({"id": 1}),
        "/items/1": Says({"n": 1}),
        "/items/2": Says({"n": 2}),
    }
    probe = {
        "type": "data_fetch",
        "inputs": {"source_url": f"{server.url}/probe"},
        "expect": "${response.ok}",
    }
    token = {"auth_token": "${API_TOKEN}"}
    query = {"endpoint": "/graphql", "query": "q.graphql", "n": "${steps.a.outputs.n}"}
    workshop.runbook(
        [
            fetch(server, "a", inputs=token, retry=QUICK, outputs={"n": "$.n"}),
            fetch(server, "large", "/large", outputs={"n": "$.n"}),
            fetch(server, "gone", "/gone", on_failure="log_and_continue"),
            fetch(server, "items", "/items/${item}", for_each=[1, 2], outputs={"n": "$.n"}),
            {
                "id": "q",
                "type": "api_call",
                "inputs": query,
                "depends_on": ["a"],
                "outputs": {"x": "$.data.x"},
            },
            post(
                server,
                "b",
                body={
                    "n": "${steps.a.outputs.n + v}",
                    "run": "${execution.id}",
                    "d": "${execution.duration}",
                },
                depends_on=["a", "items"],
                outputs={"id": "$.id"},
            ),
            fetch(server, "never", when="${v > 10}"),
        ],
        inputs={"v": {"type": "integer", "default": 4}, "unused": {"default": "x"}},
        assumptions=[{"by_hand": True}, {"id": "up", "probe": probe}],
        kpis={"n": {"value": "${steps.a.outputs.n}", "min": 2}, "max_duration_seconds": 60},
    )
    record = workshop.live()
    assert record.status is Status.SUCCESS, record.reason
    server.stop()
    monkeypatch.delenv("API_TOKEN")
    return record


def outcome(workshop: Workshop, record: ExecutionRecord) -> str:
    """The verdict, whichever way it comes."""
    try:
        report = workshop.replay(record.id)
    except NotReplayable as error:
        return f"not_replayable: {error.message}"
    return f"{report.verdict}: {told(report)}"


STEP = "UPDATE runbook.runbook_step_logs SET {} WHERE execution_id = :id AND step_id = :step"
RUN = "UPDATE runbook.runbook_executions SET {} WHERE id = :id"


def in_step(step: str, what: str) -> tuple[str, str]:
    return STEP.format(what), step


def in_text(step: str, column: str, old: str, new: str, kind: str = "JSON") -> tuple[str, str]:
    return in_step(step, f"{column} = replace({column}::text, '{old}', '{new}')::{kind}")


def in_run(what: str) -> tuple[str, str]:
    return RUN.format(what), ""


def in_run_text(column: str, old: str, new: str, kind: str = "JSONB") -> tuple[str, str]:
    return in_run(f"{column} = replace({column}::text, '{old}', '{new}')::{kind}")


SWAP = (
    "UPDATE runbook.runbook_step_logs one SET status = two.status, outputs = two.outputs, "
    "errors = two.errors, exchanges = two.exchanges FROM runbook.runbook_step_logs two "
    "WHERE one.execution_id = :id AND one.step_id = :step AND two.execution_id = :id "
    "AND two.step_id = :step AND one.attempt <> two.attempt"
)
DROP = "DELETE FROM runbook.runbook_step_logs WHERE execution_id = :id AND step_id = :step"
ADD = (
    "INSERT INTO runbook.runbook_step_logs "
    "(execution_id, step_id, step_type, attempt, position, status, seconds) "
    "VALUES (:id, '{}', 'data_fetch', {}, 99, 'success', 1) RETURNING :step"
)
DEFINITION = (
    "UPDATE runbook.definitions SET {} WHERE digest = "
    "(SELECT definition_digest FROM runbook.runbook_executions WHERE id = :id) AND :step = ''"
)
BODY = (
    "UPDATE runbook.bodies SET {} WHERE digest IN (SELECT x->>'body_digest' FROM runbook.runbook_step_logs, "
    "json_array_elements(exchanges) x WHERE execution_id = :id AND step_id = :step)"
)
FILE = (
    "UPDATE runbook.bodies SET {} WHERE digest IN (SELECT d.files->>'q.graphql' FROM runbook.definitions d, "
    "runbook.runbook_executions e WHERE e.definition_digest = d.digest AND e.id = :id AND :step = '')"
)

SEEN = {
    "an output": in_text("a", "outputs", '"n": 3', '"n": 4', "JSONB"),
    "an output taken out": in_step("a", "outputs = '{}'"),
    "an input": in_text("a", "inputs", "/a", "/b", "JSONB"),
    "an answer that was used": in_text("a", "exchanges", '"n": 3', '"n": 4'),
    "the status of an answer": in_text("a", "exchanges", '"status": 200', '"status": 500'),
    "the status of a failed answer": in_text("gone", "exchanges", '"status": 404', '"status": 410'),
    "a request": in_text("b", "exchanges", '"n": 7', '"n": 8'),
    "a header of a request": in_text("a", "exchanges", "secret:API_TOKEN", "secret:OTHER_TOKEN"),
    "the method of a request": in_text("b", "exchanges", '"POST"', '"PUT"'),
    "a read of the duration": in_step("b", "reads = '[]'"),
    "the pseudonym of a secret": in_step(
        "a", "reads = regexp_replace(reads::text, '#[0-9a-f]{10}', '#0000000000', 'g')::JSONB"
    ),
    "the status of a step": in_step("gone", "status = 'success'"),
    "a step that failed now": in_step("b", "status = 'failed'"),
    "a step that never ran": in_step("never", "status = 'not_run'"),
    "the error of a step": in_text("gone", "errors", "404", "405", "JSONB"),
    "no error of a step": in_step("gone", "errors = '[]'"),
    "an exchange taken out": in_step("b", "exchanges = '[]'"),
    "an exchange twice": in_step("b", "exchanges = json_build_array(exchanges->0, exchanges->0)"),
    "items swapped": in_step("items", "exchanges = json_build_array(exchanges->1, exchanges->0)"),
    "an item renamed": in_text("items", "exchanges", '"item": 0', '"item": 5'),
    "attempts swapped": (SWAP, "a"),
    "an attempt taken out": (DROP + " AND attempt = 2", "a"),
    "an attempt put in": (ADD.format("b", 2), ""),
    "a step taken out": (DROP, "b"),
    "a skipped step taken out": (DROP, "never"),
    "a step put in": (ADD.format("extra", 1), ""),
    "a probe taken out": (DROP, "assumptions.up"),
    "the answer to a probe": in_text("assumptions.up", "exchanges", "true", "false"),
    "the retry of a step": in_step(
        "a", "errors = regexp_replace(errors::text, '\"retry_in\": [0-9.]+', '\"retry_in\": 99')::JSONB"
    ),
    "the status of all": in_run("status = 'failure'"),
    "aborted": in_run("status = 'aborted'"),
    "an input of all": in_run("""inputs = '{"v": 5, "unused": "x"}'"""),
    "a KPI": in_run_text("kpis", '"value": 3', '"value": 9'),
    "a KPI met": in_run_text("kpis", '"met": true', '"met": false'),
    "a KPI taken out": in_run("""kpis = '{"kpis": []}'"""),
    "a KPI put in": in_run(
        """kpis = jsonb_set(kpis, '{kpis,2}', jsonb_set(kpis#>'{kpis,0}', '{name}', '"other"'))"""
    ),
    "the limit of a KPI": in_run_text("kpis", '"limit": 2', '"limit": 1'),
    "how long it took": in_run("""metadata = metadata || '{"duration_seconds": 99}'"""),
    "an assumption": in_run_text("metadata", '"met": true', '"met": false'),
    "an assumption taken out": in_run("metadata = metadata || '{\"assumptions\": []}'"),
    "the definition": (DEFINITION.format("text = replace(text, '\"min\": 2', '\"min\": 1')"), ""),
    "the definition in a word": (DEFINITION.format("text = replace(text, 'none needed', 'some needed')"), ""),
    "the files of the definition": (DEFINITION.format("files = '{}'"), ""),
    "a file": (FILE.format("bytes = 'query Q { y }'"), ""),
    "a file that is gone": (FILE.replace("UPDATE runbook.bodies SET {}", "DELETE FROM runbook.bodies"), ""),
    "a file said to be cut": (FILE.format("truncated = true"), ""),
    "a body": (BODY.format("bytes = replace(encode(bytes, 'escape'), 'z', 'y')::bytea"), "large"),
    "a body that is gone": (
        BODY.replace("UPDATE runbook.bodies SET {}", "DELETE FROM runbook.bodies"),
        "large",
    ),
    "a body that is cut": (BODY.format("bytes = substr(bytes, 1, 2000), truncated = true"), "large"),
    "a body that is another and said to be cut": (
        BODY.format("bytes = '{\"n\": 1}', truncated = true"),
        "large",
    ),
    "the records of a step": in_step("items", """records = '{"checked": 9, "passed": 9, "failed": 0}'"""),
    "a warning put in": in_step("b", """errors = '[{"type": "data", "message": "bad"}]'"""),
    "its mode": in_run("mode = 'test'"),
    "its measures": in_run("""kpis = kpis || '{"measures": {"x": 1}}'"""),
}


@pytest.mark.parametrize("name", SEEN)
def test_a_record_that_was_changed_is_never_verified(
    workshop: Workshop,
    server: Server,
    change: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    record = recorded(workshop, server, monkeypatch)
    statement, step = SEEN[name]
    assert change(statement, id=record.id, **({"step": step} if ":step" in statement else {})) > 0
    found = outcome(workshop, record)
    assert not found.startswith("verified"), name


# What a verdict is not about: the record of the record, and what was told but not used.
UNSEEN = {
    "no start": in_run("started_at = NULL"),
    "the type of a value in an answer": in_text("a", "exchanges", '"n": 3', '"n": 3.0'),
    "another execution's name": in_run("runbook_id = 'rb-other'"),
    "another version": in_run("runbook_version = '9.9.9'"),
    "another type of step": in_step("b", "step_type = 'data_fetch'"),
    "the summary of a step": in_step("items", "summary = '5,000 items'"),
    "an answer that nobody used": in_text("a", "exchanges", '"other": "x"', '"other": "y"'),
    "a status of the same kind": in_text("b", "exchanges", '"status": 200', '"status": 201'),
    "a header of an answer": in_text("b", "exchanges", "application/json", "text/html"),
    "a digest that was read of a file": in_step(
        "q", "reads = regexp_replace(reads::text, '[0-9a-f]{64}', repeat('0', 64))::JSONB"
    ),
    "what an expression gave": in_text("b", "reads", '"value": 7', '"value": 8', "JSONB"),
    "the reason": in_run("""metadata = metadata || '{"reason": "all was well"}'"""),
    "an input that nobody used": in_run("""inputs = '{"v": 4, "unused": "y"}'"""),
    "the seconds of a step": in_step("b", "seconds = 999"),
    "the place of a step": in_step("b", "position = 0"),
    "when a step ran": in_step("b", "started_at = '2001-01-01', completed_at = '2000-01-01'"),
    "when it ran": in_run("started_at = '2001-01-01', completed_at = '2000-01-01'"),
    "its clock": in_run("""metadata = metadata || '{"clock": "2001-01-01T00:00:00+00:00"}'"""),
    "who ran it": in_run("actor_id = NULL"),
    "its environment": in_run("environment = '{}'"),
    "its format": in_run("format_version = 1"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_no_step_was_told_is_no_part_of_the_verdict(
    workshop: Workshop,
    server: Server,
    change: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    record = recorded(workshop, server, monkeypatch)
    statement, step = UNSEEN[name]
    assert change(statement, id=record.id, **({"step": step} if ":step" in statement else {})) > 0
    assert outcome(workshop, record) == "verified: "


BROKEN = {
    "exchanges that are none": in_step("a", "exchanges = '[{}]'"),
    "exchanges without a request": in_step("a", """exchanges = '[{"status": 200, "json": {"n": 3}}]'"""),
    "exchanges of another kind": in_step("a", """exchanges = '{"a": 1}'"""),
    "exchanges that are null": in_step("a", "exchanges = 'null'"),
    "numbers for exchanges": in_step("a", "exchanges = '[1, 2]'"),
    "an answer without a status": in_text("a", "exchanges", '"status"', '"stat"'),
    "a status that is text": in_text("a", "exchanges", '"status": 200', '"status": "ok"'),
    "an error without a type": in_text("gone", "exchanges", '"status": 404', '"error": "no such type"'),
    "an error of no type": in_text("gone", "exchanges", '"status": 404', '"error": "nonsense: x"'),
    "a request without a method": in_text("a", "exchanges", '"method"', '"meth"'),
    "a request without a url": in_text("a", "exchanges", '"url"', '"uri"'),
    "seconds that are text": in_text("a", "exchanges", '"takes_seconds": ', '"takes_seconds": "x", "y": '),
    "headers that are a list": in_text("a", "exchanges", '"headers": {', '"headers": [], "h": {'),
    "a digest that is a number": in_text(
        "large", "exchanges", '"body_digest": "', '"body_digest": 1, "d": "'
    ),
    "cut without a size": in_text("a", "exchanges", '"takes_seconds"', '"truncated": true, "takes_seconds"'),
    "reads that are none": in_step("b", "reads = '[{}]'"),
    "reads of another kind": in_step("b", "reads = '{\"a\": 1}'"),
    "a read without a value": in_text("b", "reads", '"value"', '"val"', "JSONB"),
    "a clock that is none": in_text("b", "reads", "execution.duration", "now", "JSONB"),
    "a duration that is text": in_step(
        "b", """reads = '[{"kind": "clock", "name": "execution.duration", "value": "x"}]'"""
    ),
    "errors without a message": in_step("gone", """errors = '[{"failed": true}]'"""),
    "errors that are text": in_step("gone", "errors = '\"x\"'"),
    "outputs that are a list": in_step("a", "outputs = '[1]'"),
    "inputs that are a list": in_step("a", "inputs = '[1]'"),
    "a picture that is none": in_step("a", "pictures = '[{}]'"),
    "an item that is text": in_text("items", "exchanges", '"item": 0', '"item": "x"'),
    "inputs of all that are a list": in_run("inputs = '[1]'"),
    "an input of another type": in_run("""inputs = '{"v": "x"}'"""),
    "KPIs that are none": in_run("""kpis = '{"kpis": [{"name": "n"}]}'"""),
    "KPIs that are a list": in_run("kpis = '[]'"),
    "assumptions that are none": in_run("""metadata = metadata || '{"assumptions": [{"x": 1}]}'"""),
    "a clock of no time": in_run("""metadata = metadata || '{"clock": "noon"}'"""),
    "metadata that is a list": in_run("metadata = '[]'"),
    "no definition": in_run("definition_digest = NULL"),
    "a duration of text": in_run("""metadata = metadata || '{"duration_seconds": "x"}'"""),
    "a definition that is no YAML": (DEFINITION.format("text = '{{{'"), ""),
    "an empty definition": (DEFINITION.format("text = ''"), ""),
    "files outside the folder": (
        DEFINITION.format("""files = jsonb_build_object('../../x', files->>'q.graphql')"""),
        "",
    ),
    "files without a digest": (DEFINITION.format("""files = '{"q.graphql": null}'"""), ""),
    "files that are a list": (DEFINITION.format("files = '[1]'"), ""),
    "a file where the definition lies": (
        DEFINITION.format("""files = jsonb_build_object('runbook.yaml', files->>'q.graphql')"""),
        "",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_record_that_makes_no_sense_is_told_in_a_sentence(
    workshop: Workshop,
    server: Server,
    change: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    rb: Callable[..., Any],
    name: str,
) -> None:
    record = recorded(workshop, server, monkeypatch)
    statement, step = BROKEN[name]
    assert change(statement, id=record.id, **({"step": step} if ":step" in statement else {})) > 0
    monkeypatch.chdir(workshop.project.root)
    answer = rb("replay", record.id)
    change(RUN.format("runbook_id = 'broken'"), id=record.id)  # out of the way of other tests' lists
    assert answer.code in (1, 2), answer.err
    assert "exception" not in answer.out + answer.err
