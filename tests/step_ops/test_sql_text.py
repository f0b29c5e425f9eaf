"""What is one statement, and what in it is a parameter."""

import pytest

from step_ops.errors import ErrorType, StepError
from step_ops.sql_text import check_parameters, parse_statement


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT :a, :b_2, :a", {"a", "b_2"}),
        ("SELECT ':a' || :b -- :c", {"b"}),
        ("SELECT /* :a /* :b */ :c */ :d", {"d"}),
        ("SELECT \":a\", E'it\\'s :b', $$ :c $$, $x$ :d $$ $x$", set()),
        ("SELECT a::text, :a::date, '12:30'", {"a"}),
        ("SELECT list[1:n], list[m:n], list[f(x):n], list[:n]", {"n"}),
        ("SELECT f(x := :y)", {"y"}),
        ("SELECT n FROM t WHERE n=:n;", {"n"}),
        ("SELECT 'it''s :a', :b;  -- the end\n/* :c */", {"b"}),
    ],
)
def test_parameters_are_found_where_they_are_none_of_a_text(query: str, names: set[str]) -> None:
    assert parse_statement(query).names == names


def test_only_parameters_become_placeholders_and_percent_signs_stay() -> None:
    text = parse_statement("SELECT 10 % :n, '%s :n %(n)s'").as_format()
    assert text == "SELECT 10 %% %(n)s, '%%s :n %%(n)s'"


# Each is two statements to PostgreSQL; some look like one to a reader that knows its rules less well.
TWO = [
    "SELECT 1; DELETE FROM t",
    "SELECT 1;; DELETE FROM t",
    "SELECT '\\'; DELETE FROM t; --'",
    "SELECT E'\\''; DELETE FROM t; --'",
    "/* /* */ ' */ SELECT 1; DELETE FROM t; --'",
    "SELECT a$x$ ; DELETE FROM t; SELECT $x$",
    "SELECT \xa0$x$ ; DELETE FROM t; SELECT \xa0$x$",
    "SELECT E'a'\n'\\' || ' ; DELETE FROM t; --'",
    "SELECT E'a' -- more\n'\\' || ' ; DELETE FROM t; --'",
    "SELECT 1 --\r; DELETE FROM t",
    "COMMIT; DELETE FROM t",
]


@pytest.mark.parametrize("query", TWO)
def test_two_statements_are_refused_however_they_hide(query: str) -> None:
    with pytest.raises(StepError) as caught:
        parse_statement(query)
    assert caught.value.type is ErrorType.SQL


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "is empty"),
        (" -- nothing\n;", "is empty"),
        ("SELECT 'a", 'a quote in the query is never closed: "\'a"'),
        ("SELECT $x$ a", "never closed"),
        ("SELECT /* a /* b */", "a comment in the query is never closed"),
    ],
)
def test_what_is_no_statement_is_refused(query: str, message: str) -> None:
    with pytest.raises(StepError) as caught:
        parse_statement(query)
    assert message in caught.value.message


def test_parameters_that_lack_or_are_left_over_are_named() -> None:
    statement = parse_statement("SELECT :day")
    check_parameters(statement, ["day"])
    with pytest.raises(StepError, match="the query names :day, but there is no 'day'"):
        check_parameters(statement, [])
    with pytest.raises(StepError, match="there is 'dya' under `params`"):
        check_parameters(statement, ["day", "dya"])


def test_a_long_query_is_read_in_a_time_in_line_with_its_length() -> None:
    for part in ("'", "''", "/*", "*/", "$$", "E'\\", "$a", ":a ", '"'):
        try:
            parse_statement(part * 20_000)
        except StepError:
            continue
