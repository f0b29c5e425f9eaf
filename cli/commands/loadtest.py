"""`rb loadtest`: k6 scripts made of runbooks, and k6 itself."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from cli.errors import Exit, Stop
from cli.loading import load, load_cases
from cli.reporters.style import paint, tick

if TYPE_CHECKING:
    from cli.reporters.loadtest import LoadTest
    from runbook_defs.execution import ExecutionRecord
    from runbook_factory.catalog import LoadedRunbook
    from runbook_factory.loadtest.k6 import Load
    from runbook_factory.loadtest.options import ScriptOptions

app = typer.Typer(help="Load tests: k6 scripts made of runbooks, and k6 itself.")


@app.command("generate")
def generate(
    runbook_id: str = typer.Argument(
        None, metavar="[ID]", help="The runbook's id; with --check, all without."
    ),
    api: str = typer.Option("rest", "--api", metavar="API", help="Which API is asked: rest or graphql."),
    stage: list[str] = typer.Option(
        [], "--stage", metavar="DURATION:USERS", help="A stage, such as 30s:10; repeat for more."
    ),
    fixture: str = typer.Option(
        "", "--fixture", metavar="FILE", help="Inputs of a fixture of its acceptance pack."
    ),
    scenario: str = typer.Option("", "--scenario", metavar="NAME", help="Inputs of a scenario of these."),
    from_executions: int = typer.Option(
        0, "--from-executions", metavar="N", min=0, max=1000, help="Inputs of the last N that succeeded."
    ),
    allow_writes: bool = typer.Option(
        False, "--allow-writes", help="Also when the runbook changes the world."
    ),
    check: bool = typer.Option(
        False, "--check", help="Write nothing: exit 1 when the script is not what would be generated."
    ),
    to_stdout: bool = typer.Option(
        False, "--stdout", help="Print it, in place of writing loadtests/<id>.js."
    ),
) -> None:
    """Generate the k6 script of a runbook."""
    from runbook_factory.loadtest.options import Api, ScriptOptions, parse_stage
    from runbook_factory.loadtest.shelf import script_file, write_script

    if api not in list(Api):
        raise Stop(f"--api {api} is none of {', '.join(Api)}")
    options = ScriptOptions(
        api=Api(api),
        stages=tuple(parse_stage(text) for text in stage),
        fixture=fixture,
        scenario=scenario,
        from_executions=from_executions,
        allow_writes=allow_writes,
    )
    if check:
        if options != ScriptOptions() or to_stdout:
            raise Stop(
                "--check takes the options that the script says it was generated with: leave others out"
            )
        _check_all(runbook_id)
        return
    if runbook_id is None:
        raise Stop("which runbook?", hint="rb loadtest generate ID")
    if from_executions and (fixture or scenario):
        raise Stop("inputs are of executions or of fixtures: leave --from-executions out, or the other")
    runbook = load(runbook_id)
    text = _script(runbook, options)
    if to_stdout:
        sys.stdout.write(text)
        return
    changed = write_script(runbook.project, runbook.id, text)
    shown = script_file(runbook.project, runbook.id).relative_to(runbook.project.root).as_posix()
    print(f"{shown} {'written' if changed else 'is current'}")


def _script(runbook: "LoadedRunbook", options: "ScriptOptions", *, kept: list[Any] | None = None) -> str:
    """What is generated with these options; `kept` are inputs of recorded executions that a script has."""
    from runbook_factory.loadtest.inputs import inputs_kept, inputs_of_cases, inputs_of_executions
    from runbook_factory.loadtest.script import generate as script

    if options.from_executions:
        recorded = inputs_of_executions(runbook, _recorded(runbook, options)) if kept is None else None
        return script(runbook, options, recorded or inputs_kept(runbook, kept or []))
    cases = load_cases(runbook, options.fixture or None)
    if options.fixture and cases:
        options = replace(options, fixture=_portable(cases[0].path, runbook))
    inputs = inputs_of_cases(runbook, cases, fixture=options.fixture, scenario=options.scenario)
    return script(runbook, options, inputs)


def _portable(path: Path, runbook: "LoadedRunbook") -> str:
    """The fixture's name as it is found again from anywhere."""
    for folder in (runbook.project.pack(runbook.id).resolve(), runbook.project.root.resolve()):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    raise Stop(f"the fixture {path} is not in the project", hint="copy it into the acceptance pack")


def _recorded(runbook: "LoadedRunbook", options: "ScriptOptions") -> "list[ExecutionRecord]":
    from runbook_defs.execution import Status
    from runbook_factory.database import engine, reachable
    from runbook_factory.execution_log import list_executions

    with reachable():
        return list_executions(
            engine(runbook.project),
            runbook_id=runbook.id,
            status=Status.SUCCESS,
            limit=options.from_executions,
        )


def _check_all(runbook_id: str | None) -> None:
    """Prints which scripts are as they would be generated now; exits with 1 when one is not."""
    from runbook_factory.loadtest.refusal import LoadTestError
    from runbook_factory.loadtest.shelf import tested_runbooks
    from runbook_factory.project import find_project

    every = tested_runbooks(find_project()) if runbook_id is None else [runbook_id]
    if not every:
        raise Stop("there is no load test in loadtests/", hint="make one: rb loadtest generate ID")
    good = True
    for name in every:
        try:
            why = _stale(load(name))
        except LoadTestError as error:
            why = f"{error.message}; {error.hint}" if error.hint else error.message
        print(f"{tick(not why)} loadtests/{name}.js {why or 'is current'}")
        good = good and not why
    if not good:
        raise typer.Exit(Exit.FINDINGS)


def _stale(runbook: "LoadedRunbook") -> str:
    """Why the script is not what would be generated, and what to do; empty when it is."""
    from runbook_factory.loadtest.script import inputs_of, options_of
    from runbook_factory.loadtest.shelf import read_script

    text = read_script(runbook.project, runbook.id)
    name, options = options_of(text)
    if name != runbook.id:
        return f"is of {name}"
    if _script(runbook, options, kept=inputs_of(text)) == text:
        return ""
    return f"is not what would be generated now: {options.command(runbook.id)}"


@app.command("run")
def run(
    runbook_id: str = typer.Argument(..., metavar="ID", help="The runbook's id."),
    server: str = typer.Option(
        "http://localhost:8080", "--server", metavar="URL", help="The service to test."
    ),
    stage: list[str] = typer.Option(
        [], "--stage", metavar="DURATION:USERS", help="In place of the script's stages; repeat for more."
    ),
    vus: int = typer.Option(
        None, "--vus", metavar="N", min=1, max=10_000, help="So many users, all the time."
    ),
    duration: str = typer.Option(None, "--duration", metavar="DURATION", help="For so long, such as 30s."),
    junit: Path = typer.Option(
        None, "--junit", metavar="FILE", help="Write the verdicts there as JUnit XML."
    ),
    html: Path = typer.Option(None, "--html", metavar="FILE", help="Write a report there, as one HTML file."),
    as_json: Path = typer.Option(
        None, "--json", metavar="FILE", help="Write all that was measured there, for programs."
    ),
) -> None:
    """Run the load test of a runbook with k6, on a service, with the token in RB_TOKEN."""
    load_ = _load(stage, vus, duration)
    from cli.reporters.loadtest import lines
    from cli.reporters.loadtest_files import Files

    files = Files(junit=junit, html=html, json=as_json)
    files.make_folders()
    test = _tested(load(runbook_id), server, load_)
    for line in lines(test):
        print(line)
    files.write(test)
    print(paint(test.word, "green" if test.good else "red"))
    if test.tested.aborted:
        raise Stop(f"the test was given up: {test.tested.aborted}")
    if test.tested.stopped:
        raise typer.Exit(Exit.INTERRUPTED)
    if not test.good:
        raise typer.Exit(Exit.FINDINGS)


def _load(stages: Sequence[str], users: int | None, duration: str | None) -> "Load":
    from runbook_factory.loadtest.k6 import Load
    from runbook_factory.loadtest.options import parse_duration, parse_stage

    if stages and (users is not None or duration is not None):
        raise Stop("--stage says how many and how long: leave --vus and --duration out")
    if (users is None) != (duration is None):
        raise Stop("--vus and --duration go together", hint="such as --vus 5 --duration 30s")
    return Load(
        stages=tuple(parse_stage(text) for text in stages),
        users=users,
        duration=parse_duration(duration) if duration is not None else None,
    )


def _tested(runbook: "LoadedRunbook", server: str, load_: "Load") -> "LoadTest":
    """The test, made; k6 has shown its summary."""
    from cli.reporters.loadtest import LoadTest
    from runbook_factory.loadtest.k6 import need_k6, run_k6
    from runbook_factory.loadtest.script import options_of
    from runbook_factory.loadtest.shelf import read_script, script_file

    _, options = options_of(read_script(runbook.project, runbook.id))
    _refuse_writes(runbook, options)
    if _stale(runbook):
        print(f"{paint('note:', 'cyan')} the script is not what would be generated now")
    need_k6()
    environment = _environment(runbook, server)
    started_at, began = datetime.now(UTC), time.monotonic()
    tested = run_k6(
        script_file(runbook.project, runbook.id),
        server=server,
        environment=environment,
        load=load_,
        tell=None if sys.stdout.isatty() else print,
    )
    return LoadTest(
        runbook_id=runbook.id,
        server=server,
        generated_by=options.command(runbook.id),
        load=" ".join(load_.arguments()) or "the script's own stages",
        started_at=started_at,
        seconds=time.monotonic() - began,
        tested=tested,
    )


def _refuse_writes(runbook: "LoadedRunbook", options: "ScriptOptions") -> None:
    from runbook_factory.loadtest.script import writing_steps

    if writing_steps(runbook) and not options.allow_writes:
        hint = f"where that does no harm: {options.command(runbook.id)} --allow-writes"
        raise Stop(f"{runbook.id} changes the world, and its load test was made when it did not", hint=hint)


def _environment(runbook: "LoadedRunbook", server: str) -> dict[str, str]:
    """The token and the inputs that are not in the script. Raises `Stop` or `RemoteError` when the service
    cannot be tested.
    """
    from runbook_factory.loadtest.inputs import from_environment
    from runbook_service.remote import VARIABLE, Remote

    if urlsplit(server).username is not None:
        raise Stop("the address of a service has no user in it", hint=f"the token goes into {VARIABLE}")
    remote = Remote.at(server)
    remote.runbook(runbook.id)
    wanted = from_environment(runbook)
    for name, required in wanted.items():
        if required and name not in os.environ:
            raise Stop(f"input {name!r} is sensitive, and not in the script", hint=f"export {name}")
    return {VARIABLE: remote.token} | {name: os.environ[name] for name in wanted if name in os.environ}
