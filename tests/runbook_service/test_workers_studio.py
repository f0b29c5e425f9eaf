"""One browser for the slots of a worker: there while pictures are wanted, and gone with the worker."""

import os
import signal
from collections.abc import Iterator

import pytest
from dagster import DagsterRunStatus

from step_ops.drivers.find_browser import find_browser
from tests.scripted import Says
from tests.working import TELLS, Host, Yard, children_of, command_of, family_of, is_gone, until

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no browser: apt-get install chromium-headless-shell"
)

SUCCESS = DagsterRunStatus.SUCCESS

PICTURED = (
    TELLS
    + """
  - id: seen
    type: ui_screenshot
    depends_on: [told]
    inputs:
      url: "{url}/page"
      selector: "#a"
      actions: [{{fill: {{selector: "#a", value: "${{word}}"}}}}]
"""
)


@pytest.fixture(scope="module")
def pictured(yard: Yard) -> Yard:
    yard.world.answers["/page"] = Says(text="<input id=a>", headers={"Content-Type": "text/html"})
    yard.runbook("pictured", text=PICTURED)
    return yard


@pytest.fixture
def host(pictured: Yard) -> Iterator[Host]:
    with pictured.worker(slots=2) as host:
        yield host
        assert "Traceback" not in host.errors()


def take(yard: Yard, times: int = 1) -> None:
    names = [yard.launch("pictured") for _ in range(times)]
    assert yard.wait(names, seconds=60) == [SUCCESS] * times, yard.reason(names[0])


def test_slots_share_one_and_it_ends_with_the_worker(pictured: Yard, host: Host) -> None:
    assert host.studios() == []  # nobody has wanted a picture
    take(pictured, 3)
    (studio,) = host.studios()
    assert not [pid for pid in host.slots() if children_of(pid)]
    below = family_of(studio)
    assert any("--remote-debugging-pipe" in command_of(pid) for pid in below)
    assert host.stop() == 0
    assert is_gone(studio)
    until(lambda: all(is_gone(pid) for pid in below))
    assert "another" not in host.errors()


def test_it_ends_with_a_worker_that_is_killed(pictured: Yard, host: Host) -> None:
    take(pictured)
    below = family_of(host.pid)
    os.kill(host.pid, signal.SIGKILL)
    until(lambda: all(is_gone(pid) for pid in below))


def test_it_lives_on_when_runbooks_are_loaded_again(pictured: Yard, host: Host) -> None:
    take(pictured)
    studios, template = host.studios(), host.template()
    os.kill(template, signal.SIGKILL)
    take(pictured)
    pictured.runbook("pictured", text=PICTURED.replace("Pictured", "Changed"))
    take(pictured, 2)
    assert host.studios() == studios
    assert host.template() != template


def test_another_takes_the_place_of_one_that_died(pictured: Yard, host: Host) -> None:
    take(pictured)
    (studio,) = host.studios()
    os.kill(studio, signal.SIGKILL)
    until(lambda: is_gone(studio))
    take(pictured)
    (another,) = host.studios()
    assert another != studio
    assert "the process that takes pictures ended" in host.errors()
