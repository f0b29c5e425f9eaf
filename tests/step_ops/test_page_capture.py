"""Pages photographed live, and drawn again from what they were made of with their server gone."""

import gzip
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from step_ops.cassette import Cassette, Fixture
from step_ops.drivers.browser import photograph
from step_ops.drivers.find_browser import find_browser
from step_ops.exchanges import PageCapture, PageRequest, PageShot
from step_ops.files import Folder
from step_ops.har import to_har
from step_ops.playback import Playback
from step_ops.secrets import Secret
from tests.scripted import Says, Server

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no browser: apt-get install chromium-headless-shell"
)

HTML = {"Content-Type": "text/html; charset=utf-8"}
SCRIPT = """
const get = url => fetch(url).then(answer => answer.json());
const post = (url, body) => fetch(url, {method: 'POST', body}).then(answer => answer.json());
Promise.all([get('/n'), post('/echo', 'first'), post('/echo', 'second')]).then(async all => {
    const again = await get('/n');
    const gone = await fetch('/gone').then(answer => answer.status);
    document.querySelector('#out').textContent = JSON.stringify([...all, again, gone]);
    document.body.className = 'done';
});
"""
PAGE = """<!doctype html><meta charset=utf-8><link rel=stylesheet href=/style.css>
<div id=card><h1>Entities é</h1><img src=/dot.png><img src=/missing.png width=9 height=9>
<pre id=out></pre><iframe src=/inner width=200 height=40></iframe></div><script src=/app.js></script>"""


def dot() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 20), (10, 120, 40)).save(data, "PNG")
    return data.getvalue()


def live(url: str, **options: Any) -> PageShot:
    """A photograph of `#card` with what its page was made of."""
    options.setdefault("actions", ({"wait_for": "body.done"},))
    return photograph(PageRequest(url=url, selector="#card", timeout=10, **options), keep=True)


def again(url: str, capture: PageCapture | None, **options: Any) -> PageShot:
    """The same from the capture alone."""
    options.setdefault("actions", ({"wait_for": "body.done"},))
    return photograph(PageRequest(url=url, selector="#card", timeout=10, **options), capture=capture)


def rich(server: Server) -> str:
    """Serves a page with all kinds of parts behind a redirect."""
    server.answers = {
        "/": Says(status=302, text="", headers={"Location": "/page?a=1"}),
        "/page": Says(text=PAGE, headers=HTML),
        "/style.css": Says(
            data=gzip.compress(b"#card {width: 420px; background: #eef} h1 {color: #036}"),
            headers={"Content-Type": "text/css", "Content-Encoding": "gzip"},
        ),
        "/app.js": Says(text=SCRIPT, headers={"Content-Type": "text/javascript"}),
        "/dot.png": Says(data=dot(), headers={"Content-Type": "image/png"}),
        "/inner": Says(text="<body style='background: #fed'>inner", headers=HTML),
        "/n": [Says({"n": 1}), Says({"n": 2})],
        "/echo": lambda asked: Says({"said": asked.body.decode()}),
    }
    return f"{server.url}/"


def test_a_page_with_all_kinds_of_parts_is_drawn_again_to_the_byte(server: Server) -> None:
    url = rich(server)
    first = live(url)
    assert first.capture is not None
    assert first.capture.missing == ""
    server.stop()
    assert again(url, first.capture).png == first.png
    got = {(each.method, each.status) for each in first.capture.resources}
    assert {("GET", 302), ("GET", 200), ("GET", 404), ("POST", 200)} <= got


def test_what_was_not_recorded_is_refused(server: Server) -> None:
    url = rich(server)
    first = live(url)
    server.stop()
    assert first.capture is not None
    without = [each for each in first.capture.resources if not each.url.endswith("/style.css")]
    changed = PageCapture(opened_at=first.capture.opened_at, resources=tuple(without))
    assert again(url, changed).png != first.png


def test_a_clock_on_the_page_is_that_of_the_visit(server: Server) -> None:
    page = "<div id=card></div><script>card.textContent = new Date().toISOString().slice(0, 16)</script>"
    server.answers = {"/": Says(text=page, headers=HTML)}
    first = live(f"{server.url}/", actions=())
    server.stop()
    assert first.capture is not None
    then = PageCapture(
        opened_at=first.capture.opened_at - timedelta(hours=5), resources=first.capture.resources
    )
    assert again(f"{server.url}/", then, actions=()).png != first.png
    assert again(f"{server.url}/", first.capture, actions=()).png == first.png


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("new WebSocket(location.href.replace('http', 'ws'))", "opened a websocket, ws://127.0.0.1"),
        ("fetch('/large')", "has more than 8 MiB"),
        ("new EventSource('/stream')", "does not end"),
    ],
)
def test_what_cannot_be_drawn_again_is_told(server: Server, script: str, said: str) -> None:
    server.answers = {
        "/": Says(text=f"<div id=card>text</div><script>{script}</script>", headers=HTML),
        "/large": Says(data=b"x" * (9 * 1024 * 1024)),
        "/stream": Says(text="data: 1\n\n", headers={"Content-Type": "text/event-stream"}),
    }
    shot = photograph(
        PageRequest(url=f"{server.url}/", selector="#card", timeout=10),
        accept=lambda first: False,
        keep=True,
    )
    assert shot.capture is not None
    assert said in shot.capture.missing
    assert shot.capture.resources == ()


def test_a_picture_does_not_tell_how_long_a_secret_is(server: Server) -> None:
    server.answers = {"/": Says(text="<div id=card><input id=pin size=40></div>", headers=HTML)}
    pictures = [
        live(f"{server.url}/", actions=({"fill": {"selector": "#pin", "value": Secret("PIN", value)}},)).png
        for value in ("short-one", "a-much-longer-secret-than-the-other")
    ]
    assert pictures[0] == pictures[1]


def test_a_masked_secret_in_an_address_still_finds_its_answer(server: Server) -> None:
    server.answers = {
        "/": Says(text="<div id=card></div><script>fetch('/data?key=secret-value-1').then(r => r.json())"
                       ".then(d => {card.textContent = d.n; document.body.className = 'done'})</script>",
                  headers=HTML),
        "/data": Says({"n": 5}),
    }  # fmt: skip
    first = live(f"{server.url}/")
    server.stop()
    assert first.capture is not None
    text = to_har(first.capture).replace("secret-value-1", "secret:KEY#0123456789")
    from step_ops.har import from_har

    assert again(f"{server.url}/", from_har(text)).png == first.png


def test_a_fixture_can_name_a_har(server: Server, tmp_path: Path) -> None:
    url = rich(server)
    first = live(url)
    server.stop()
    assert first.capture is not None
    (tmp_path / "page.har").write_text(to_har(first.capture))
    fixture = Fixture.model_validate(
        {"format": 1, "runbook": "r", "steps": {"s": [{"page": "page.har"}, {"page": "broken.har"}]}}
    )
    (tmp_path / "broken.har").write_text(json.dumps({"log": 1}))
    world = Playback(Cassette(fixture, tmp_path / "f.json"), step="s", begins=0, files=Folder(tmp_path))
    request = PageRequest(url=url, selector="#card", actions=({"wait_for": "body.done"},), timeout=10)
    assert world.page(request, lambda shot: True).png == first.png
    with pytest.raises(Exception, match=r"'broken.har' cannot be read: it has no log.entries"):
        world.page(request, lambda shot: True)
