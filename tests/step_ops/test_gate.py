"""The gate: the same step, live and played back, and what is kept of what was said."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from step_ops.cassette import Cassette, Entry, Fixture
from step_ops.connections import Connections
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest
from step_ops.files import Folder
from step_ops.gate import Gate, World
from step_ops.live import LiveWorld
from step_ops.playback import Playback
from step_ops.recording import digest, record_exchange, record_read
from step_ops.redaction import Redactor
from step_ops.secrets import FixtureSecrets

KEY = b"k" * 32
SECRET = "fake-token-123456"


class _Shelf:
    def keep(self, name: str, data: bytes) -> str:
        return name

    def baseline(self, name: str) -> bytes | None:
        return None


class _Server(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = json.dumps({"got": json.loads(body), "auth": self.headers["authorization"]}).encode()
        if self.path == "/big":
            answer = json.dumps({"rows": ["x" * 100] * 100}).encode()
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def gate(world: World) -> Gate:
    return Gate(world, runbook="r", execution="e", redactor=Redactor(KEY), shelf=_Shelf())


def live(tmp_path: Path) -> Gate:
    world = LiveWorld(
        connections=Connections({}),
        secrets=FixtureSecrets({"TOKEN": SECRET}),
        files=Folder(tmp_path),
        cancelled=threading.Event(),
    )
    return gate(world)


def played(tmp_path: Path, steps: dict[str, Any], bodies: Callable[[str], bytes] | None = None) -> Gate:
    fixture = Fixture.model_validate(
        {"format": 1, "runbook": "r", "steps": steps, "secrets": {"TOKEN": SECRET}}
    )
    cassette = Cassette(fixture, tmp_path / "f.json", bodies)
    return gate(Playback(cassette, step="s", begins=30, files=Folder(tmp_path)))


def conversation(at: Gate, url: str) -> list[Any]:
    """What a step does at the gate, and what it hears."""
    token = at.secret("TOKEN")
    said: list[Any] = []
    for path in ("/one", "/missing", "/big"):
        request = HttpRequest(
            method="POST", url=url + path, headers={"Authorization": "Bearer " + token}, json={"n": 1}
        )
        response = at.http(request)
        said.append((response.status, response.json()))
    return said


def test_what_was_recorded_live_answers_a_playback_with_the_same(tmp_path: Path, server: str) -> None:
    """The third mode: a record is a cassette."""
    first = live(tmp_path)
    heard = conversation(first, server)
    stored: dict[str, bytes] = {}

    def keep(data: bytes) -> tuple[str, bool]:
        stored[digest(data)] = data
        return digest(data), False

    redactor = Redactor(KEY)
    redactor.register("TOKEN", SECRET)
    entries = [record_exchange(item, redactor=redactor, keep=keep) for item in first.exchanges]
    assert SECRET not in json.dumps(entries)
    assert len(stored) == 1
    for entry in entries:  # what only readers of the record use
        entry.pop("body_bytes", None)
        Entry.model_validate(entry)
    again = conversation(played(tmp_path, {"s": entries}, stored.__getitem__), server)
    pseudonym = redactor.pseudonym("TOKEN", SECRET)
    assert SECRET in json.dumps(heard)
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(heard).replace(SECRET, pseudonym))


def test_a_failed_exchange_is_kept_with_its_error(tmp_path: Path) -> None:
    at = live(tmp_path)
    with pytest.raises(StepError):
        at.http(HttpRequest(method="GET", url="http://127.0.0.1:1/"))
    (exchange,) = at.exchanges
    assert exchange.response is None
    assert exchange.error is not None
    assert exchange.error.type is ErrorType.CONNECTION
    stored = record_exchange(exchange, redactor=Redactor(KEY), keep=lambda data: ("", False))
    assert stored["error"].startswith("connection: ")


def test_playback_keeps_virtual_time_and_spends_none(tmp_path: Path) -> None:
    at = played(tmp_path, {"s": [{"status": 200, "takes_seconds": 48.5}]})
    began = at.now()
    at.http(HttpRequest(method="GET", url="http://x.test/"))
    at.sleep(1000)
    assert (at.now() - began).total_seconds() == 1048.5
    assert at.elapsed() == 1048.5
    assert at.exchanges[0].seconds == 48.5


def test_chance_and_ids_of_a_test_are_the_same_at_every_run(tmp_path: Path) -> None:
    one, other = played(tmp_path, {}), played(tmp_path, {})
    assert one.random() == other.random()
    assert one.new_id() == other.new_id()
    assert one.random() != one.random()
    assert [item.kind for item in other.reads] == ["random", "id"]


def test_every_read_that_may_differ_is_noted_and_secrets_only_as_pseudonyms(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("content")
    at = played(tmp_path, {})
    at.now()
    at.random()
    at.new_id()
    at.secret("TOKEN")
    at.file("a.txt")
    stored = [record_read(item, redactor=Redactor(KEY)) for item in at.reads]
    assert [item["kind"] for item in stored] == ["clock", "random", "id", "secret", "file"]
    assert SECRET not in json.dumps(stored)
    assert stored[3]["value"].startswith("secret:TOKEN#")
    assert stored[4]["value"] == digest(b"content")


def test_a_secret_too_short_to_be_masked_is_refused(tmp_path: Path) -> None:
    fixture = Fixture.model_validate({"format": 1, "runbook": "r", "secrets": {"PIN": "1234"}})
    world = Playback(Cassette(fixture, tmp_path / "f.json"), step="s", begins=0, files=Folder(tmp_path))
    with pytest.raises(StepError) as caught:
        gate(world).secret("PIN")
    assert caught.value.type is ErrorType.SECRET
    assert "1234" not in caught.value.message


@pytest.mark.parametrize(
    ("expect", "difference"),
    [
        ({"method": "PUT"}, "method is 'POST', expected 'PUT'"),
        ({"url": "http://x.test/b"}, "url is"),
        ({"body": {"n": 2}}, "body.n is 1, expected 2"),
        ({"body": {"n": 1, "m": 1}}, "body.m is missing"),
        ({"body": {}}, "body.n was not expected"),
        ({"body": [1]}, "body is"),
        ({"headers": {"x-one": "2"}}, "'x-one'"),
    ],
)
def test_an_expectation_that_is_not_met_names_the_first_difference(
    tmp_path: Path, expect: dict[str, Any], difference: str
) -> None:
    at = played(tmp_path, {"s": [{"status": 200, "expect": expect}]})
    request = HttpRequest(method="POST", url="http://x.test/a", headers={"X-One": "1"}, json={"n": 1})
    with pytest.raises(StepError) as caught:
        at.http(request)
    assert caught.value.type is ErrorType.CASSETTE
    assert difference in caught.value.message


@pytest.mark.parametrize(
    "name",
    ["../a", "/etc/passwd", "a/../../b", "", ".", "..", "a//b", "-rf", "a\n", "a.", "link", "folder",
     "a" * 200, "a/b/c/d/e/f", "x\u2024json", "%2e%2e/a"],
)  # fmt: skip
def test_no_name_leads_out_of_a_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    (tmp_path / "a").write_text("outside")
    (inside / "link").symlink_to(tmp_path / "a")
    with pytest.raises(StepError) as caught:
        Folder(inside).read(name)
    assert caught.value.type is ErrorType.FILE


def test_a_folder_gives_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "List-1.v2.html").write_text("yes")
    assert Folder(tmp_path).read("pages/List-1.v2.html") == b"yes"
