"""`rb worker`: executes what is launched elsewhere."""

import typer

DEFAULT_SLOTS = 4


def worker(
    slots: int = typer.Option(
        DEFAULT_SLOTS, "--slots", "-s", min=1, max=1000, help="How many runs at a time, a process for each."
    ),
) -> None:
    """Execute the runs that the service, schedules and Dagster's UI launch, until Ctrl-C."""
    from runbook_factory.project import find_project
    from runbook_service.workers.worker import work

    def ready() -> None:
        print(f"{slots} slot{'' if slots == 1 else 's'} ready for runs", flush=True)

    print("starting", flush=True)
    work(find_project(), slots, ready=ready)
    print("stopped", flush=True)
