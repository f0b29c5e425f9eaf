"""`wait`: delays and polling, on a virtual clock and against a real server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runbook_defs.templates import compile_template
from runbook_factory.conditions import condition
from step_ops.cassette import Cassette, Fixture
from step_ops.condition import Condition
from step_ops.connections import Connections, HttpConnection, connection_of
from step_ops.errors import ErrorType, StepError
from step_ops.files import Folder
from step_ops.gate import Gate, World
from step_ops.live import LiveWorld
from step_ops.playback import Playback
from step_ops.recording import record_exchange
from step_ops.redaction import Redactor
from step_ops.registry import step_types
from step_ops.secrets import FixtureSecrets
from step_ops.step_type import Effect, Result

WAIT = step_types()["wait"]
RUNNING = {"status": 200, "json": {"state": "running"}}
DONE = {"status": 200, "json": {"state": "done"}}


class Shelf:
    def keep(self, name: str, data: bytes) -> str:
        return name

    def baseline(self, name: str) -> bytes | None:
        return None


def gate(world: World) -> Gate:
    return Gate(world, runbook="r", execution="e", redactor=Redactor(b"k" * 32), shelf=Shelf())


def told(*exchanges: dict[str, Any]) -> Gate:
    """A gate whose world is a fixture with these exchanges."""
    fixture = Fixture.model_validate({"format": 1, "runbook": "r", "steps": {"s": list(exchanges)}})
    here = Path()
    return gate(Playback(Cassette(fixture, here / "f.json"), step="s", begins=0, files=Folder(here)))


def until(text: str, **scope: Any) -> Condition:
    return condition(text, compile_template(text), scope=scope)


def poll(gate: Gate, text: str = "${response.body.state == 'done'}", **more: Any) -> Result:
    inputs = {"request": {"endpoint": "/jobs/1"}, "until": until(text), "deadline_seconds": 60, **more}
    return WAIT.run(WAIT.parse(inputs), gate)


def failure(gate: Gate, text: str = "${response.body.state == 'done'}", **more: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        poll(gate, text, **more)
    return caught.value


def test_a_delay_moves_the_clock_and_asks_nothing() -> None:
    world = told()
    result = WAIT.run(WAIT.parse({"seconds": 3600}), world)
    assert result.value == {"attempts": 0, "waited_seconds": 3600, "response": None}
    assert world.elapsed() == 3600
    assert world.exchanges == []
    assert WAIT.summary(result, {}) == "waited 3600s"


def test_polling_asks_until_the_expression_holds() -> None:
    world = told(RUNNING, {**RUNNING, "takes_seconds": 2}, {**DONE, "headers": {"X-Page": "1"}})
    result = poll(world, every_seconds=10)
    assert result.value == {
        "attempts": 3,
        "waited_seconds": 22,
        "response": {
            "status": 200,
            "headers": {"x-page": "1", "content-type": "application/json"},
            "body": {"state": "done"},
        },
    }
    assert world.elapsed() == 22
    assert WAIT.summary(result, {}) == "done after 3 attempts (22s)"


def test_what_the_last_answer_lacked_is_told_of_the_answer_as_it_is_recorded() -> None:
    for before in range(0, 60, 7):
        text = "." * before + "t0ken-that-nobody-may-see" + "." * 60
        world = told({"status": 200, "json": {"state": text, "more": [text] * 9}, "takes_seconds": 60})
        world._redactor.register("T", "t0ken-that-nobody-may-see")
        message = failure(world, "${response.body.state == 'done' and response.body.more == 1}").message
        assert "asked once; at last: " in message and "t0k" not in message, message


def test_a_first_answer_that_is_right_needs_no_wait() -> None:
    result = poll(told(DONE))
    assert WAIT.summary(result, {}) == "done after 1 attempt (0s)"


def test_the_expression_sees_what_the_step_could_see_when_it_began() -> None:
    world = told({"status": 200, "json": {"n": 1}}, {"status": 200, "json": {"n": 5}})
    inputs = {"request": {"url": "https://x.test/"}, "deadline_seconds": 60}
    inputs["until"] = until("${response.body.n > limit}", limit=3)
    assert WAIT.run(WAIT.parse(inputs), world).value["attempts"] == 2


@pytest.mark.parametrize(
    "not_yet",
    [
        *({"status": status, "text": "<p>sorry</p>"} for status in (404, 408, 425, 429, 500, 503)),
        *({"error": error} for error in ("refused", "reset", "timeout", "tls")),
        {"status": 200, "json": {"state": None}},
    ],
)
def test_what_may_be_otherwise_a_moment_later_is_not_yet(not_yet: dict[str, Any]) -> None:
    assert poll(told(not_yet, DONE)).value["attempts"] == 2


@pytest.mark.parametrize("status", [302, 400, 401, 403, 410, 422])
def test_other_error_answers_end_the_waiting_at_once(status: int) -> None:
    world = told({"status": status, "json": {"state": "done"}})
    error = failure(world)
    assert error.type is ErrorType.HTTP
    assert f"answered {status}" in error.message
    assert len(world.exchanges) == 1


def test_an_error_answer_does_not_count_even_if_the_expression_would_hold() -> None:
    error = {"status": 503, "json": {"state": "done"}}
    assert poll(told(error, DONE)).value["response"]["status"] == 200


def test_an_expression_about_the_status_judges_error_answers_too() -> None:
    gone = "${response.status == 404}"
    assert poll(told(RUNNING, {"status": 404}), gone).value["response"]["body"] is None
    both = "${response.status == 503 and response.body.state == 'drained'}"
    page = {"status": 503, "text": "<p>no keys here</p>"}
    assert poll(told(page, {"status": 503, "json": {"state": "drained"}}), both).value["attempts"] == 2


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ({"json": {"a": [1]}}, {"a": [1]}),
        ({"text": "OK"}, "OK"),
        ({"text": "NaN"}, "NaN"),
        ({"text": '{"a": 1}', "headers": {"content-type": "text/plain"}}, {"a": 1}),
        ({}, None),
    ],
)
def test_the_body_is_json_where_it_is_json_and_else_text(answer: dict[str, Any], body: Any) -> None:
    assert poll(told({"status": 200, **answer}), "${true}").value["response"]["body"] == body


def test_at_the_deadline_it_asks_a_last_time_and_then_says_what_was_missing() -> None:
    world = told(*[RUNNING] * 4)
    error = failure(world, every_seconds=25)
    assert [exchange.at for exchange in world.exchanges] == [0, 25, 50, 60]
    assert error.type is ErrorType.TIMEOUT
    assert error.message == (
        "`until` did not hold within 60 s, asked 4 times; at last: "
        "response.body.state == 'done'  = false | response.body.state  = \"running\""
    )
    assert error.details == {"attempts": 4, "waited_seconds": 60}


def test_small_pauses_add_up_to_the_deadline_without_one_request_too_many() -> None:
    world = told(*[RUNNING] * 11)
    error = failure(world, every_seconds=0.1, deadline_seconds=1)
    assert error.details["waited_seconds"] == 1
    assert len(world.exchanges) == 11


def test_one_long_answer_lets_the_deadline_pass() -> None:
    error = failure(told({**RUNNING, "takes_seconds": 3600}), deadline_seconds=3600)
    assert "asked once" in error.message


def test_an_error_that_lasts_is_shown_at_the_deadline() -> None:
    refused = {"error": "refused", "takes_seconds": 30}
    assert "at last: GET /jobs/1: connection refused" in failure(told(refused, refused)).message
    sorry = {"status": 503, "takes_seconds": 60}
    assert "at last: GET /jobs/1 answered 503" in failure(told(sorry)).message


def test_long_values_are_shortened_in_the_message() -> None:
    state = {"status": 200, "json": {"state": "x" * 5000}, "takes_seconds": 60}
    assert len(failure(told(state)).message) < 400


@pytest.mark.parametrize("status", [200, 429, 503])
def test_a_longer_pause_that_the_other_side_asks_for_is_kept(status: int) -> None:
    busy = {"status": status, "json": {"state": "busy"}, "headers": {"Retry-After": "40"}}
    world = told(busy, DONE)
    poll(world)
    assert [exchange.at for exchange in world.exchanges] == [0, 40]


@pytest.mark.parametrize("value", ["²", "-3", "soon", "Wed, 21 Oct 2099 07:28:00 GMT", ""])
def test_a_retry_after_that_is_no_number_of_seconds_is_not_heeded(value: str) -> None:
    world = told({"status": 202, "json": {"state": "busy"}, "headers": {"Retry-After": value}}, DONE)
    poll(world)
    assert [exchange.at for exchange in world.exchanges] == [0, 5]


def test_an_expression_that_cannot_be_evaluated_on_a_good_answer_fails_at_once() -> None:
    world = told({"status": 200, "json": {"progress": 7}}, DONE)
    error = failure(world)
    assert error.type is ErrorType.EXPRESSION
    assert error.message.startswith("${response.body.state == 'done'}: there is no key 'state'")
    assert "default(" in error.hint
    assert len(world.exchanges) == 1


def test_what_the_fixture_does_not_tell_is_no_reason_to_ask_again() -> None:
    assert failure(told(RUNNING)).type is ErrorType.CASSETTE


def test_a_record_of_a_polling_replays_to_the_same_result() -> None:
    world = told(RUNNING, {**RUNNING, "takes_seconds": 0.1234567}, {**DONE, "takes_seconds": 1 / 3})
    first = poll(world, every_seconds=0.7).value
    redactor = Redactor(b"k" * 32)
    recorded = [
        record_exchange(item, redactor=redactor, keep=lambda data: ("", False)) for item in world.exchanges
    ]
    assert poll(told(*recorded), every_seconds=0.7).value == first


DELAY: dict[str, Any] = {"seconds": 1}
POLLING: dict[str, Any] = {
    "request": {"url": "https://x.test"},
    "until": until("${true}"),
    "deadline_seconds": 60,
}


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"seconds": -1},
        {"seconds": 86_401},
        {"seconds": float("inf")},
        {"seconds": float("nan")},
        {"seconds": "1"},
        {"seconds": True},
        {**DELAY, **POLLING},
        {**DELAY, "every_seconds": 5},
        {"until": until("${true}")},
        {**POLLING, "until": None},
        {**POLLING, "until": "${true}"},
        {**POLLING, "until": True},
        {**POLLING, "deadline_seconds": None},
        {**POLLING, "deadline_seconds": 0},
        {**POLLING, "deadline_seconds": 86_401},
        {**POLLING, "deadline_seconds": float("inf")},
        {**POLLING, "every_seconds": 0},
        {**POLLING, "every_seconds": 1e-300},
        {**POLLING, "every_seconds": -5},
        {**POLLING, "every_seconds": 0.1, "deadline_seconds": 2001},
        {**POLLING, "request": {}},
        {**POLLING, "request": {"url": "https://x.test", "endpoint": "/x"}},
        {**POLLING, "request": {"url": "https://x.test", "body": 1}},
        {**POLLING, "request": {"url": "https://x.test", "method": "BREW"}},
        {**POLLING, "request": "https://x.test"},
    ],
)
def test_inputs_that_make_no_wait_are_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(StepError) as caught:
        WAIT.parse(inputs)
    assert caught.value.type is ErrorType.CONFIG


@pytest.mark.parametrize("inputs", [DELAY, {"seconds": 0}, POLLING, {**POLLING, "deadline_seconds": 86_400}])
def test_inputs_that_make_a_wait_are_taken(inputs: dict[str, Any]) -> None:
    WAIT.parse(inputs)


def test_the_request_is_sent_as_it_is_stated() -> None:
    sent = {"method": "POST", "url": "/search", "params": {"q": 1}, "body": {"a": 1}, "headers": {"X-A": "b"}}
    request = {"endpoint": "/search", "method": "POST", "params": {"q": 1}, "body": {"a": 1}}
    poll(told({**DONE, "expect": sent}), request={**request, "headers": {"X-A": "b"}})


def test_only_a_request_that_may_write_is_a_write() -> None:
    assert WAIT.effect_of({"seconds": 1}, "") is Effect.READ
    assert WAIT.effect_of({"request": {"url": "x"}}, "") is Effect.READ
    assert WAIT.effect_of({"request": {"url": "x", "method": "HEAD"}}, "") is Effect.READ
    assert WAIT.effect_of({"request": {"url": "x", "method": "POST"}}, "") is Effect.WRITE
    assert WAIT.effect_of({"request": {"url": "x", "method": "${METHOD}"}}, "") is Effect.WRITE


def test_the_connection_of_a_relative_endpoint_is_known_before_the_run() -> None:
    assert connection_of(WAIT, {"seconds": 1}) is None
    assert connection_of(WAIT, {"request": {"endpoint": "/a"}}) == "api"
    assert connection_of(WAIT, {"request": {"endpoint": "/a", "connection": "shop"}}) == "shop"
    assert connection_of(WAIT, {"request": {"endpoint": "https://x.test/a"}}) is None
    assert connection_of(WAIT, {"request": {"url": "https://x.test/a"}}) is None


class _Server(BaseHTTPRequestHandler):
    asked: list[str] = []
    on_request = staticmethod(lambda: None)

    def do_GET(self) -> None:
        type(self).asked.append(self.headers.get("authorization", ""))
        self.on_request()
        self.send_response(200 if len(self.asked) > 2 else 503)
        self.end_headers()
        self.wfile.write(b'{"n": %d}' % len(self.asked))

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[_Server]]]:
    handler = type("Handler", (_Server,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", handler
        running.shutdown()


def live(url: str, cancelled: threading.Event) -> Gate:
    connections = Connections({"api": HttpConnection(type="http", base_url=url)})
    secrets = FixtureSecrets({"TOKEN": "token-123456"})
    return gate(
        LiveWorld(connections=connections, secrets=secrets, files=Folder(Path()), cancelled=cancelled)
    )


def test_live_it_asks_the_real_server(server: tuple[str, type[_Server]]) -> None:
    url, handler = server
    world = live(url, threading.Event())
    request = {"endpoint": "/health", "auth_token": world.secret("TOKEN")}
    result = poll(world, "${response.body.n == 4}", request=request, every_seconds=0.1)
    assert result.value["attempts"] == 4
    assert handler.asked == ["Bearer token-123456"] * 4


def test_cancelling_ends_a_live_wait_at_once(server: tuple[str, type[_Server]]) -> None:
    """The pause would be an hour."""
    url, handler = server
    cancelled = threading.Event()
    handler.on_request = staticmethod(cancelled.set)
    error = failure(live(url, cancelled), every_seconds=3600, deadline_seconds=7200)
    assert error.type is ErrorType.CANCELLED
    assert len(handler.asked) == 1


def test_cancelling_ends_a_live_delay_at_once() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StepError) as caught:
        WAIT.run(WAIT.parse({"seconds": 3600}), live("http://127.0.0.1:9", cancelled))
    assert caught.value.type is ErrorType.CANCELLED
