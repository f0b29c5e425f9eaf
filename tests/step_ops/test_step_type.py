"""What a step type tells of its inputs without being run."""

from typing import Annotated, Any

import pytest
from pydantic import Field

from step_ops.condition import Condition
from step_ops.errors import ErrorType, StepError
from step_ops.registry import step_types
from step_ops.step_type import (
    SECRET_HEADERS,
    Effect,
    ExpressionField,
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
FILES = {("api_call", "query"), ("schema_check", "schema"), ("sql_query", "query")}
HEADERS = {("api_call", "headers"), ("data_fetch", "headers")}
EXPRESSIONS = {("wait", "until")}
BUILT_IN = ["api_call", "data_fetch", "metrics_publish", "schema_check", "sql_query", "ui_screenshot", "wait"]


class Inner(StepConfig):
    token: SecretText = None
    headers: Headers = {}
    query: FileName | None = None
    until: ExpressionField = None


class Config(StepConfig):
    inner: Inner | None = None
    token: SecretText = None
    other_token: SecretText | None = None
    file: FileName | None = None
    renamed: Annotated[FileName, Field(alias="from")] = "a.json"
    headers: Headers = {}
    extra_headers: Headers | None = None
    text: Text = ""
    until: ExpressionField = None


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
    assert step_type.is_expression((field,)) is ((type_name, field) in EXPRESSIONS)


def test_the_marks_named_here_are_of_inputs_that_exist() -> None:
    assert set(BUILT_IN) <= set(step_types())
    assert set(inputs()) >= SECRETS | FILES | HEADERS | EXPRESSIONS


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


def test_fields_of_a_field_are_marked_too() -> None:
    assert STEP.is_secret(("inner", "token"))
    assert not STEP.is_secret(("inner", "token", "part"))
    assert STEP.is_secret(("inner", "headers", "Authorization"))
    assert not STEP.is_secret(("inner", "headers", "Accept"))
    assert not STEP.is_secret(("inner", "Authorization"))
    assert STEP.is_file(("inner", "query"))
    assert not STEP.is_secret(("inner",))
    assert STEP.names_at(("inner",)) == ("token", "headers", "query", "until")
    assert STEP.names_at(("headers",)) == ()


def test_an_expression_stands_there_as_text_and_arrives_as_a_condition() -> None:
    ready = Condition(text="${true}", names=(), evaluate=lambda names: True, explain=lambda names: [])
    assert STEP.is_expression(("until",))
    assert not STEP.is_expression(("inner", "until"))
    assert list(STEP.input_problems({"until": "${true}"})) == []
    assert [kind for _, kind, _ in STEP.input_problems({"until": 5})] == ["wrong"]
    assert STEP.parse({"until": ready}).until is ready
    with pytest.raises(StepError, match="should be an expression"):
        STEP.parse({"until": "${true}"})


def test_a_condition_knows_what_it_uses() -> None:
    def uses(*names: tuple[str, ...]) -> bool:
        condition = Condition(text="", names=names, evaluate=lambda _: True, explain=lambda _: [])
        return condition.uses("response", "status")

    assert uses(("response", "status"))
    assert uses(("limit",), ("response",))
    assert not uses(("response", "body", "status"))
    assert not uses(("status",))
