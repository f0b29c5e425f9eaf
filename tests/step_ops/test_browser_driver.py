"""Photographs by the real browser, of pages given as text and of pages on a loopback server."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from step_ops.cassette import Cassette, Fixture
from step_ops.drivers.addresses import METADATA
from step_ops.drivers.browser import photograph
from step_ops.drivers.find_browser import find_browser
from step_ops.drivers.page_network import OFF_LIMITS
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import Box, PageRequest, PageShot
from step_ops.files import Folder
from step_ops.gate import Gate
from step_ops.pixels import compare
from step_ops.playback import Playback
from step_ops.redaction import Redactor
from step_ops.secrets import Secret
from step_ops.types import ui_screenshot

needs_browser = pytest.mark.skipif(
    find_browser() is None, reason="no browser: apt-get install chromium-headless-shell"
)
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="looks for processes in /proc"
)

CARD = """<!doctype html><meta charset=utf-8><style>
body {margin: 0; font: 16px sans-serif} #card {width: 300px; padding: 10px}
#chip {width: 40px; height: 20px; background: %(colour)s} @keyframes turn {to {rotate: 360deg}}
#ring {width: 20px; height: 20px; border-top: 3px solid; animation: turn 1s infinite linear}
</style><div id=card><h1>Entities é</h1><div id=chip></div><div id=ring></div>
<input value=here autofocus>%(extra)s</div>"""


def card(colour: str = "teal", extra: str = "") -> bytes:
    return (CARD % {"colour": colour, "extra": extra}).encode()


def shot(document: bytes | str | None, selector: str = "#card", **options: Any) -> PageShot:
    """The first photograph of a page given as HTML, or with None of the page at `url`."""
    if isinstance(document, str):
        document = document.encode()
    outer = {key: options.pop(key) for key in ("accept", "now", "cancelled") if key in options}
    outer.setdefault("accept", lambda shot: True)
    options = {"url": "http://demo.invalid/list?page=1", "timeout": 10.0, **options}
    return photograph(PageRequest(selector=selector, **options), document=document, **outer)


def failure(*arguments: Any, **options: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        shot(*arguments, **options)
    assert caught.value.__cause__ is None
    return caught.value


class Shelf:
    """Keeps nothing; has one baseline, for any name."""

    def __init__(self, *, baseline: bytes) -> None:
        self._baseline = baseline

    def keep(self, name: str, data: bytes) -> str:
        return name

    def baseline(self, name: str) -> bytes | None:
        return self._baseline


def told(folder: Path, document: bytes, world: type[Playback] = Playback) -> Playback:
    """The world of a fixture that begins at 09:00 and has one page, asked for after half a minute."""
    (folder / "page.html").write_bytes(document)
    fixture = Fixture.model_validate(
        {
            "format": 1,
            "runbook": "r",
            "clock": "2025-11-29T10:00:00+01:00",
            "steps": {"s": [{"page": "page.html", "takes_seconds": 1}]},
        }
    )
    cassette = Cassette(fixture, folder / "fixture.json")
    return world(cassette, step="s", begins=30, files=Folder(folder))


def picture(taken: PageShot) -> Image.Image:
    return Image.open(io.BytesIO(taken.png)).convert("RGB")


class Site:
    """A web server on loopback that notes every connection and request."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.seen: list[str] = []
        self.connections = 0
        self.release = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.seen.append(self.path)
                if self.path == "/slow":
                    site.release.wait(20)
                status, headers, body = site.pages.get(self.path, (404, {}, b"nothing here"))
                self.send_response(status)
                for name, value in {"content-type": "text/html", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def get_request(self) -> tuple[socket.socket, Any]:
                site.connections += 1
                return super().get_request()

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def serve(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = (status, named, body)
        return self.url + path


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.release.set()
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A mark that every process started by this test carries in its environment."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("RB_TEST_MARK", value)
    return value


def marked(mark: str) -> list[int]:
    """The processes other than this one that carry the mark and are alive."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in environment and command and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def eventually(condition: Callable[[], bool]) -> bool:
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.05)
    return False


@needs_browser
class TestPictures:
    def test_the_same_page_twice_is_the_same_bytes(self) -> None:
        assert shot(card()).png == shot(card()).png

    def test_another_colour_is_one_place_of_that_size(self) -> None:
        found = compare(shot(card()).png, shot(card("orange")).png)
        assert found is not None
        assert found.changed == 40 * 20
        assert [(box.width, box.height) for box in found.boxes] == [(40, 20)]
        assert found.ratio == found.changed / found.total < 0.05

    def test_one_more_pixel_of_height_is_a_change_of_size(self) -> None:
        found = compare(shot(card()).png, shot(card(extra="<div style=height:1px>")).png)
        assert found is not None
        assert found.size_changed
        assert found.changed == 320

    def test_the_picture_is_the_element_alone_in_css_pixels(self) -> None:
        tile = "<div id=tile style='width:30px;height:17px;background:#123456;margin:900px 0'>"
        taken = picture(shot(tile, "#tile"))
        assert taken.size == (30, 17)
        assert taken.getcolors() == [(510, (0x12, 0x34, 0x56))]

    def test_the_fingerprint_says_what_drew_it(self) -> None:
        taken = shot("<p id=a>x", "#a", viewport=(640, 480))
        assert taken.fingerprint["browser"].startswith("Chromium 1")
        assert taken.fingerprint["viewport"] == "640x480"
        assert {"platform", "playwright"} < set(taken.fingerprint)

    def test_the_page_sees_a_fixed_environment(self) -> None:
        page = """<p id=a></p><script>
            const wants = q => matchMedia(q).matches;
            const seen = [innerWidth, innerHeight, devicePixelRatio, navigator.language,
                Intl.DateTimeFormat().resolvedOptions().timeZone,
                wants('(prefers-reduced-motion: reduce)'), wants('(prefers-color-scheme: light)'),
                new Date().toISOString()].join(' ');
            a.id = seen === '800x600 1'.replace('x', ' ') +
                ' en-US UTC true true 2025-11-29T09:00:00.000Z' ? 'right' : seen</script>"""
        moment = datetime(2025, 11, 29, 9, tzinfo=UTC)
        shot(page + "<style>p {height: 9px}", "#right", viewport=(800, 600), now=moment)

    def test_an_accepted_first_picture_ends_it_at_once(self) -> None:
        offered: list[PageShot] = []
        moving = "<p id=a></p><script>setInterval(() => a.append('x'), 1)</script>"
        taken = shot(moving + "<style>p {height: 9px}", "#a", accept=lambda shot: not offered.append(shot))
        assert offered == [taken]

    def test_a_page_that_settles_is_taken_when_it_has_settled(self) -> None:
        offered: list[PageShot] = []
        settling = """<p id=a style="width:9px;height:9px;background:red"></p><script>
            let n = 0; const timer = setInterval(() => {
                a.style.background = `rgb(0, ${++n}, 0)`; if (n == 30) clearInterval(timer)}, 20)
            </script>"""
        taken = shot(settling, "#a", accept=lambda shot: bool(offered.append(shot)))
        assert len(offered) == 1
        assert picture(taken).getcolors() == [(81, (0, 30, 0))]

    def test_it_works_in_a_thread(self) -> None:
        taken: list[PageShot] = []
        thread = threading.Thread(target=lambda: taken.append(shot(card())))
        thread.start()
        thread.join()
        assert len(taken) == 1


SPINNER = """<div id=card style="width:200px;height:100px"><b id=spin class=busy
    style="position:relative;left:50px;top:30px;display:block;width:20px;height:20px"></b></div>
    <script>let n = 0; (function turn() {n += 9;
    spin.style.background = `rgb(${n & 255} ${n >> 8} 200)`;
    requestAnimationFrame(turn)})()</script>"""


@needs_browser
class TestStability:
    def test_a_page_that_never_holds_still_says_where_it_moves(self) -> None:
        problem = failure(SPINNER, timeout=1.0, accept=lambda shot: False)
        assert problem.type is ErrorType.SCREENSHOT
        assert "20x20 px at 50,30 (b#spin.busy)" in problem.message
        assert problem.details == {"boxes": [[50, 30, 20, 20]]}

    def test_what_moves_may_be_masked_and_is_still_in_the_picture(self) -> None:
        taken = shot(SPINNER, mask=("#spin",), accept=lambda shot: False)
        assert taken.masked == (Box(x=50, y=30, width=20, height=20),)
        assert len(picture(taken).crop((50, 30, 70, 50)).getcolors() or ()) == 1
        assert picture(taken).getpixel((60, 40)) != (255, 255, 255)

    def test_a_first_picture_is_offered_with_its_masks(self) -> None:
        offered: list[PageShot] = []
        taken = shot(SPINNER, mask=("#spin",), accept=lambda shot: not offered.append(shot))
        assert offered == [taken]
        assert taken.masked == (Box(x=50, y=30, width=20, height=20),)

    def test_the_step_takes_a_first_picture_that_differs_from_its_baseline_only_under_a_mask(
        self, tmp_path: Path
    ) -> None:
        accepted: list[bool] = []

        class Overheard(Playback):
            def page(self, request: PageRequest, accept: Callable[[PageShot], bool]) -> PageShot:
                def noted(first: PageShot) -> bool:
                    accepted.append(accept(first))
                    return accepted[-1]

                return super().page(request, noted)

        world = told(tmp_path, card("teal"), Overheard)
        shelf = Shelf(baseline=shot(card("orange")).png)
        gate = Gate(world, runbook="r", execution="e", redactor=Redactor(b"k" * 32), shelf=shelf)
        inputs = {"url": "http://demo.invalid/", "selector": "#card", "mask": ["#chip"]}
        ui_screenshot.run(ui_screenshot.Config(**inputs), gate)
        assert accepted == [True]
        assert gate.pictures[0].verdict == "same"

    def test_a_masked_difference_is_no_difference(self) -> None:
        one, other = shot(card("teal"), mask=("#chip",)), shot(card("orange"), mask=("#chip",))
        assert compare(one.png, other.png) is not None
        assert one.masked == other.masked
        assert compare(one.png, other.png, masked=one.masked) is None

    def test_masks_are_cut_to_the_picture_and_may_match_many_or_none(self) -> None:
        page = """<i class=m style="position:absolute;left:90px;top:0;width:30px;height:999px"></i>
            <i class=m style="position:absolute;left:500px;top:5px;width:9px;height:9px"></i>
            <p id=a style="position:absolute;left:100px;top:50px;width:40px;height:8px;margin:0">"""
        assert shot(page, "#a", mask=(".m", ".none")).masked == (Box(x=0, y=0, width=20, height=8),)


@needs_browser
class TestActions:
    PAGE = """<style>p {height: 20px; background: red} .done p {background: lime}</style>
        <input id=name><input id=word type=password><button onclick="setTimeout(() => {
            if (document.querySelector('#name').value + word.value === 'Ann42')
                document.body.className = 'done'}, 50)">Go</button><p id=a></p>"""

    def test_they_are_done_in_order(self) -> None:
        taken = shot(
            self.PAGE,
            "#a",
            actions=(
                {"fill": {"selector": "#name", "value": "Ann"}},
                {"fill": {"selector": "#word", "value": 42}},
                {"click": "text=Go"},
                {"wait_for": ".done p"},
            ),
        )
        assert picture(taken).getpixel((5, 5)) == (0, 255, 0)

    @pytest.mark.parametrize(
        "field", ["<input id=a placeholder=x>", "<textarea id=a placeholder=x></textarea>"]
    )
    def test_a_secret_is_typed_and_not_to_be_read_in_the_picture(self, field: str) -> None:
        def typed(value: str | Secret) -> bytes:
            action = {"fill": {"selector": "#a", "value": value}}
            style = "<style>#a:placeholder-shown {background: red}</style>"
            return shot(style + field, "#a", actions=(action,)).png

        hidden = typed(Secret("PASSWORD", "hunter2"))
        assert hidden == typed(Secret("PASSWORD", "swordfish-and-more"))
        assert hidden != typed("")

    def test_a_secret_is_in_no_error(self) -> None:
        secret = Secret("PASSWORD", "hunter2")
        for field in ("<p id=a>no field", "<input id=a disabled>"):
            action = {"fill": {"selector": "#a", "value": secret}}
            problem = failure(field, "#a", actions=(action,), timeout=1.0)
            shown = [problem, problem.hint, problem.details, problem.__cause__]
            assert "hunter2" not in repr(shown)
            assert problem.__suppress_context__
            assert "'#a' could not be used to fill" in problem.message

    def test_waiting_in_vain_is_a_timeout_that_names_the_selector(self) -> None:
        problem = failure("<p id=a>x", "#a", actions=({"wait_for": "#late"},), timeout=1.0)
        assert problem.type is ErrorType.TIMEOUT
        assert "'#late' did not appear within 1 s: no element matches" in problem.message

    def test_a_click_that_cannot_land_is_a_timeout_that_names_the_selector(self) -> None:
        covered = "<button id=b>x</button><div style='position:fixed;inset:0;z-index:9'></div>"
        problem = failure(covered, "#b", actions=({"click": "#b"},), timeout=1.0)
        assert problem.type is ErrorType.TIMEOUT
        assert "'#b' could not be used to click" in problem.message

    def test_dialogs_are_dismissed(self) -> None:
        shot("<p id=a>x</p><script>alert(1); confirm(2) || (a.id = 'no')</script>", "#no")


@pytest.mark.parametrize(
    "action",
    [
        {"hover": "#a"},
        {},
        {"click": "#a", "fill": {}},
        {"click": 5},
        {"fill": {"selector": "#a"}},
        {"fill": {"selector": "#a", "value": ["x"]}},
        {"fill": {"selector": "#a", "value": "x", "delay": 3}},
    ],
)
def test_an_action_that_no_page_knows_is_refused_before_any_browser(
    action: dict[str, Any],
) -> None:
    problem = failure("", actions=({"click": "#b"}, action))
    assert problem.type is ErrorType.CONFIG
    assert problem.message.startswith("action 2 (")


@needs_browser
class TestSelectors:
    def test_none_found_says_so(self) -> None:
        problem = failure("<p>x", "#a", timeout=1.0)
        assert problem.type is ErrorType.SCREENSHOT
        assert "'#a' did not appear within 1 s: no element matches" in problem.message

    def test_one_that_is_hidden_says_so(self) -> None:
        problem = failure("<p id=a hidden>x", "#a", timeout=1.0)
        assert "1 there, but not to be seen" in problem.message

    def test_several_found_says_how_many(self) -> None:
        problem = failure("<p>x<p>y<p>z", "p")
        assert problem.type is ErrorType.SCREENSHOT
        assert "'p' matches 3 elements" in problem.message

    @pytest.mark.parametrize("selector", ["#a[", "xpath=//*[", "p:bogus"])
    def test_one_that_cannot_be_read_is_refused_before_the_page_is_opened(
        self, selector: str, site: Site
    ) -> None:
        problem = failure(None, "#a", url=site.serve("/", card()), mask=(selector,))
        assert problem.type is ErrorType.CONFIG
        assert repr(selector) in problem.message
        assert site.seen == []


@needs_browser
class TestClosedNetwork:
    def test_a_page_given_as_text_reaches_nothing(self, site: Site) -> None:
        stun = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stun.bind(("127.0.0.1", 0))
        stun.settimeout(0.2)
        here = site.url.removeprefix("http://")
        page = f"""<link rel=preconnect href="{site.url}"><link rel=stylesheet href="{site.url}/c">
            <link rel=dns-prefetch href="//localhost"><iframe src="{site.url}/frame"></iframe>
            <iframe src="file:///etc/hostname"></iframe><img src="{site.url}/image">
            <img id=inline style="display:block" src="data:image/svg+xml,
            <svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'></svg>"><script>
            const after = ms => new Promise(end => setTimeout(end, ms));
            const quiet = {{mode: 'no-cors'}};
            async function socket() {{
                const s = new WebSocket('ws://{here}/ws'); await new Promise(end => s.onerror = end)
            }}
            async function worker() {{
                const code = `fetch('{site.url}/worker', {{mode: 'no-cors'}})
                    .catch(() => 0).then(() => postMessage(1))`;
                const w = new Worker(URL.createObjectURL(new Blob([code])));
                await new Promise(end => w.onmessage = end)
            }}
            async function stun() {{
                const urls = 'stun:127.0.0.1:{stun.getsockname()[1]}';
                const c = new RTCPeerConnection({{iceServers: [{{urls}}]}});
                c.createDataChannel('x');
                await c.setLocalDescription(await c.createOffer());
                await after(300)
            }}
            navigator.sendBeacon('{site.url}/beacon');
            Promise.allSettled([fetch('{site.url}/fetch', quiet), fetch('/relative'), socket(),
                worker(), stun()]).then(async () => {{
                location.href = '{site.url}/elsewhere';
                await after(100);
                document.body.id = 'tried'
            }})</script>"""
        assert picture(shot(page, "#inline", actions=({"wait_for": "body#tried"},))).size == (7, 7)
        assert (site.seen, site.connections) == ([], 0)
        with stun, pytest.raises(TimeoutError):
            stun.recv(100)

    def test_the_same_page_live_reaches_the_server(self, site: Site) -> None:
        page = card(extra="<img src=/image><script>fetch('/fetch')</script>")
        shot(None, url=site.serve("/", page))
        assert set(site.seen) == {"/", "/image", "/fetch"}

    def test_what_was_refused_is_the_hint_when_something_is_missing(self) -> None:
        page = "<script src='http://cdn.invalid/app.js?key=1'></script>"
        problem = failure(page, "#app", timeout=1.0)
        assert "http://cdn.invalid/app.js is not recorded, and was refused" in problem.hint

    def test_the_page_of_a_fixture_shows_the_clock_of_the_fixture(self, tmp_path: Path) -> None:
        page = "<p id=a>x</p><script>a.id = new Date().toISOString().slice(0, 19)</script>"
        request = PageRequest(url="http://demo.invalid/", selector="[id='2025-11-29T09:00:31']", timeout=2.0)
        assert told(tmp_path, page.encode()).page(request, lambda shot: True).png

    def test_the_page_may_load_itself_again(self) -> None:
        shot("<p id=a>x</p><script>location.hash || (location.hash = 'b', location.reload())", "#a")


@needs_browser
class TestLivePages:
    def test_a_page_is_photographed_from_its_server(self, site: Site) -> None:
        assert shot(None, url=site.serve("/list?page=2", card())).png == shot(card()).png

    @pytest.mark.parametrize("status", [404, 500])
    def test_an_error_status_is_an_http_failure(self, status: int, site: Site) -> None:
        problem = failure(None, url=site.serve("/x?key=1", card(), status=status))
        assert problem.type is ErrorType.HTTP
        assert problem.details == {"status": status}
        assert "/x answered" in problem.message

    def test_a_server_that_is_not_there_is_a_connection_failure(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            problem = failure(None, url=f"http://127.0.0.1:{free.getsockname()[1]}/a?key=1")
        assert problem.type is ErrorType.CONNECTION
        assert "ERR_CONNECTION_REFUSED" in problem.message
        assert "key" not in problem.message

    def test_a_page_that_does_not_finish_loading_is_a_timeout(self, site: Site) -> None:
        problem = failure(None, url=f"{site.url}/slow", timeout=1.0)
        assert problem.type is ErrorType.TIMEOUT
        assert "/slow did not finish loading within 1 s" in problem.message

    def test_a_download_is_refused(self, site: Site) -> None:
        address = site.serve("/zip", b"x", content_disposition="attachment; filename=a.zip")
        problem = failure(None, url=address)
        assert problem.type is ErrorType.SCREENSHOT
        assert "is a download" in problem.message

    def test_a_redirect_to_a_metadata_address_is_not_followed(self, site: Site) -> None:
        address = site.serve("/", status=302, location="http://169.254.169.254/latest")
        assert "ERR_NAME_NOT_RESOLVED" in failure(None, url=address).message

    def test_a_cancelled_photograph_ends_and_closes_the_browser(self, site: Site, mark: str) -> None:
        cancelled = threading.Event()

        def cancel_when_asked() -> None:
            eventually(lambda: bool(site.seen))
            cancelled.set()

        threading.Thread(target=cancel_when_asked).start()
        problem = failure(None, url=f"{site.url}/slow", cancelled=cancelled, timeout=60.0)
        assert problem.type is ErrorType.CANCELLED
        assert eventually(lambda: not marked(mark))


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://a/b", "about:blank", "data:text/html,x", "list.html", "http://"],
)
def test_only_web_addresses_are_opened(url: str) -> None:
    assert failure(None, url=url).type is ErrorType.POLICY
    assert failure(b"", url=url).type is ErrorType.POLICY


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "metadata.google.internal",
    ],
)
def test_metadata_addresses_are_refused(host: str) -> None:
    problem = failure(None, url=f"http://{host}/latest")
    assert problem.type is ErrorType.POLICY
    assert "metadata" in problem.message


def test_every_metadata_network_is_closed_to_the_browser_itself() -> None:
    for network in METADATA:
        for address in (network[0], network[-1]):
            host = f"[{address}]" if address.version == 6 else str(address)
            patterns = (rule.replace("[", "[[]") for rule in OFF_LIMITS)
            assert any(fnmatch(host, pattern) for pattern in patterns), host


@needs_browser
@needs_proc
class TestProcesses:
    def test_none_is_left_behind_after_a_picture_or_a_failure(self, mark: str) -> None:
        during: list[int] = []
        shot("<p id=a>x", "#a", accept=lambda shot: bool(during.extend(marked(mark))) or True)
        assert during
        failure("<p>x", "#a", timeout=0.5)
        with pytest.raises(ZeroDivisionError):
            shot("<p id=a>x", "#a", accept=lambda shot: bool(1 / 0))
        assert eventually(lambda: not marked(mark))

    def test_a_browser_that_dies_is_a_screenshot_failure(self, mark: str) -> None:
        def kill(shot: PageShot) -> bool:
            for process in marked(mark):
                if b"--remote-debugging-pipe" in Path(f"/proc/{process}/cmdline").read_bytes():
                    os.kill(process, signal.SIGKILL)
            return False

        problem = failure("<p id=a>x", "#a", accept=kill)
        assert problem.type is ErrorType.SCREENSHOT
        assert "crashed" in problem.message
        assert eventually(lambda: not marked(mark))

    def test_ctrl_c_ends_it_and_leaves_none_behind(self, site: Site, mark: str) -> None:
        code = (
            "import sys; from step_ops.drivers.browser import photograph;"
            "from step_ops.exchanges import PageRequest;"
            "photograph(PageRequest(url=sys.argv[1], selector='p', timeout=60))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, f"{site.url}/slow"],
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert eventually(lambda: bool(site.seen))
        os.killpg(process.pid, signal.SIGINT)
        _, complaint = process.communicate(timeout=20)
        assert complaint.strip().endswith(b"KeyboardInterrupt")
        assert eventually(lambda: not marked(mark))


class TestFindingABrowser:
    @staticmethod
    def program(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\nexit 3\n")
        path.chmod(0o755)
        return path

    @pytest.fixture(autouse=True)
    def bare(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("RB_BROWSER", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "playwright"))

    def test_none_anywhere_is_a_failure_with_the_next_move(self) -> None:
        assert find_browser() is None
        problem = failure("<p id=a>x", "#a")
        assert problem.type is ErrorType.SCREENSHOT
        assert "apt-get install chromium-headless-shell" in problem.hint
        assert "playwright install chromium" in problem.hint

    def test_the_order_is_the_named_one_then_path_then_playwright(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        folder = tmp_path / "playwright"
        self.program(folder / "chromium-2000" / "chrome-linux64" / "chrome")
        assert find_browser() == folder / "chromium-2000" / "chrome-linux64" / "chrome"
        shell = "chrome-headless-shell-linux64/chrome-headless-shell"
        self.program(folder / "chromium_headless_shell-999" / shell)
        newest = self.program(folder / "chromium_headless_shell-1100" / shell)
        assert find_browser() == newest
        full = self.program(tmp_path / "bin" / "chromium")
        assert find_browser() == full
        light = self.program(tmp_path / "bin" / "chromium-headless-shell")
        assert find_browser() == light
        own = self.program(tmp_path / "own" / "browser")
        monkeypatch.setenv("RB_BROWSER", str(own))
        assert find_browser() == own

    def test_a_named_one_that_is_not_there_is_not_replaced_by_another(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        self.program(tmp_path / "bin" / "chromium")
        monkeypatch.setenv("RB_BROWSER", str(tmp_path / "nowhere"))
        problem = failure("<p id=a>x", "#a")
        assert "RB_BROWSER names" in problem.message

    def test_one_that_does_not_start_says_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        broken = self.program(tmp_path / "broken")
        monkeypatch.setenv("RB_BROWSER", str(broken))
        problem = failure("<p id=a>x", "#a")
        assert problem.type is ErrorType.SCREENSHOT
        assert f"{broken} did not start" in problem.message
