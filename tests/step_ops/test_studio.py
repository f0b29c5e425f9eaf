"""Pictures by one browser that processes share: each as if it had a browser of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from step_ops.drivers import studio_door
from step_ops.drivers.browser import photograph
from step_ops.drivers.studio_door import photograph_live, use_door
from step_ops.drivers.studio_words import LENGTH, Said, packed, unpacked
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageRequest, PageShot
from step_ops.secrets import Secret
from tests.step_ops.test_browser_driver import (
    Site,
    card,
    eventually,
    mark,
    marked,
    needs_browser,
    needs_proc,
    site,
)
from tests.working import children_of

__all__ = ["mark", "site"]  # fixtures

_STUDIO = """
import asyncio, socket, sys
from step_ops.drivers.studio import Studio
studio = Studio(idle_seconds=float(sys.argv[2]), at_once=int(sys.argv[3]), pictures=int(sys.argv[4]))
asyncio.run(studio.work(socket.socket(fileno=int(sys.argv[1]))))
"""


@dataclass
class House:
    """A door, and the studios behind it."""

    outside: socket.socket
    inside: socket.socket
    said: Path
    studios: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def open(
        self, *, idle_seconds: float = 600.0, at_once: int = 2, pictures: int = 500
    ) -> "subprocess.Popen[bytes]":
        limits = [str(idle_seconds), str(at_once), str(pictures)]
        with self.said.open("ab") as said:
            studio = subprocess.Popen(
                [sys.executable, "-c", _STUDIO, str(self.inside.fileno()), *limits],
                pass_fds=[self.inside.fileno()],
                stderr=said,
            )
        self.studios.append(studio)
        return studio


@pytest.fixture
def house(tmp_path: Path, mark: str) -> Iterator[House]:
    """One without a studio yet, where this process has its pictures taken."""
    outside, inside = socket.socketpair()
    house = House(outside, inside, tmp_path / "said")
    outside.setblocking(False)
    use_door(outside)
    try:
        yield house
    finally:
        use_door(None)
        outside.close()
        inside.close()
        for studio in house.studios:
            studio.kill()
            studio.wait()
        assert eventually(lambda: not marked(mark))


def live(
    url: str,
    selector: str = "#card",
    *,
    accept: Callable[[PageShot], bool] = lambda shot: True,
    cancelled: threading.Event | None = None,
    **options: Any,
) -> PageShot:
    request = PageRequest(url=url, selector=selector, **{"timeout": 20.0, **options})
    return photograph_live(request, accept=accept, cancelled=cancelled or threading.Event())


def failure(*arguments: Any, **options: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        live(*arguments, **options)
    assert caught.value.__cause__ is None
    return caught.value


def below(pid: int, word: str) -> list[int]:
    """The processes below it with the word in their command line."""
    found = []
    for child in children_of(pid):
        with suppress(OSError):
            if word.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        found += below(child, word)
    return found


def browser_of(studio: "subprocess.Popen[bytes]") -> list[int]:
    """The browser's first process, and the script that may have started it."""
    return below(studio.pid, "--remote-debugging-pipe")


class TestWords:
    def test_a_secret_is_one_again_on_the_other_side(self) -> None:
        action = {"fill": {"selector": "#a", "value": Secret("PASSWORD", "hunter2")}}
        request = PageRequest(url=Secret("ADDRESS", "http://a/") + "b", selector="#a", actions=(action,))  # type: ignore[arg-type]
        heard = unpacked(packed(request)[LENGTH.size :])
        assert repr(heard) == repr(request)
        assert heard.actions[0]["fill"]["value"].reveal() == "hunter2"

    def test_a_failure_is_whole(self) -> None:
        error = StepError(ErrorType.HTTP, "no", hint="try", details={"status": 404}, retry_after=2.0)
        said, heard = unpacked(packed((Said.FAILED, error))[LENGTH.size :])
        assert said is Said.FAILED
        assert vars(heard) == vars(error)
        assert str(heard) == "no"


@needs_browser
@needs_proc
class TestPictures:
    def test_they_are_as_those_of_a_browser_of_ones_own(self, house: House, site: Site) -> None:
        address = site.serve("/", card(extra="<script>fetch('/more')</script><p id=late>x</p>"))
        site.serve("/more", b"{}")
        alone = photograph(PageRequest(url=address, selector="#card", mask=("#chip",)), keep=True)
        house.open()
        for accepted in (True, False):
            shot = live(address, mask=("#chip",), accept=lambda shot, so=accepted: so)  # type: ignore[misc]
            assert (shot.png, shot.masked, shot.fingerprint) == (alone.png, alone.masked, alone.fingerprint)
            assert shot.capture is not None and alone.capture is not None
            assert shot.capture.missing == ""
            assert {each.url for each in shot.capture.resources} == {
                each.url for each in alone.capture.resources
            }

    def test_many_are_of_one_browser(self, house: House, site: Site) -> None:
        address, studio = site.serve("/", card()), house.open()
        assert len({tuple(browser_of(studio)) for _ in range(3) if live(address)}) == 1

    def test_a_page_sees_nothing_of_those_before_it(self, house: House, site: Site) -> None:
        page = """<p id=a>x</p><script>
            const seen = [document.cookie, localStorage.a, sessionStorage.a].filter(Boolean);
            document.cookie = 'a=1; max-age=999'; localStorage.a = sessionStorage.a = 1;
            const many = new SharedWorker('/worker', 'many');
            many.port.onmessage = async event => {
                if (event.data > 1) seen.push('worker');
                if ((await caches.keys()).length) seen.push('cache');
                await caches.open('a');
                if ((await indexedDB.databases()).length) seen.push('database');
                indexedDB.open('a').onsuccess = () => { document.body.id = seen.join() || 'nothing' };
            }</script><img src=/image>"""
        site.serve(
            "/worker",
            b"let n = 0; onconnect = e => e.ports[0].postMessage(++n)",
            content_type="text/javascript",
        )
        site.serve("/image", b"x", cache_control="max-age=999")
        address = site.serve("/", page.encode())
        house.open()
        for _ in range(2):
            live(address, "#a", actions=({"wait_for": "body#nothing"},))
        assert site.seen.count("/image") == 2

    def test_neither_do_two_at_once(self, house: House, site: Site) -> None:
        page = b"<p id=a>x</p><script>document.cookie = a.id = document.cookie ? 'seen' : 'a'</script>"
        address, meeting = site.serve("/", page), threading.Barrier(2, timeout=30)
        house.open(at_once=2)

        def meet(shot: PageShot) -> bool:
            meeting.wait()
            return True

        with ThreadPoolExecutor() as threads:
            for taken in [threads.submit(live, address, "#a", accept=meet) for _ in range(2)]:
                assert taken.result().png

    @pytest.mark.parametrize("answer", [True, False])
    def test_it_is_the_process_that_accepts(self, house: House, site: Site, answer: bool) -> None:
        seen: list[PageShot] = []
        house.open()
        live(site.serve("/", card()), accept=lambda shot: bool(seen.append(shot)) or answer)
        assert [shot.png[:4] for shot in seen] == [b"\x89PNG"]

    def test_what_fails_in_the_process_ends_the_picture(self, house: House, site: Site) -> None:
        address = site.serve("/", card())
        house.open(at_once=1)
        with pytest.raises(ZeroDivisionError):
            live(address, accept=lambda shot: bool(1 / 0))
        assert live(address).png

    def test_a_secret_is_typed_and_neither_seen_nor_said(self, house: House, site: Site) -> None:
        house.open()
        address = site.serve("/", b"<input id=a><input id=off disabled>")

        def typed(value: str, field: str = "#a") -> dict[str, Any]:
            return {"fill": {"selector": field, "value": Secret("PASSWORD", value)}}

        hidden = live(address, "#a", actions=(typed("hunter2"),)).png
        assert hidden == live(address, "#a", actions=(typed("swordfish-and-more"),)).png
        assert hidden != live(address, "#a").png
        problem = failure(address, "#a", actions=(typed("hunter2", "#off"),), timeout=0.5)
        assert "'#off' could not be used to fill" in problem.message
        assert "hunter2" not in repr([problem, problem.hint, problem.details])
        assert house.said.read_text() == ""


@needs_browser
@needs_proc
class TestFailures:
    def test_they_are_told_as_by_a_browser_of_ones_own(self, house: House, site: Site) -> None:
        house.open()
        gone = failure(site.serve("/x", b"", status=404))
        assert (gone.type, gone.details) == (ErrorType.HTTP, {"status": 404})
        assert failure("http://169.254.169.254/latest").type is ErrorType.POLICY
        assert failure(site.serve("/", card()), actions=({"hover": "#a"},)).type is ErrorType.CONFIG
        assert failure(site.url + "/", "#nowhere", timeout=0.5).type is ErrorType.SCREENSHOT
        site.serve("/to", status=302, location="http://169.254.169.254/latest")
        assert "ERR_NAME_NOT_RESOLVED" in failure(site.url + "/to").message

    def test_a_page_that_crashes_leaves_the_browser_to_others(self, house: House, site: Site) -> None:
        address, studio = site.serve("/", card()), house.open()

        def kill(shot: PageShot) -> bool:
            for pid in below(studio.pid, "--type=renderer"):
                os.kill(pid, signal.SIGKILL)
            return False

        problem = failure(address, accept=kill)
        assert (problem.type, "crashed" in problem.message) == (ErrorType.SCREENSHOT, True)
        assert live(address).png
        assert studio.poll() is None

    @pytest.mark.parametrize("victim", ["browser", "driver", "studio"])
    def test_a_browser_driver_or_studio_that_dies_fails_its_pictures_and_the_next_has_another(
        self, house: House, site: Site, victim: str
    ) -> None:
        address, studio = site.serve("/", card()), house.open()

        def kill(shot: PageShot) -> bool:
            victims = {
                "browser": browser_of(studio),
                "driver": children_of(studio.pid),
                "studio": [studio.pid],
            }
            for pid in victims[victim]:
                os.kill(pid, signal.SIGKILL)
            return False

        problem = failure(address, accept=kill)
        assert (problem.type, "crashed" in problem.message) == (ErrorType.SCREENSHOT, True)
        studio.wait(timeout=20)
        house.open()
        assert live(address).png
        assert site.seen.count("/") == 2

    def test_a_page_that_computes_for_ever_does_not_hold_up_the_next(self, house: House, site: Site) -> None:
        busy = site.serve("/busy", b"<p id=card>x</p><script>setTimeout(() => { while (1); }, 50)</script>")
        address = site.serve("/", card())
        house.open()
        assert failure(busy, actions=({"wait_for": "#never"},), timeout=1.0).type is ErrorType.TIMEOUT
        house.open()  # if need be: the first ends when it cannot close what computes
        assert live(address).png

    def test_a_cancelled_picture_is_given_up(self, house: House, site: Site) -> None:
        cancelled, studio = threading.Event(), house.open()
        with ThreadPoolExecutor() as threads:
            taken = threads.submit(failure, f"{site.url}/slow", timeout=60.0, cancelled=cancelled)
            assert eventually(lambda: "/slow" in site.seen)
            before = below(studio.pid, "--type=renderer")
            cancelled.set()
            assert taken.result().type is ErrorType.CANCELLED
        assert before
        assert eventually(lambda: not set(before) & set(below(studio.pid, "--type=renderer")))
        assert studio.poll() is None

    def test_who_waits_in_line_can_leave_it(self, house: House, site: Site) -> None:
        address, cancelled = site.serve("/", card()), threading.Event()
        second: list[Future[StepError]] = []
        house.open(at_once=1)

        def hold(shot: PageShot) -> bool:
            second.append(threads.submit(failure, f"{site.url}/second", cancelled=cancelled))
            cancelled.set()
            assert second[0].result(timeout=20).type is ErrorType.CANCELLED
            return True

        with ThreadPoolExecutor() as threads:
            assert live(address, accept=hold).png
        assert "/second" not in site.seen


@needs_browser
@needs_proc
class TestLife:
    def test_it_ends_when_nobody_wants_a_picture_and_the_next_has_another(
        self, house: House, site: Site, mark: str
    ) -> None:
        address, studio = site.serve("/", card()), house.open(idle_seconds=0.2)
        live(address)
        assert studio.wait(timeout=20) == 0
        assert eventually(lambda: not marked(mark))
        with ThreadPoolExecutor() as threads:
            taken = threads.submit(live, address)  # waits at the door
            house.open()
            assert taken.result().png
        assert house.said.read_text() == ""

    def test_it_ends_after_so_many_pictures_once_all_are_taken(self, house: House, site: Site) -> None:
        address, meeting = site.serve("/", card()), threading.Barrier(2, timeout=30)
        studio = house.open(at_once=2, pictures=1)

        def meet(shot: PageShot) -> bool:
            meeting.wait()
            return True

        with ThreadPoolExecutor() as threads:
            for taken in [threads.submit(live, address, accept=meet) for _ in range(2)]:
                assert taken.result().png
        assert studio.wait(timeout=20) == 0

    def test_without_a_studio_the_process_takes_it_by_itself(
        self, house: House, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address = site.serve("/", card())
        monkeypatch.setattr(studio_door, "HEARD_SECONDS", 0.1)
        assert live(address).png  # nobody opens
        house.inside.close()
        assert live(address).png  # nobody ever will
        use_door(None)
        assert live(address).png

    def test_a_browser_that_does_not_start_is_told(
        self, house: House, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RB_BROWSER", "/nowhere")
        studio = house.open()
        problem = failure(site.serve("/", card()))
        assert (problem.type, "RB_BROWSER names" in problem.message) == (ErrorType.SCREENSHOT, True)
        assert studio.wait(timeout=20) == 0
