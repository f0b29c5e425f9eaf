"""`rb token`: who may use the service."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from cli.errors import Stop
from cli.reporters.style import paint, plain

if TYPE_CHECKING:
    from sqlalchemy import Engine

app = typer.Typer(help="Tokens: who may use the service, and for what.", no_args_is_help=True)

_ROLES = "viewer, operator, auditor or admin"


@app.command("create")
def create(
    name: str = typer.Argument(..., metavar="NAME", help="Who or what it is for."),
    role: str = typer.Option(..., "--role", metavar="ROLE", help=f"{_ROLES}."),
    runbooks: list[str] = typer.Option(
        [], "--runbook", metavar="PATTERN", help="Only these runbooks, such as 'rb-*'; repeat for more."
    ),
    days: float = typer.Option(90, "--days", min=0.01, help="How long it is good for."),
    forever: bool = typer.Option(False, "--no-expiry", help="It does not expire."),
) -> None:
    """Make a token. Its secret is shown this once, and is kept nowhere."""
    from runbook_factory.actors import local_actor
    from runbook_service.identities.roles import Role
    from runbook_service.identities.tokens import create_token

    if role not in set(Role):
        raise Stop(f"there is no role {role!r}", hint=f"roles are {_ROLES}")
    token, secret = create_token(
        _engine(),
        name,
        Role(role),
        by=local_actor(),
        runbooks=tuple(runbooks),
        days=None if forever else days,
    )
    until = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "without an end"
    print(f"token {token.id[:8]} for {plain(token.name)}, {token.role}, {until}; it is shown this once:")
    print(secret)


@app.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """List the tokens: never their secrets."""
    from runbook_service.identities.tokens import list_tokens

    tokens = list_tokens(_engine())
    if as_json:
        print(json.dumps([asdict(token) | {"state": token.state} for token in tokens], indent=2, default=str))
        return
    rows = [("ID", "NAME", "ROLE", "RUNBOOKS", "STATE", "EXPIRES", "LAST USED")]
    rows += [
        (
            token.id[:8],
            plain(token.name),
            token.role.value,
            " ".join(token.runbooks) or "all",
            token.state,
            _day(token.expires_at, "never"),
            _day(token.last_used_at, "never"),
        )
        for token in tokens
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        print(line if number else paint(line, "bold"))


@app.command("revoke")
def revoke(
    token: str = typer.Argument(..., metavar="TOKEN", help="Its id, a unique start of it, or its name."),
) -> None:
    """Make a token useless from now on, with every session that came of it."""
    from runbook_factory.actors import local_actor
    from runbook_service.identities.tokens import revoke_token

    revoked = revoke_token(_engine(), token, by=local_actor())
    print(f"revoked {revoked.id[:8]} ({plain(revoked.name)})")


def _engine() -> "Engine":
    from runbook_factory.database import engine, reachable
    from runbook_factory.opening import make_ready
    from runbook_factory.project import find_project

    project = find_project()
    with reachable():
        make_ready(project)
        return engine(project)


def _day(moment: datetime | None, otherwise: str) -> str:
    return f"{moment:%Y-%m-%d}" if moment else otherwise
