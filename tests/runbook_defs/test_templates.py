import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_defs.expressions import ExpressionError
from runbook_defs.templates import TemplateProblem, compile_template
from step_ops.secrets import Secret

SCOPE: dict[str, Any] = {
    "A": 1,
    "name": "Köln",
    "items": [1, {"k": None}],
    "hostile": "${1+1} $${x} ${secret('TOKEN')}",
    "nan": float("nan"),
    "token": Secret("TOKEN", "s3cret"),
    "mixed": {"list": [Secret("TOKEN", "s3cret")]},
    "other": object(),
    "secret": lambda name: Secret(name, "s3cret"),
}


def render(value: Any) -> Any:
    template = compile_template(value)
    assert template.problems == ()
    return template.render(SCOPE)


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${A}", 1),
        ("${items}", [1, {"k": None}]),
        ("${null}", None),
        ("${ A + 1 }", 2),
        (" ${A}", " 1"),
        ("${A}${A}", "11"),
        ("${A}\n", "1\n"),
        ("n=${A} ${name}!", "n=1 Köln!"),
        ("${true}/${null}/${1.0}/${items}/${[]}", 'true/null/1.0/[1,{"k":null}]/[]'),
        ("${name}: ${{'ö': 'ä'}}", 'Köln: {"ö":"ä"}'),
        ("${'}'}", "}"),
        ("${'{' + \"}\"}x", "{}x"),
        ("${'it\\'s }'}", "it's }"),
        ("${{'a': {'b': 2}}.a.b}", 2),
        ("${\n  A\n}", 1),
        ("$${A}", "${A}"),
        ("$${A} ${A}", "${A} 1"),
        ("$$${A}", "$${A}"),
        ("$ $A {A} $$ }", "$ $A {A} $$ }"),
        ("${hostile}", "${1+1} $${x} ${secret('TOKEN')}"),
        ("<${hostile}>", "<${1+1} $${x} ${secret('TOKEN')}>"),
        ("$${${'A}'}", "${A}"),
        ({"a": ["${A}", {"b": "x${A}"}], "${A}": 2.5}, {"a": [1, {"b": "x1"}], "${A}": 2.5}),
        (["${A}", None, True, 3], [1, None, True, 3]),
        (("${A}",), [1]),
    ],
)
def test_a_value_is_filled_in(value: Any, rendered: Any) -> None:
    result = render(value)
    assert result == rendered
    assert type(result) is type(rendered)


def test_only_a_value_without_expressions_is_literal() -> None:
    assert compile_template({"a": ["b", 1, "$${x}"]}).is_literal
    assert not compile_template({"a": ["${A}"]}).is_literal
    assert not compile_template({"a": ["${"]}).is_literal


def test_each_rendering_is_a_new_copy() -> None:
    value = {"a": [1, {"b": "x"}], "c": ["${A}"]}
    before = copy.deepcopy(value)
    template = compile_template(value)
    template.render(SCOPE)["a"][1]["b"] = "changed"
    template.render(SCOPE)["c"].append(2)
    assert template.render(SCOPE) == {"a": [1, {"b": "x"}], "c": [1]}
    assert value == before


def test_expressions_are_found_with_their_places() -> None:
    value = {"x": ["a $${n} ${A} ${steps.s.outputs.o}"], "y": "${B}"}
    found = compile_template(value).found
    assert [(f.location, f.offset, f.expression.text) for f in found] == [
        (("x", 0), 10, "A"),
        (("x", 0), 15, "steps.s.outputs.o"),
        (("y",), 2, "B"),
    ]
    for place in found[:2]:
        assert value["x"][0][place.offset :].startswith(place.expression.text)


def test_all_problems_are_collected_with_their_places() -> None:
    value = {
        "empty": "a ${} b ${ }",
        "good": "${A}",
        "list": ["ok ${A} ${1 +}", {"deep": "ab${A"}],
        "quote": "x${it's} ${A}",
        "brace": "${ {'a': 1 }",
        "method": "${name.upper()} ${lenght(A)}",
    }
    template = compile_template(value)
    never_closed = ("this '${' is never closed", "write $${ for the characters themselves")
    assert template.problems == (
        TemplateProblem(("empty",), 4, "the expression is empty", ""),
        TemplateProblem(("empty",), 10, "the expression is empty", ""),
        TemplateProblem(("list", 0), 13, "the expression ends too early", ""),
        TemplateProblem(("list", 1, "deep"), 2, *never_closed),
        TemplateProblem(("quote",), 1, *never_closed),
        TemplateProblem(("brace",), 0, *never_closed),
        TemplateProblem(
            ("method",),
            2,
            "only the functions of the expression language can be called",
            "write upper(...)",
        ),
        TemplateProblem(("method",), 18, "there is no function 'lenght'", "did you mean 'len'?"),
    )
    assert [found.expression.text for found in template.found] == ["A", "A"]
    with pytest.raises(ExpressionError, match="the expression is empty") as caught:
        template.render(SCOPE)
    assert (caught.value.location, caught.value.text_offset) == (("empty",), 4)


def test_a_value_nested_too_deeply_is_a_problem() -> None:
    value: Any = "${A}"
    for _ in range(5_000):
        value = [value]
    problems = compile_template(value).problems
    assert [problem.message for problem in problems] == ["the value is nested more than 100 levels deep"]


@pytest.mark.parametrize(
    ("text", "offset", "text_offset", "message"),
    [
        ("${A + missing}", 4, 6, "there is no name 'missing'"),
        ("é ${A} ${A + missing}", 4, 13, "there is no name 'missing'"),
        ("x ${A}${nan}", 0, 8, "a number cannot be written as JSON"),
        ("x ${A}${mixed}", 0, 8, "a secret can be passed on, but not computed with"),
        ("x ${other}", 0, 4, "a value here cannot be part of a text"),
        ("${other}${token}", 0, 10, "a value here cannot be part of a text"),
    ],
)
def test_an_error_while_rendering_tells_its_place(
    text: str, offset: int, text_offset: int, message: str
) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        compile_template({"a": ["fine", text]}).render(SCOPE)
    assert caught.value.location == ("a", 1)
    assert (caught.value.offset, caught.value.text_offset) == (offset, text_offset)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("${token}", "s3cret"),
        ("${secret('TOKEN')}", "s3cret"),
        ("Bearer ${token}", "Bearer s3cret"),
        ("${token}, ${A} ${items}", 's3cret, 1 [1,{"k":null}]'),
        ("Basic ${name}:${secret('PASSWORD')}@host/${A}", "Basic Köln:s3cret@host/1"),
    ],
)
def test_a_text_with_a_secret_in_it_is_secret_as_a_whole(text: str, plain: str) -> None:
    result = render({"header": text})["header"]
    assert isinstance(result, Secret)
    assert result.reveal() == plain
    assert "s3cret" not in repr(result) + str(result)


def test_the_text_one_rendering_makes_is_bounded() -> None:
    template = compile_template(["x${big}"] * 12)
    with pytest.raises(ExpressionError, match=r"longer than|too large") as caught:
        template.render({"big": "a" * 1_000_000})
    assert caught.value.location == (9,)
    with pytest.raises(ExpressionError, match="too large"):
        compile_template("x${[b, b, b, b, b, b, b, b, b, b, b]}").render({"b": ["a" * 1_000_000]})


def test_data_of_any_size_is_passed_on_whole() -> None:
    big = ["a" * 1_000_000] * 20
    assert compile_template({"body": "${big}"}).render({"big": big}) == {"body": big}


PIECES = st.lists(
    st.sampled_from(["${", "$${", "$", "{", "}", "'", '"', "\\", "A", "name", "token", " ", "\n"])
).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | PIECES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_any_value_renders_or_has_problems(value: Any) -> None:
    template = compile_template(value)
    for problem in template.problems:
        assert problem.message
        assert problem.offset >= 0
    try:
        template.render(SCOPE)
    except ExpressionError as error:
        location = error.location
    else:
        location = ()
        assert template.problems == ()
    assert location is not None


@given(st.text())
def test_what_is_filled_in_is_never_read_again(text: str) -> None:
    scope = {"text": text}
    assert compile_template("${text}").render(scope) == text
    assert compile_template("<${text}|${[text]}>").render(scope) == (
        f"<{text}|{json.dumps([text], ensure_ascii=False)}>"
    )


@given(st.text())
def test_a_text_with_its_marks_doubled_renders_as_itself(text: str) -> None:
    escaped = text.replace("${", "$${")
    assert compile_template(escaped).render({}) == text
