"""What the project needs for itself: its runbooks, its database, its key, its place on the disk."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from runbook_defs.problems import Problem, listed
from runbook_factory import embedded, keys
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.doctor.finding import Finding, good, missing
from runbook_factory.project import Project

CONNECT_SECONDS = 2
LOW_DISK = 500 * 1024**2  # bytes; a fresh embedded database takes a tenth of that


def look_at_runbooks(
    runbooks: Sequence[LoadedRunbook], broken: Mapping[Path, Sequence[Problem]]
) -> Iterator[Finding]:
    """How many runbooks are good, and which are not."""
    if broken:
        names = listed(path.parent.name for path in broken)
        text = f"{len(runbooks)} good, {len(broken)} broken: {names}"
        yield missing("runbooks", text, then="rb validate")
    elif runbooks:
        yield good("runbooks", f"{len(runbooks)} good")
    else:
        yield missing("runbooks", "none yet", needed=False, then="rb init")
    untested = [item.id for item in runbooks if not (item.project.pack(item.id) / "acceptance.yml").is_file()]
    if untested:
        then = f"make acceptance/{untested[0]}/acceptance.yml"
        yield missing("acceptance packs", f"none for {listed(untested)}", needed=False, then=then)


def look_at_database(project: Project) -> Iterator[Finding]:
    """Whether the database answers, and what our tables in it are like."""
    from runbook_factory import database  # loads SQLAlchemy

    if os.environ.get(database.VARIABLE):
        try:
            url, kind = database.normalized(os.environ[database.VARIABLE]), database.VARIABLE
        except database.DatabaseError as error:
            yield missing("database", error.message, then=error.hint or f"see {database.VARIABLE}")
            return
    elif not embedded.is_running(project.state):
        yield good("database", "embedded, not running: the next command that needs it starts it")
        return
    else:
        try:
            url, kind = database.database_url(project), "embedded"
        except database.DatabaseError as error:
            yield missing("database", error.message, then=error.hint)
            return
    yield _asked(database.as_text(url), kind)


def _asked(url: str, kind: str) -> Finding:
    import sqlalchemy

    from runbook_factory import schema

    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.pool.NullPool, connect_args={"connect_timeout": CONNECT_SECONDS}
    )
    try:
        with engine.connect() as connection:
            server = str(connection.scalar(sqlalchemy.text("SHOW server_version"))).split()[0]
        revision = schema.revision(engine)
    except sqlalchemy.exc.SQLAlchemyError as error:
        origin = getattr(error, "orig", None) or type(error).__name__
        reason = " ".join((str(origin).strip().splitlines() or ["no reason given"])[0].split())
        then = (
            "rb db stop" if kind == "embedded" else f"start the server, or unset {kind} for the embedded one"
        )
        return missing("database", f"{kind}: cannot be used: {reason}", then=then)
    text = f"{kind}: PostgreSQL {server}"
    if revision is None:
        return good("database", f"{text}, no tables yet: the first run makes them")
    if revision > schema.HEAD:
        return missing("database", f"{text}, tables of a newer rb ({revision})", then="upgrade rb")
    older = "" if revision == schema.HEAD else f", the next run brings them to {schema.HEAD}"
    return good("database", f"{text}, tables at revision {revision}{older}")


def look_at_key(project: Project) -> Iterator[Finding]:
    """The key under which secrets become pseudonyms."""
    named = os.environ.get(keys.VARIABLE)
    if named is None:
        there = (project.state / "key").is_file()
        yield good("key", ".runbook/key" if there else "none yet: the first run makes .runbook/key")
    elif len(named) < keys.MIN_CHARACTERS:
        text = f"{keys.VARIABLE} is shorter than {keys.MIN_CHARACTERS} characters"
        yield missing("key", text, then=f"export {keys.VARIABLE}=$(openssl rand -hex 32)")
    else:
        yield good("key", f"{keys.VARIABLE} is set")


def look_at_dagster_home() -> Iterator[Finding]:
    """Whether DAGSTER_HOME leads Dagster's own commands elsewhere."""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        yield good("DAGSTER_HOME", "not set: rb exec sets it for Dagster's own commands")
    elif not (Path(home) / "dagster.yaml").is_file():
        text = f"{home} has no dagster.yaml; rb does not need it"
        then = "unset DAGSTER_HOME; rb exec -- dagster-webserver -w workspace.yaml"
        yield missing("DAGSTER_HOME", text, needed=False, then=then)
    else:
        yield good("DAGSTER_HOME", f"{home}; rb exec uses its own")


def look_at_disk(project: Project) -> Iterator[Finding]:
    """Whether `.runbook` can be written, and how much room there is."""
    state = project.state if project.state.is_dir() else project.root
    if not os.access(state, os.W_OK):
        yield missing("disk", f"{state} may not be written", then=f"ls -ld {state}")
        return
    free = shutil.disk_usage(state).free
    taken = f".runbook takes {_size(_taken(project.state))}, " if project.state.is_dir() else ""
    text = f"{taken}{_size(free)} free"
    if free < LOW_DISK:
        yield missing("disk", text, then=f"du -sh {state}/*")
    else:
        yield good("disk", text)


def _taken(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size
            except OSError:  # gone, or not ours to see
                continue
    return total


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
