"""`rb token`: made, listed, revoked; the secret shown once and kept nowhere."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from runbook_factory import database
from runbook_service.identities.tokens import TokenError, authenticate
from tests.workshop import Workshop


@pytest.fixture(autouse=True)
def here(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshop.project.root)


def test_a_token_is_made_listed_and_revoked(
    rb: Callable[..., Any], workshop: Workshop, query: Callable[..., list[Any]]
) -> None:
    made = rb("token", "create", "night shift", "--role", "operator", "--runbook", "rb-*", "--days", "30")
    assert made.code == 0
    secret = made.out.splitlines()[-1]
    identity = authenticate(database.engine(workshop.project), secret)
    assert (identity.name, identity.role, identity.runbooks) == ("night shift", "operator", ("rb-*",))
    stored = str(query("SELECT t::text FROM runbook.tokens t"))
    assert secret not in stored
    (listed,) = [
        each for each in json.loads(rb("token", "list", "--json").out) if each["name"] == "night shift"
    ]
    assert listed["state"] == "valid"
    assert secret not in rb("token", "list").out
    assert "revoked" in rb("token", "revoke", "night shift").out
    with pytest.raises(TokenError, match="revoked"):
        authenticate(database.engine(workshop.project), secret)
    assert "revoked" in rb("token", "list").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "x", "--role", "king"), "there is no role 'king'"),
        (("create", " ", "--role", "viewer"), "1 to 100 printable characters"),
        (("create", "x", "--role", "viewer", "--runbook", "A B"), "neither a runbook's id nor a pattern"),
        (("create", "x", "--role", "viewer", "--days", "0"), "--days"),
        (("revoke", "none"), "there is no token 'none'"),
    ],
)
def test_a_mistake_is_told(rb: Callable[..., Any], arguments: tuple[str, ...], said: str) -> None:
    answer = rb("token", *arguments)
    assert answer.code == 2
    assert said in answer.err
