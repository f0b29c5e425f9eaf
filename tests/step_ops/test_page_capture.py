"""Pages photographed live, and drawn again from what they were made of with their server gone."""

import base64
import gzip
import hashlib
import io
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from step_ops.cassette import Cassette, Fixture
from step_ops.drivers import page_capture
from step_ops.drivers.browser import photograph
from step_ops.drivers.find_browser import find_browser
from step_ops.drivers.page_answers import page_of
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageCapture, PageRequest, PageShot
from step_ops.files import Folder
from step_ops.har import from_har, to_har
from step_ops.playback import Playback
from step_ops.secrets import Secret
from tests.scripted import Asked, Says, Server

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no browser: apt-get install chromium-headless-shell"
)

HTML = {"Content-Type": "text/html; charset=utf-8"}
DONE = ({"wait_for": "body.done"},)
MORNING = datetime(2025, 11, 29, 9, 0, 20, tzinfo=UTC)

SCRIPT = """
const get = url => fetch(url).then(answer => answer.text());
const post = (url, body) => fetch(url, {method: 'POST', body}).then(answer => answer.text());
const loaded = new Promise(end => addEventListener('load', end));
const worked = new Promise(end => new Worker('/worker.js').onmessage = message => end(message.data));
Promise.all([get('/n'), post('/echo', 'first'), post('/echo', 'second'), worked, loaded]).then(async all => {
    const moved = await fetch('/moved');
    const gone = (await fetch('/gone')).status;
    const frame = document.querySelector('iframe').contentDocument.body.innerText;
    const place = [location.pathname, location.hash, document.cookie, moved.url.slice(-2)];
    all = [...all.slice(0, 4), await get('/n'), await moved.text(), gone, frame, ...place];
    document.querySelector('#out').textContent = all.join(' ');
    document.body.className = 'done';
});
"""
PAGE = """<!doctype html><meta charset=utf-8><link rel=stylesheet href=/style>
<div id=card><h1>Entities é</h1><img src=dot.png><img src=/missing.png width=9 height=9>
<pre id=out></pre><iframe src=/inner width=200 height=40></iframe></div><script src=/app.js></script>"""


def dot() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 20), (10, 120, 40)).save(data, "PNG")
    return data.getvalue()


def rich(server: Server) -> str:
    """Serves a page with all kinds of parts, behind two redirects that set a cookie."""
    to_frame = Says(text="", status=302, headers={"Location": "/parts/inner"})
    style = b"#card {width: 420px; background: url(dot.png)} h1 {color: #036}"
    server.answers = {
        "/": Says(text="", status=302, headers={"Location": "/enter", "Set-Cookie": "seen=1"}),
        "/enter": Says(text="", status=302, headers={"Location": "/parts/page?a=1#top"}),
        "/parts/page": Says(text=PAGE, headers=HTML),
        "/style": Says(text="", status=301, headers={"Location": "/parts/style.css"}),
        "/parts/style.css": Says(
            data=gzip.compress(style), headers={"Content-Type": "text/css", "Content-Encoding": "gzip"}
        ),
        "/app.js": Says(text=SCRIPT, headers={"Content-Type": "text/javascript"}),
        "/worker.js": Says(
            text="fetch('/n').then(a => a.text()).then(text => postMessage('worker ' + text.length))",
            headers={"Content-Type": "text/javascript"},
        ),
        "/parts/dot.png": Says(data=dot(), headers={"Content-Type": "image/png"}),
        "/inner": to_frame,
        "/parts/inner": Says(text="<body style='background: #fed'>inner", headers=HTML),
        "/n": [Says({"n": number}) for number in range(3)],
        "/moved": Says(text="", status=307, headers={"Location": "/n"}),
        "/echo": lambda asked: Says({"said": asked.body.decode()}),
    }
    return f"{server.url}/"


def draw(url: str, **options: Any) -> PageShot:
    """A photograph of `#card`, live or from a capture."""
    how = {key: options.pop(key) for key in ("accept", "capture", "keep") if key in options}
    return photograph(PageRequest(**{"url": url, "selector": "#card", "timeout": 10.0, **options}), **how)


def live(url: str, **options: Any) -> tuple[PageShot, PageCapture]:
    """A photograph and what its page was made of, which is all there."""
    shot = draw(url, keep=True, **options)
    assert shot.capture is not None
    assert shot.capture.missing == ""
    return shot, shot.capture


def shows(server: Server, script: str, **answers: Any) -> str:
    """Serves a page on which `show(text)` is the end of a script."""
    show = "const show = text => {card.textContent = text; document.body.className = 'done'};"
    page = f"<body><div id=card></div><script>{show}{script}</script>"
    server.answers = {"/": Says(text=page, headers=HTML)}
    server.answers |= {f"/{name}": said for name, said in answers.items()}
    return f"{server.url}/"


@cache
def shown(text: str) -> bytes:
    """The picture of a page that shows this."""
    page = f"<body class=done><div id=card>{text}</div>"
    capture = PageCapture(opened_at=MORNING, resources=(page_of(page.encode(), "http://demo.invalid/"),))
    return draw("http://demo.invalid/", capture=capture).png


@pytest.fixture
def unending() -> Iterator[str]:
    """A server that begins an answer, or opens a websocket, and says no more."""
    listening = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                held.append(listening.accept()[0])
            except OSError:
                return
            head = held[-1].recv(65536).decode()
            kind = "text/event-stream" if "text/event-stream" in head else "application/json"
            said = f"200 OK\r\nContent-Type: {kind}\r\nAccess-Control-Allow-Origin: *\r\n\r\ndata: 1\n\n"
            if "Sec-WebSocket-Key: " in head:
                key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
                guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                proof = base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()
                upgrade = "Upgrade: websocket\r\nConnection: Upgrade"
                said = f"101 Switching Protocols\r\n{upgrade}\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
            held[-1].sendall(f"HTTP/1.1 {said}".encode())

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    listening.shutdown(socket.SHUT_RDWR)
    for each in (listening, *held):
        each.close()


def test_a_page_with_all_kinds_of_parts_is_drawn_again_to_the_byte(server: Server) -> None:
    url = rich(server)
    first, capture = live(url, actions=DONE)
    server.stop()
    assert draw(url, capture=capture, actions=DONE).png == first.png
    got = {(each.method, each.url.removeprefix(server.url), each.status) for each in capture.resources}
    assert got >= {
        ("GET", "/", 302),
        ("GET", "/parts/page?a=1", 200),
        ("GET", "/parts/style.css", 200),
        ("GET", "/parts/dot.png", 200),
        ("GET", "/missing.png", 404),
        ("GET", "/parts/inner", 200),
        ("GET", "/worker.js", 200),
        ("POST", "/echo", 200),
    }
    assert [each.sent for each in capture.resources if each.method == "POST"] == ["first", "second"]
    assert {each.body for each in capture.resources if each.url.endswith("dot.png")} == {dot()}


def test_what_was_not_recorded_is_refused_and_told(server: Server) -> None:
    url = shows(server, "fetch('/data?key=1').then(a => a.text()).then(show)", data=Says(text="told"))
    _, capture = live(url, actions=DONE)
    less = replace(capture, resources=capture.resources[:1])
    server.asked.clear()
    with pytest.raises(StepError) as caught:
        draw(url, capture=less, actions=DONE, timeout=1.0)
    assert f"{server.url}/data is not recorded" in caught.value.hint
    assert server.asked == []


def test_what_failed_live_fails_again(server: Server) -> None:
    script = """const tried = url => fetch(url).then(a => a.text()).catch(() => 'failed');
        Promise.all([tried('http://127.0.0.1:9/'), tried('/cut')]).then(show)"""
    cut = Says(data=b"no such thing", headers={"Content-Encoding": "gzip"})
    url = shows(server, script, cut=cut)
    first, capture = live(url, actions=DONE)
    server.stop()
    assert first.png == shown("failed,failed")
    assert draw(url, capture=capture, actions=DONE).png == first.png


def test_a_clock_on_the_page_goes_on_from_when_it_was_opened(server: Server) -> None:
    script = """const began = Date.now(); const minute = new Date().toISOString().slice(0, 16);
        setTimeout(() => show(minute + (Date.now() - began >= 300 ? ' and on' : ' stands still')), 300)"""
    url = shows(server, script)
    before = datetime.now(UTC)
    _, capture = live(url, actions=DONE)
    assert before < capture.opened_at < datetime.now(UTC)
    server.stop()
    hour_ago = replace(capture, opened_at=MORNING)
    assert draw(url, capture=hour_ago, actions=DONE).png == shown("2025-11-29T09:00 and on")


def test_a_page_that_leads_on_at_once_is_kept_whole(server: Server) -> None:
    script = """const at = +location.search.slice(1); fetch('/next', {method: 'POST', body: at})
        .then(a => a.json()).then(a => a.next > 6 ? show('here') : location = '/?' + a.next)"""
    url = shows(server, script, next=lambda asked: Says({"next": int(asked.body) + 1}))
    first, capture = live(url, actions=DONE)
    server.stop()
    assert draw(url, capture=capture, actions=DONE).png == first.png == shown("here")


def test_a_form_that_leads_to_another_page_does_so_again(server: Server) -> None:
    form = "<div id=card><form method=post action=/login><input id=user name=user><button>go</button></form>"

    def login(asked: Asked) -> Says:
        return Says(text="", status=303, headers={"Location": "/home?" + asked.body.decode()})

    home = Says(text="<div id=card><p>home</p><script>card.append(location.search)</script>", headers=HTML)
    server.answers = {"/": Says(text=form, headers=HTML), "/login": login, "/home": home}
    fill = {"fill": {"selector": "#user", "value": Secret("USER", "ann-lee")}}
    actions = (fill, {"click": "button"}, {"wait_for": "p"})
    first, capture = live(f"{server.url}/", actions=actions)
    server.stop()
    assert draw(f"{server.url}/", capture=capture, actions=actions).png == first.png


@pytest.mark.parametrize("said", ["text/html; charset=iso-8859-1", "text/html"])
def test_a_page_in_an_old_encoding_reads_the_same(server: Server, said: str) -> None:
    page = "<meta charset=iso-8859-1><div id=card>é ü ñ</div>".encode("latin-1")
    server.answers = {"/": Says(data=page, headers={"Content-Type": said})}
    first, capture = live(f"{server.url}/")
    server.stop()
    assert draw(f"{server.url}/", capture=capture).png == first.png


def test_a_masked_secret_in_an_address_still_finds_its_answer(server: Server) -> None:
    url = shows(server, "fetch('/data?key=secret-1').then(a => a.text()).then(show)", data=Says(text="5"))
    first, capture = live(url, actions=DONE)
    server.stop()
    kept = from_har(to_har(capture).replace("key=secret-1'", "key=secret:KEY#0123456789'"))
    assert b"secret-1" not in kept.resources[0].body
    assert draw(url, capture=kept, actions=DONE).png == first.png


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("new WebSocket('ws://HOST/ws?key=1').onopen = () => show(1)", "the page opened a websocket, ws://HOST/ws"),
        (
            "new EventSource('http://HOST/stream?key=1').onmessage = () => show(1)",
            "the answer of http://HOST/stream was not read to its end",
        ),
        (
            "fetch('http://HOST/rows?key=1').then(a => a.body.getReader().read()).then(() => show(1))",
            "the answer of http://HOST/rows was not read to its end",
        ),
        ("fetch('/late?key=1'); setTimeout(() => show(1), 50)", "/late had not answered when the picture"),
        ("fetch('/large').then(a => a.text()).then(() => show(1))", "/large has more than 8 MiB"),
        ("fetch('/much').then(() => fetch('/more')).then(() => show(1))", "the page got more than 12 MiB"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_again_is_told_beside_the_picture(
    server: Server, unending: str, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr(page_capture, "MAX_BODIES", 12 * 1024 * 1024)
    mebibytes = {"large": 9, "much": 7, "more": 7}
    bodies = {name: Says(data=b"x" * (size * 1024 * 1024)) for name, size in mebibytes.items()}
    url = shows(server, script.replace("HOST", unending), late=Says(delay=5), **bodies)
    shot = draw(url, actions=DONE, accept=lambda first: True, keep=True)
    assert shot.png == shown("1")
    assert shot.capture is not None
    assert said.replace("HOST", unending) in shot.capture.missing
    assert "key" not in shot.capture.missing
    assert shot.capture.resources == ()


def test_an_answer_that_the_page_does_not_wait_for_is_not_missed(server: Server) -> None:
    url = shows(server, "navigator.sendBeacon('/seen', 'x'); show(1)", seen=Says(delay=5))
    live(url, actions=DONE, accept=lambda first: True)


def test_a_record_that_cannot_be_read_costs_no_picture(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def in_its_place(shot: PageShot) -> bool:
        (folder,) = tmp_path.glob("rb-page-*")
        (folder / "page.har").mkdir()
        return True

    shot = draw(shows(server, "show(1)"), actions=DONE, accept=in_its_place, keep=True)
    assert shot.png == shown("1")
    assert shot.capture is not None
    assert shot.capture.missing == "the browser gave no record of it"
    assert list(tmp_path.glob("rb-page-*")) == []


def test_nothing_is_left_on_the_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url = shows(server, "show(1)")
    live(url, actions=DONE)
    with pytest.raises(StepError):
        draw(url, selector="#none", timeout=0.5, keep=True)
    assert list(tmp_path.glob("rb-page-*")) == []


def test_a_picture_does_not_tell_how_long_a_secret_is() -> None:
    fields = """<input id=a style="text-shadow: 0 0 3px red"><input id=b style="field-sizing: content">
        <textarea id=c rows=1 style="field-sizing: content"></textarea>
        <div id=d contenteditable style="min-height: 20px; border: 1px solid"></div>"""
    page = page_of(f"<div id=card>{fields}</div>".encode(), "http://demo.invalid/")
    capture = PageCapture(opened_at=MORNING, resources=(page,))

    def typed(value: str) -> bytes:
        secret = Secret("PIN", value)
        actions = tuple({"fill": {"selector": f"#{field}", "value": secret}} for field in "abcd")
        return draw("http://demo.invalid/", capture=capture, actions=actions).png

    assert typed("short-one") == typed("a much longer secret than the other one " * 4)


def test_a_fixture_can_name_a_har(server: Server, tmp_path: Path) -> None:
    script = "show(document.cookie + new Date().toISOString())"
    url = shows(server, script)
    _, capture = live(url, actions=DONE)
    server.stop()
    (tmp_path / "page.har").write_text(to_har(capture))
    (tmp_path / "broken.har").write_text(json.dumps({"log": 1}))
    (tmp_path / "less.har").write_text(to_har(replace(capture, missing="it opened a websocket")))
    (tmp_path / "empty.har").write_text(to_har(replace(capture, resources=())))
    pages = ["page.har", "broken.har", "less.har", "empty.har"]
    steps = {"s": [{"page": page, "takes_seconds": 1} for page in pages]}
    fixture = Fixture.model_validate(
        {"format": 1, "runbook": "r", "clock": MORNING.isoformat(), "steps": steps}
    )
    world = Playback(Cassette(fixture, tmp_path / "f.json"), step="s", begins=0, files=Folder(tmp_path))
    request = PageRequest(url=url, selector="#card", actions=DONE, timeout=10)
    shot = world.page(request, lambda first: True)
    assert shot.png == shown("2025-11-29T09:00:21.000Z")
    assert shot.capture == replace(capture, opened_at=MORNING + timedelta(seconds=1))
    for type_, said in (
        (ErrorType.FILE, "the page 'broken.har' cannot be read: log: input should be an object"),
        (ErrorType.CASSETTE, "the page 'less.har' cannot be drawn: it opened a websocket"),
        (ErrorType.CASSETTE, "the page 'empty.har' cannot be drawn: nothing is recorded in it"),
    ):
        with pytest.raises(StepError) as caught:
            world.page(request, lambda first: True)
        assert (caught.value.type, caught.value.message) == (type_, said)
