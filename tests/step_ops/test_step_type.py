"""What a step type tells of its inputs without being run."""

from typing import Annotated, Any

import pytest
from pydantic import Field

from step_ops.errors import ErrorType, StepError
from step_ops.registry import step_types
from step_ops.step_type import (
    SECRET_HEADERS,
    Effect,
    FileName,
    Headers,
    Result,
    SecretText,
    StepConfig,
    StepType,
    Text,
)

# All inputs of the built-in types that are more than their type says.
SECRETS = {("api_call", "auth_token"), ("data_fetch", "auth_token")}
FILES = {("api_call", "query"), ("schema_check", "schema")}
HEADERS = {("api_call", "headers"), ("data_fetch", "headers")}
BUILT_IN = ["api_call", "data_fetch", "metrics_publish", "schema_check", "ui_screenshot"]


class Config(StepConfig):
    token: SecretText = None
    other_token: SecretText | None = None
    file: FileName | None = None
    renamed: Annotated[FileName, Field(alias="from")] = "a.json"
    headers: Headers = {}
    extra_headers: Headers | None = None
    text: Text = ""


STEP = StepType(name="probe", config=Config, run=lambda config, gate: Result(value=None), effect=Effect.READ)


def inputs() -> list[tuple[str, str]]:
    return [(name, field) for name in BUILT_IN for field in step_types()[name].input_names]


@pytest.mark.parametrize(("type_name", "field"), inputs())
def test_every_input_of_a_built_in_type_is_marked_as_it_should_be(type_name: str, field: str) -> None:
    step_type = step_types()[type_name]
    assert step_type.is_secret((field,)) is ((type_name, field) in SECRETS)
    assert step_type.is_file((field,)) is ((type_name, field) in FILES)
    assert step_type.is_secret((field, "Authorization")) is ((type_name, field) in HEADERS)
    assert not step_type.is_file((field, 0))


def test_the_marks_named_here_are_of_inputs_that_exist() -> None:
    assert set(BUILT_IN) <= set(step_types())
    assert set(inputs()) >= SECRETS | FILES | HEADERS


@pytest.mark.parametrize("field", ["token", "other_token"])
def test_a_secret_field_takes_a_secret_only_as_a_whole(field: str) -> None:
    assert STEP.is_secret((field,))
    assert not STEP.is_secret((field, "part"))
    assert not STEP.is_secret(())


@pytest.mark.parametrize("field", ["file", "from"])
def test_a_file_field_is_known_by_the_name_that_runbooks_write(field: str) -> None:
    assert STEP.is_file((field,))
    assert not STEP.is_file((field, 0))
    assert not STEP.is_file(("renamed",))


@pytest.mark.parametrize("field", ["headers", "extra_headers"])
@pytest.mark.parametrize("header", [*sorted(SECRET_HEADERS), "AUTHORIZATION", "X-Api-Key"])
def test_only_some_headers_are_secret(field: str, header: str) -> None:
    assert STEP.is_secret((field, header))
    assert not STEP.is_secret((field, "Accept"))
    assert not STEP.is_secret((field, header, "part"))
    assert not STEP.is_secret((field,))


def test_a_plain_field_is_neither() -> None:
    assert not STEP.is_secret(("text",))
    assert not STEP.is_file(("text",))
    assert not STEP.is_secret(("unknown",))


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong: dict[str, Any] = {"unknown": 1, "text": ["a"], "token": 5}
    found = {location: kind for location, kind, _ in STEP.input_problems(wrong)}
    assert found == {("unknown",): "unknown", ("text",): "wrong", ("token",): "wrong"}
    with pytest.raises(StepError) as caught:
        STEP.parse(wrong)
    assert caught.value.type is ErrorType.CONFIG
    assert all(name in caught.value.message for name in ("unknown", "text", "token"))


def test_good_inputs_have_no_problems() -> None:
    assert list(STEP.input_problems({"text": "a", "from": "b.json", "headers": {"a": "b"}})) == []
