"""docs/deployment.md: that it says what was not run, and that what it says is so."""

import asyncio
import re
import shlex
from typing import Any

import pytest

from runbook_factory import database
from runbook_factory.opening import make_ready
from runbook_service.web.health import Latency, health_routes
from runbook_service.workers.slot import CONNECTIONS
from runbook_service.workers.worker import OTHERS, OWN_CONNECTIONS
from tests.deployment.parts import ROOT, parsed
from tests.docs.pages import code, page, rows
from tests.workshop import Workshop

PAGE = page("deployment.md")


def commands() -> list[str]:
    """Every call of `rb` that the page tells people to make, with its arguments."""
    cells = [cell for row in rows(PAGE.section("The parts"), "part") for cell in code(row[1])]
    lines = re.findall(r"^    .*(?:exec|service|--) (rb .*?)(?: \||$)", PAGE.text, re.MULTILINE)
    return cells + lines


def test_it_says_plainly_what_was_not_run() -> None:
    start = " ".join(PAGE.text.split("## The parts")[0].split())
    assert "no container runtime and no cluster" in start
    assert "The images were never built" in start
    assert "were never started" in start


def test_it_tells_of_every_part() -> None:
    assert len(commands()) >= 8
    assert {command.split()[1] for command in commands()} == {"db", "serve", "exec", "worker", "token"}


@pytest.mark.parametrize("command", commands())
def test_rb_understands_what_it_tells_people_to_type(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "rb"
    parsed(arguments)


def test_every_metric_it_tells_people_to_watch_is_there_and_the_other_way_round(workshop: Workshop) -> None:
    make_ready(workshop.project)
    routes = health_routes(database.engine(workshop.project), Latency())
    (metrics,) = [route for route in routes if route.path == "/metrics"]
    request: Any = None  # it looks at nothing of it
    answer = asyncio.run(metrics.endpoint(request)).body.decode()
    there = {
        name.removesuffix("_total") for name in re.findall(r"^# TYPE (runbook_\w+)", answer, re.MULTILINE)
    }
    told = re.findall(r"runbook_\w+", PAGE.section("What to watch"))
    named = {name.removesuffix("_bucket").removesuffix("_total") for name in told}
    assert named <= there
    assert there - named <= {"runbook_execution_seconds"}


def test_connections_are_counted_as_workers_count_them() -> None:
    section = PAGE.section("Connections of the database")
    assert f"{OWN_CONNECTIONS}, and {CONNECTIONS} for each slot" in section
    assert f"{OTHERS} left free" in section
    total = 2 * 33 + 33 + 2 * (OWN_CONNECTIONS + 8 * CONNECTIONS) + OTHERS
    assert f"= {total}," in section
    assert total <= 200
    assert "max_connections=200" in (ROOT / "compose.yaml").read_text(encoding="utf-8")
