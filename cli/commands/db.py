"""`rb db`: the database of the project."""

import typer

app = typer.Typer(help="The project's database: where it is, its tables, stopping the embedded one.")


@app.command("url")
def url() -> None:
    """Print the URL of the database, without its password; starts the embedded one."""
    from runbook_factory.database import database_url
    from runbook_factory.project import find_project

    url = database_url(find_project()).set(drivername="postgresql")
    print(url.render_as_string(hide_password=True))


@app.command("upgrade")
def upgrade() -> None:
    """Make the tables of this version, or bring those of an older one up to it."""
    from runbook_factory.project import find_project
    from runbook_factory.upgrade import upgrade

    revision = upgrade(find_project())
    print(f"the tables are at revision {revision}, and Dagster's are those of its version")


@app.command("stop")
def stop() -> None:
    """Stop the embedded database; the next command starts it again."""
    from runbook_factory import embedded
    from runbook_factory.project import find_project

    stopped = embedded.stop(find_project().state)
    print("stopped" if stopped else "it was not running")
