"""`rb serve`: the service, for people and other programs."""

import typer

from cli.reporters.style import paint


def serve(
    host: str = typer.Option("127.0.0.1", "--host", help="The address to listen at; 0.0.0.0 for all."),
    port: int = typer.Option(8080, "--port", "-p", min=1, max=65535, help="The port to listen at."),
    slots: int = typer.Option(
        4, "--slots", "-s", min=0, max=1000, help="How many runs at a time; 0 leaves them to `rb worker`."
    ),
    daemon: bool = typer.Option(True, "--daemon/--no-daemon", help="Run schedules here, too."),
) -> None:
    """Serve Dagster's web UI and GraphQL, and the runbook API, until Ctrl-C."""
    from runbook_factory.project import find_project
    from runbook_service.serving import Address, first_token, free, serve

    project = find_project()
    address = Address(host=host, port=port)
    free(address)
    secret = first_token(project)
    if secret is not None:
        print(f"{paint('a first admin token, shown this once:', 'bold')} {secret}")
    print("starting", flush=True)

    def ready() -> None:
        shown = "localhost" if host in {"127.0.0.1", "0.0.0.0"} else host  # noqa: S104 - compared, not bound
        print(f"serving on http://{shown}:{port}", flush=True)

    serve(project, address, ready=ready, daemon=daemon, slots=slots)
