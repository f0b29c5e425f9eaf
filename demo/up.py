"""`python -m demo.up`: the service, and all that the shipped runbooks need, until Ctrl-C.

It stops what it started: the demo upstream, a Pushgateway, the service with its worker, the database.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from demo.app import DEFAULT_TOKEN
from demo.smoke import ENRICHMENT, PAGE_PORT, ROOT
from demo.warehouse import as_url, make
from demo.world import MissingPart, pushgateway, surroundings, upstream

RB = str(Path(sys.executable).with_name("rb"))
STOP_SECONDS = 30.0
_TOKEN = re.compile(r"rbt_[\w-]+")

_TRY = """
Sign in at {url} with the token, or try it from another terminal:

  export RB_TOKEN={token}
  ask() {{ curl -sS -H "Authorization: Bearer $RB_TOKEN" -H "Content-Type: application/json" "$@"; }}

  # Execute a runbook and wait for its end; its id is needed below.
  ask -d '{{"runbook_id": "{runbook}"}}' {url}/api/runbooks/execute | tee execution.json
  ID=$({python} -c 'import json; print(json.load(open("execution.json"))["id"])')

  # Its events, as they happen: here all at once, as it has ended. Then replay it, and get its picture.
  ask -N {url}/api/executions/$ID/events
  ask -d '{{}}' {url}/api/executions/$ID/replay
  ask {url}/api/executions/$ID/artifacts
  ask -o picture.png {url}/api/executions/$ID/artifacts/screenshot_ui/entity-list.png

Ctrl-C stops it all.
"""


@dataclass(frozen=True, kw_only=True)
class Running:
    """The service, and a token that may do everything."""

    process: subprocess.Popen[str]
    url: str
    token: str


def main() -> None:
    """Starts everything and says how to use it; exits with 1 when a part cannot be started."""
    parser = argparse.ArgumentParser(prog="python -m demo.up", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="of the service; default 8080")
    parser.add_argument("--demo-port", type=int, default=PAGE_PORT, help="of the demo; default 3000")
    parser.add_argument("--metrics-port", type=int, default=9091, help="of the Pushgateway; default 9091")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    was_running = (ROOT / ".runbook" / "pg" / "postmaster.pid").exists()
    try:
        with ExitStack() as parts:
            where = _surroundings(parts, options)
            running = parts.enter_context(service(options.port, {**os.environ, **where}))
            told = {"url": running.url, "token": running.token, "runbook": ENRICHMENT}
            print(_TRY.format(**told, python=sys.executable), flush=True)
            for line in running.process.stdout or ():
                print(line, end="", flush=True)
            sys.exit("up: the service ended")
    except MissingPart as missing:
        sys.exit(f"up: {missing}")
    except KeyboardInterrupt:
        print("\nup: stopped", flush=True)
    finally:
        if not was_running:
            subprocess.run([RB, "db", "stop"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # noqa: S603


def _surroundings(parts: ExitStack, options: argparse.Namespace) -> dict[str, str]:
    """Starts what runbooks need; gives the variables by which they find it."""
    api = parts.enter_context(upstream(port=options.demo_port))
    print(f"demo upstream on {api}", flush=True)
    metrics = None
    try:
        metrics = parts.enter_context(pushgateway(port=options.metrics_port))
        print(f"Pushgateway on {metrics}", flush=True)
    except MissingPart as missing:
        print(f"{missing}; {ENRICHMENT} will not run without", flush=True)
    folder = parts.enter_context(tempfile.TemporaryDirectory(prefix="up-"))
    warehouse = as_url(f"{folder}/warehouse.db")
    make(warehouse)
    witness = {"AUDIT_URL": f"{api}/audit", "AUDIT_TOKEN": DEFAULT_TOKEN}
    return {**surroundings(api=api, metrics=metrics, warehouse=warehouse), **witness}


@contextmanager
def service(port: int, environment: Mapping[str, str], *arguments: str) -> Iterator[Running]:
    """The running service; it prints a token at its first start only, later ones are given one for a day."""
    command = [RB, "serve", "--port", str(port), *arguments]
    with subprocess.Popen(  # noqa: S603 - our own program
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C goes to all of a terminal's foreground; told twice, it would not end its own processes.
        start_new_session=True,
    ) as process:
        try:
            token, url = "", ""
            for line in process.stdout or ():
                token = token or "".join(_TOKEN.findall(line))
                if "serving on" in line:
                    url = line.split()[-1]
                    break
            if not url:
                raise MissingPart("the service did not start")
            print(f"service on {url}", flush=True)
            yield Running(process=process, url=url, token=token or _another_token(environment))
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _another_token(environment: Mapping[str, str]) -> str:
    command = [RB, "token", "create", "make up", "--role", "admin", "--days", "1"]
    done = subprocess.run(  # noqa: S603 - our own program
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise MissingPart("there is no token to use the service with")
    return done.stdout.split()[-1]


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
