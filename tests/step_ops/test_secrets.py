import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from step_ops.errors import ErrorType, StepError
from step_ops.secrets import FixtureSecrets, Secret, reveal

VALUE = "canary-7f3a"
TOKEN = Secret("TOKEN", VALUE)


@pytest.mark.parametrize(
    "write",
    [
        repr,
        str,
        ascii,
        format,
        lambda secret: f"{secret:>40}",
        lambda secret: f"{secret!r}",
        lambda secret: "%s" % secret,  # noqa: UP031
        lambda secret: str([secret]) + str({"header": secret}),
    ],
)
def test_a_secret_is_written_as_its_name(write: Callable[[Secret], str]) -> None:
    for secret in (TOKEN, "Bearer " + TOKEN, TOKEN + Secret("OTHER", VALUE)):
        assert VALUE not in write(secret)
        assert "TOKEN" in write(secret)


@pytest.mark.parametrize("store", [pickle.dumps, copy.deepcopy, json.dumps])
def test_a_secret_cannot_be_stored(store: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError) as caught:
        store({"header": TOKEN})
    assert VALUE not in str(caught.value)


def test_text_joined_with_a_secret_becomes_secret() -> None:
    joined = "Bearer " + TOKEN + "!"
    assert isinstance(joined, Secret)
    assert joined.reveal() == f"Bearer {VALUE}!"
    assert joined.name == "TOKEN"


def test_two_secrets_join_to_one_that_holds_both_values() -> None:
    joined = "Basic " + Secret("USER", "ann") + ":" + TOKEN
    assert isinstance(joined, Secret)
    assert joined.reveal() == f"Basic ann:{VALUE}"
    assert joined.name == "USER+TOKEN"


def test_a_secret_joins_with_text_only() -> None:
    with pytest.raises(TypeError) as caught:
        TOKEN + 1  # type: ignore[operator]
    assert VALUE not in str(caught.value)


def test_reveal_replaces_every_secret_inside_a_value() -> None:
    value = {"a": [TOKEN, 1, (TOKEN + "!", None)], "b": {"c": TOKEN}}
    assert reveal(value) == {"a": [VALUE, 1, [f"{VALUE}!", None]], "b": {"c": VALUE}}
    assert value["b"] == {"c": TOKEN}


def test_a_fixture_has_the_secrets_it_states_and_no_others() -> None:
    secrets = FixtureSecrets({"TOKEN": VALUE, "EMPTY": ""})
    assert (secrets.get("TOKEN"), secrets.get("EMPTY")) == (VALUE, "")
    with pytest.raises(StepError, match="the fixture has no secret 'HOME'") as caught:
        secrets.get("HOME")
    assert caught.value.type is ErrorType.SECRET
    assert "HOME" in caught.value.hint
