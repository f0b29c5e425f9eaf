"""The `rb` program: its verbs, and the one boundary between them and the terminal."""

import gc
import sys

import typer

from cli.commands import (
    audit,
    baseline,
    db,
    diff,
    doctor,
    exec_,
    graph,
    init,
    keys,
    loadtest,
    ls,
    pack,
    replay,
    run,
    schema,
    serve,
    show,
    test,
    token,
    validate,
    worker,
)
from cli.errors import boundary

# Commands are short: collecting garbage as often as by default costs a tenth of `rb validate`.
gc.set_threshold(50_000, 20, 20)

app = typer.Typer(
    name="rb",
    help="Runbooks as code: check them, test them on fixtures, run them on Dagster, replay their records.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("validate")(validate.validate)
app.command("test")(test.test)
app.command("run")(run.run)
app.command("replay")(replay.replay)
app.command("diff")(diff.diff)
app.command("ls")(ls.ls)
app.command("show")(show.show)
app.command("init")(init.init)
app.command("graph")(graph.graph)
app.command("schema")(schema.schema)
app.command("doctor")(doctor.doctor)
app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(exec_.exec_)
app.add_typer(pack.app, name="pack")
app.add_typer(baseline.app, name="baseline")
app.add_typer(loadtest.app, name="loadtest")
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.add_typer(token.app, name="token")
app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.add_typer(db.app, name="db")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"rb {version('runbook-engine')}")
        raise typer.Exit


@app.callback()
def rb(
    show_version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Holds the options that come before a verb."""


def main() -> None:
    """Runs `rb` with the arguments of this process and exits with its code."""
    sys.exit(boundary(lambda: app(standalone_mode=False)))
