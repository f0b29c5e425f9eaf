"""`python -m demo.loadtest`: the load test of a shipped runbook, on a service of its own, with real k6.

It starts the demo upstream, a Pushgateway and the service with its worker, runs k6, and holds what k6 has
counted against the rows in PostgreSQL.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType

from sqlalchemy import Engine, text

from demo.smoke import PAGE_PORT, ROOT
from demo.up import RB, Running, service
from demo.warehouse import as_url
from demo.world import MissingPart, pushgateway, surroundings, upstream
from runbook_factory.database import engine
from runbook_factory.project import Project, find_project

RUNBOOK = "rb-002-entity-triage"
SETTLE_SECONDS = 60.0  # for executions that k6 no longer waited for

_NOW = text("SELECT now()")
_EXECUTIONS = text(
    """
    SELECT e.status, count(*) AS executions, count(r.run_id) AS runs, min(coalesce(s.steps, 0)) AS fewest,
        max(s.steps) AS most, sum(s.steps) AS steps
    FROM runbook.runbook_executions e
    LEFT JOIN runs r ON r.run_id = e.id::text
    LEFT JOIN (
        SELECT execution_id, count(DISTINCT step_id) AS steps FROM runbook.runbook_step_logs
        WHERE started_at >= :since GROUP BY execution_id
    ) s ON s.execution_id = e.id
    WHERE e.runbook_id = :runbook AND e.mode = 'live' AND e.started_at >= :since
    GROUP BY e.status ORDER BY e.status
    """
)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The executions of one status: how many, their Dagster runs, and the fewest and most steps logged."""

    executions: int
    runs: int
    fewest: int
    most: int
    steps: int


def main() -> None:
    """Tests; exits with 1 when a threshold is crossed, or k6 and PostgreSQL do not agree."""
    parser = argparse.ArgumentParser(prog="python -m demo.loadtest", description=__doc__)
    parser.add_argument("--runbook", default=RUNBOOK, help=f"default {RUNBOOK}")
    parser.add_argument("--port", type=int, default=8080, help="of the service; default 8080")
    parser.add_argument("--demo-port", type=int, default=PAGE_PORT, help="of the demo; default 3000")
    parser.add_argument("--slots", type=int, help="of the service's worker; default that of `rb serve`")
    parser.add_argument("--stage", action="append", default=[], help="in place of the script's; repeat")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    project = find_project()
    was_running = (project.state / "pg" / "postmaster.pid").exists()
    try:
        good = _test(project, options)
    except MissingPart as missing:
        sys.exit(f"loadtest: {missing}")
    except KeyboardInterrupt:
        sys.exit("\nloadtest: stopped")
    finally:
        if not was_running:
            subprocess.run([RB, "db", "stop"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
    sys.exit(0 if good else 1)


def _test(project: Project, options: argparse.Namespace) -> bool:
    _rb({}, "loadtest", "generate", options.runbook)
    slots = [] if options.slots is None else ["--slots", str(options.slots)]
    # An execution has metrics of its own, and the Pushgateway would hold each against all others.
    with upstream(port=options.demo_port) as api, pushgateway(checks=False) as metrics:
        where = surroundings(api=api, metrics=metrics, warehouse=as_url(":memory:"))
        with service(options.port, {**os.environ, **where}, *slots) as running:
            log = engine(project)
            since = _now(log)
            reports = project.state_folder() / "loadtest"
            exit_code = _run(options, reports, running)
            counted = json.loads((reports / "report.json").read_text(encoding="utf-8"))["executions"]
            agree = _compare(counted, _stored(log, options.runbook, since))
            log.dispose()
    return agree and exit_code == 0


def _run(options: argparse.Namespace, reports: Path, running: Running) -> int:
    """The exit code of `rb loadtest run`, which has written its reports."""
    files = {"--json": "report.json", "--junit": "junit.xml", "--html": "report.html"}
    written = [word for option, name in files.items() for word in (option, _shown(reports / name))]
    stages = [word for stage in options.stage for word in ("--stage", stage)]
    arguments = ["loadtest", "run", options.runbook, "--server", running.url, *stages, *written]
    return _rb({"RB_TOKEN": running.token}, *arguments)


def _rb(environment: Mapping[str, str], *arguments: str) -> int:
    """Runs `rb` on this terminal; gives its exit code, and ends here when it could not do its work."""
    print(f"\n$ rb {' '.join(arguments)}", flush=True)
    # A session of its own: Ctrl-C reaches it once, from here, and it tells what it saw until then.
    with subprocess.Popen(  # noqa: S603 - our own program
        [RB, *arguments], cwd=ROOT, env={**os.environ, **environment}, start_new_session=True
    ) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    if code not in {0, 1}:
        sys.exit(f"loadtest: rb {' '.join(arguments[:2])} failed with exit code {code}")
    return code


def _now(log: Engine) -> datetime:
    with log.connect() as connection:
        moment: datetime = connection.execute(_NOW).scalar_one()
    return moment


def _stored(log: Engine, runbook: str, since: datetime) -> dict[str, Stored]:
    """What is in the database since then, once nothing runs any longer."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        with log.connect() as connection:
            rows = connection.execute(_EXECUTIONS, {"runbook": runbook, "since": since}).all()
        found = {
            row.status: Stored(
                executions=row.executions,
                runs=row.runs,
                fewest=row.fewest,
                most=row.most or 0,
                steps=int(row.steps or 0),
            )
            for row in rows
        }
        if "running" not in found or time.monotonic() > until:
            return found
        time.sleep(0.5)


def _compare(counted: Mapping[str, int], stored: Mapping[str, Stored]) -> bool:
    """Prints both side by side; gives whether all that k6 saw end is in the database as it saw it."""
    none = Stored(executions=0, runs=0, fewest=0, most=0, steps=0)
    print(
        f"\n{'executions':<12}{'k6':>8}{'PostgreSQL':>12}{'Dagster runs':>14}{'step logs':>11}{'of each':>9}"
    )
    for status in dict.fromkeys([*counted, *stored]):
        row = stored.get(status, none)
        each = f"{row.fewest}" if row.fewest == row.most else f"{row.fewest}-{row.most}"
        figures = f"{counted.get(status, 0):>8}{row.executions:>12}{row.runs:>14}{row.steps:>11}{each:>9}"
        print(f"{status:<12}{figures}")
    ended = ("success", "failure", "aborted")
    agree = all(counted.get(status, 0) == stored.get(status, none).executions for status in ended)
    print("k6 and PostgreSQL agree" if agree else "k6 and PostgreSQL do not agree", flush=True)
    return agree


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
