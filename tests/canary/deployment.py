"""A deployment with secrets from every provider, and a world that tells them on."""

import json
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy.engine import URL

from runbook_factory import database
from tests.canary.canaries import MARKER, Canary, canaries
from tests.canary.world import furnish
from tests.scripted import Server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUNBOOKS = ("canary-echoes", "canary-failures")

_CONNECTIONS = """
connections:
  api: {{type: http, base_url: "${{WORLD}}"}}
  pushgateway: {{type: pushgateway, url: "${{WORLD}}"}}
  guarded: {{type: pushgateway, url: "http://push:${{CANARY_PASSWORD}}@{world}"}}
  broken: {{type: pushgateway, url: "${{WORLD}}/broken"}}
  warehouse: {{type: sql, url: "postgresql://canary:${{secret('CANARY_PASSWORD')}}@/{database}?host={host}"}}
  elsewhere: {{type: sql, url: "postgresql://canary@/${{secret('CANARY_PASSWORD')}}?host={host}"}}
  by_user: {{type: sql, url: "postgresql://${{secret('CANARY_PASSWORD')}}@/{database}?host={host}"}}
  closed: {{type: sql, url: "postgresql://canary:${{secret('CANARY_PASSWORD')}}@127.0.0.1:{closed}/x"}}
  unquoted: {{type: sql, url: "${{secret('CANARY_TOKEN')}}"}}
  light: {{type: sql, url: "sqlite:///{light}"}}
secrets:
  - environment: {names}
  - files: {folder}
"""

_WAREHOUSE = """
CREATE TABLE words (word TEXT UNIQUE);
CREATE FUNCTION complain(word TEXT, plain TEXT) RETURNS INTEGER LANGUAGE plpgsql AS $body$ BEGIN
    RAISE EXCEPTION 'no %% and no %%', word, plain USING DETAIL = 'it is ' || word, HINT = 'not ' || word;
END $body$;
GRANT ALL ON words TO canary;
"""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A project with the canary runbooks, the folder beside it that is the world's, and the secrets."""

    root: Path
    outside: Path
    canaries: tuple[Canary, ...]
    environment: Mapping[str, str]

    @property
    def inputs(self) -> list[str]:
        """The inputs on a command line."""
        return ["-i", f"customer=@{self.outside / 'customer'}", "-i", f"plain={MARKER}"]


@contextmanager
def deployed(folder: Path, *, postgres: str, world: Server, name: str) -> Iterator[Deployment]:
    """The deployment in `folder`, on databases of its own that are called after `name`."""
    furnish(world)
    secrets = canaries(world.url)
    root, outside = folder / "project", folder / "outside"
    shutil.copytree(HERE / "runbooks", root / "runbooks")
    for file in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / file, root / file)
    (outside / "mounted").mkdir(parents=True)
    for canary in secrets:
        if canary.source == "file":
            (outside / "mounted" / canary.name).write_text(canary.value, newline="", encoding="utf-8")
    (customer,) = (canary for canary in secrets if canary.name == "customer")
    (outside / "customer").write_text(customer.value, encoding="utf-8")
    sqlite3.connect(outside / "light.db").close()
    server = database.normalized(postgres)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    with _databases(server, name, f"{name}_world") as host:
        (root / "connections.yaml").write_text(
            _CONNECTIONS.format(
                world=world.url.removeprefix("http://"),
                database=f"{name}_world",
                host=host,
                closed=closed,
                light=outside / "light.db",
                names=json.dumps([canary.name for canary in secrets if canary.source == "environment"]),
                folder=outside / "mounted",
            ),
            encoding="utf-8",
        )
        yield Deployment(
            root=root,
            outside=outside,
            canaries=secrets,
            environment={
                database.VARIABLE: database.as_text(server.set(database=name)),
                "RUNBOOK_PROJECT": str(root),
                "RUNBOOK_KEY": "a1" * 32,
                "TMPDIR": str(_made(folder / "tmp")),
                "WORLD": world.url,
                "TLS": world.url.replace("http://", "https://"),
                "CLOSED": f"http://127.0.0.1:{closed}",
                **{canary.name: canary.value for canary in secrets if canary.source == "environment"},
            },
        )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def _databases(server: URL, *names: str) -> Iterator[str]:
    """The service's database and the world's; gives the host of both."""
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        connection.exec_driver_sql("DROP ROLE IF EXISTS canary")
        connection.exec_driver_sql("CREATE ROLE canary LOGIN")
    world = sqlalchemy.create_engine(server.set(database=names[-1]), isolation_level="AUTOCOMMIT")
    with world.connect() as connection:
        connection.exec_driver_sql(_WAREHOUSE)
    world.dispose()
    try:
        yield str(server.query["host"])
    finally:
        with engine.connect() as connection:
            for name in names:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
            connection.exec_driver_sql("DROP ROLE canary")
        engine.dispose()
