import copy
import pickle
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_defs.expressions import FUNCTIONS, ExpressionError, compile_expression
from step_ops.secrets import Secret

CANARY = "canary-7f3a"


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


DEEP = nested(50_000)

SCOPE: dict[str, Any] = {
    "LIMIT": 100,
    "name": "Köln",
    "flag": True,
    "nothing": None,
    "item": {"class": "A", "price": 2.5, "tags": ["x", "y"], "__typename": "Entity", "d": {"k": 1}},
    "steps": {
        "ingest": {"status": "done", "outputs": {"entities": [{"id": 1}, {"id": 2}], "count": 2}},
        "load": {"status": "skipped", "outputs": None},
    },
    "execution": {"id": "e-1", "duration": 48.5, "started_at": "2025-11-29T09:00:00Z"},
    "values": [3, 1, 2],
    "huge": 10**5000,
    "many": list(range(200_000)),
    "text": "x" * 200_000,
    "deep": DEEP,
    "deep_too": nested(50_000),
    "odd": {"nan": float("nan"), "number": 1e308, 5: "five"},
    "token": Secret("TOKEN", CANARY),
    "mixed": {"list": [1, Secret("TOKEN", CANARY)]},
    "secret": lambda name: Secret(name, CANARY),
}


def evaluate(text: str) -> Any:
    return compile_expression(text).evaluate(SCOPE)


def refusal(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text)
    return caught.value


def check_error(error: ExpressionError, text: str) -> None:
    assert error.message
    assert 0 <= error.offset <= len(text)
    assert CANARY not in repr((error.message, error.hint))


MEANINGS = {
    # literals
    "1_000": 1000,
    "2.5e3": 2500.0,
    ".5": 0.5,
    "true": True,
    "null": None,
    "[True, False, None]": [True, False, None],
    "'it\\'s \\u00e4 \\\\ \\n'": "it's ä \\ \n",
    "[]": [],
    "{'a': 1, \"b\": [2]}": {"a": 1, "b": [2]},
    # names, keys and positions
    "LIMIT": 100,
    "name": "Köln",
    "steps.ingest.outputs.count": 2,
    "steps['ingest'].outputs['count']": 2,
    "steps.ingest.outputs.entities[1].id": 2,
    "steps.ingest.outputs.entities[-1]['id']": 2,
    "steps.ingest.outputs.entities[LIMIT - 99].id": 2,
    "item['class']": "A",
    "item.__typename": "Entity",
    "name[0]": "K",
    "{'a': {'b': 7}}.a.b": 7,
    "values": [3, 1, 2],
    # arithmetic
    "7 // 2 + 7 % 2 * 10 - -1": 14,
    "1 / 4": 0.25,
    "'a' + 'b'": "ab",
    "[1] + [2]": [1, 2],
    "'-' * 3": "---",
    "3 * '-'": "---",
    # comparison and logic
    "1 < 2 <= 2 != 3": True,
    "1 < 2 > 2": False,
    "1 == 1.0": True,
    "'a' < 'b'": True,
    "nothing == null": True,
    "many != null and many != []": True,
    "steps.ingest.outputs.entities == [{'id': 1}, {'id': 2}]": True,
    "{'id': 2} in steps.ingest.outputs.entities": True,
    "'x' in item.tags and 'z' not in item.tags": True,
    "'price' in item": True,
    "'öl' in name": True,
    "199999 in many": True,
    "not flag": False,
    "0 or 'else'": "else",
    "[] and missing": [],
    "LIMIT == 100 or missing": True,
    "'big' if LIMIT > 50 else missing": "big",
    "flag and\n  LIMIT\r\n  > 1": True,
    # functions
    "len(steps.ingest.outputs.entities)": 2,
    "len(many)": 200_000,
    "len(name) + len({'a': 1})": 5,
    "sum([1, 2.5])": 3.5,
    "sum([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])": 1.0,
    "sum([])": 0,
    "min(values) + max(3, 9, 4)": 10,
    "max(['a', 'b'])": "b",
    "round(2.345, 2)": 2.35,
    "round(1234, -2)": 1200,
    "round(2.6)": 3,
    "any([0, 1]) and not all([0, 1])": True,
    "sorted(values)": [1, 2, 3],
    "sorted(['b', 'a'])": ["a", "b"],
    "default(nothing, 5)": 5,
    "default(0, 5)": 0,
    "default(item.missing.more, 'none')": "none",
    "default(steps.load.outputs.rows, [])": [],
    "default(item.tags[7], 'none')": "none",
    "default(1, missing)": 1,
    "abs(-3)": 3,
    "str(1.0) + str(true) + str('a') + str([1, null])": "1.0truea[1,null]",
    "int('12') + int(2.9) + float('0.5')": 14.5,
    "upper('straße') + lower('ABC')": "STRASSEabc",
    "join(['a', 1, true], ', ')": "a, 1, true",
    "join(item.tags)": "xy",
    "keys(item.d)": ["k"],
    "values(item.d)": [1],
    "format_date(execution.started_at, '%Y-%m-%d %H:%M:%S %z')": "2025-11-29 09:00:00 +0000",
    "format_date('2025-11-29T23:30:00+05:30', '%A %a %d %B %b %y, %I:%M %p %z %j G%G-%V %u')": (
        "Saturday Sat 29 November Nov 25, 11:30 PM +0530 333 G2025-48 6"
    ),
    "format_date('2025-11-29', '%F %T.%f 100%%')": "2025-11-29 00:00:00.000000 100%",
    "format_date(0, '%F')": "1970-01-01",
    "format_date(-1.5, '%T')": "23:59:58",
}


@pytest.mark.parametrize(("text", "value"), MEANINGS.items(), ids=MEANINGS)
def test_an_expression_means(text: str, value: Any) -> None:
    result = evaluate(text)
    assert result == value
    assert type(result) is type(value)


def test_every_function_has_a_meaning_in_the_table() -> None:
    unused = [name for name in FUNCTIONS if not any(f"{name}(" in text for text in MEANINGS)]
    assert unused == []


ATTACKS = [
    # reaching Python objects
    "().__class__.__bases__[0].__subclasses__()",
    "''.__class__",
    "name.__class__.__mro__",
    "[].__len__()",
    "len.__self__",
    "len.__globals__",
    "len",
    "secret",
    "secret.__globals__",
    "steps.__class__",
    "item.items()",
    "item.get('price')",
    "name.format(item)",
    "'{0.__class__}'.format(name)",
    "name.upper()",
    "token._value",
    "token.reveal()",
    "token.name",
    "__import__('os').system('id')",
    "__builtins__",
    "open('/etc/passwd')",
    "eval('1')",
    "getattr(name, 'upper')",
    "(len)(name)(name)",
    "[len][0](name)",
    "(lambda: 1)()",
    "lambda: 1",
    "[x for x in values]",
    "{x for x in values}",
    "{x: x for x in values}",
    "(x for x in values)",
    "sum(x for x in values)",
    "(x := 5)",
    "f'{name}'",
    "f'{name.__class__}'",
    'f"{f"{1}"}"',
    "rb'a'",
    "b'a'",
    "r'a'",
    "u'a'",
    "'''a'''",
    '""""""',
    "*values",
    "[*values]",
    "len(*values)",
    "{**item}",
    "max(values, key=len)",
    "sorted(values, reverse=true)",
    "len(values, **item)",
    "len(**item)",
    "{1: 2}",
    "{1, 2}",
    "1, 2",
    "(1, 2)",
    "...",
    "1j",
    "values[0:1]",
    "values[::]",
    "values[true]",
    "values[0.0]",
    "values['0']",
    "odd[5]",
    "item[item]",
    "await name",
    "yield 1",
    "yield from values",
    "name; name",
    "name = 1",
    "name is null",
    "import os",
    "secret(name)",
    "secret('a' + 'b')",
    "secret()",
    "secret('a', 'b')",
    "secret(name='a')",
    "secret(*values)",
    # too much work
    "9**9**9",
    "2**-1",
    "7 ** 4000000",
    "1 << 1000000000",
    "~1",
    "5 & 3",
    "5 | 3",
    "5 ^ 3",
    "values @ values",
    "'a' * 10**9",
    "'a' * 1000000000",
    "1000000000 * 'a'",
    "'ab' * 50001",
    "[0] * 1000000000",
    "1000000000 * [0]",
    "[[0] * 100000] * 100000",
    "many + many",
    "text + text",
    "'%0999999999d' % 1",
    "'%s' % name",
    "name % 1",
    "name.ljust(2000000000)",
    "round(5, -3000000)",
    "round(5, 10000000)",
    "round(5.5, 1.5)",
    "round(5, true)",
    "round(1e300)",
    "int(1e300)",
    "9" * 78,
    "9" * 1999,
    " * ".join(["9999999999999999"] * 10),
    "huge + 1",
    "huge * huge",
    "-huge",
    "huge / 2",
    "1.0 * huge",
    "huge % 7",
    "round(huge, -40)",
    "sum([huge])",
    "sum([huge, 1.5])",
    "sum([odd.number, odd.number])",
    "sum(many)",
    "sorted(many)",
    "max(many)",
    "any(many)",
    "join(many, '')",
    "join(['" + "a" * 500 + "', text], '')",
    "join([1, 2, 3, 4], 'a' * 50000)",
    "lower(text)",
    "str(text)",
    "str(many)",
    "str(deep)",
    "str(odd.nan)",
    "deep == deep_too",
    "deep in [deep_too]",
    "[many, many, many] == [many, many, many]",
    "[text, text, text] in [[text, text, text]]",
    "int(text)",
    "float('1' * 200)",
    "format_date(0, '%1000000000Y')",
    "format_date(0, '%-d')",
    "format_date(0, '%c')",
    "format_date(0, '%')",
    "format_date(0, '%Y' * 40000)",
    "format_date(1e300, '%Y')",
    "format_date(odd.nan, '%Y')",
    "format_date(10 * 1000000000000000, '%Y')",
    "format_date('1' * 90000, '%Y')",
    "format_date(true, '%Y')",
    "[" + ", ".join(["sorted(values)"] * 120) + "]",
    # too large or too deep a text
    "(" * 1000 + ")" * 1000,
    "(" * 41 + "1" + ")" * 41,
    "[" * 500 + "]" * 500,
    "{'a':" * 60 + "1" + "}" * 60,
    "-" * 1999 + "1",
    "not " * 400 + "1",
    "+".join(["1"] * 300),
    "name" + ".a" * 800,
    "name" + "[0]" * 300,
    "1 if 1 else " * 150 + "1",
    " and ".join(["1"] * 300),
    " < ".join(["1"] * 300),
    "[" + ",".join(["1"] * 900) + "]",
    "{" + ",".join(["'a':1"] * 300) + "}",
    "1" + " " * 2000,
    "'" + "a" * 2000 + "'",
    # texts that Python reads in its own way
    "",
    "   \n",
    "\0",
    "1\0",
    "1 # comment",
    "1 \\\n+ 1",
    "1)+(1",
    "(]",
    "'unclosed",
    '"unclosed\n"',
    "'\\d'",
    "'\\N{BULLET}'",
    "'\\777'",
    "'\\x4'",
    "'\\ud80'",
    "\ud800",
    "'\ud800'",
    "1if 1else 2",
    "0xfor 1",
    "0x10",
    "007",
    "1__0",
    "1.e",
    "1..real",
    "1e999",
    "-1e999",
    "inf",
    "nan",
    "\uff4c\uff45\uff4e(name)",
    "\ufb01le",
    "1\xa0+ 1",
    "1\x0c+ 1",
    "名前 =",
    "item.class",
    "item.None",
    "name.true.",
    "1 +",
    "a b",
    "'a' b",
    "a && b",
    "a || b",
    "!a",
    "a ? b : c",
    "$name",
    "print 1",
    # wrong values
    "missing",
    "item.missing",
    "item['missing']",
    "nothing.key",
    "steps.load.outputs.rows",
    "values[3]",
    "values[-4]",
    "values[huge]",
    "name.length",
    "LIMIT.real",
    "flag.real",
    "1 / 0",
    "1 // 0",
    "1 % 0",
    "1 / 0.0",
    "odd.number * 10",
    "odd.nan + 1",
    "-odd.nan",
    "1 + 'a'",
    "'a' - 'b'",
    "[1] - [1]",
    "'a' * 1.5",
    "-name",
    "1 < 'a'",
    "null < 1",
    "[1] < [2]",
    "1 in 1",
    "1 in 'a'",
    "[1] in item",
    "len(5)",
    "sum(['a'])",
    "sum(name)",
    "min([])",
    "max([1, 'a'])",
    "max([null])",
    "sorted([1, 'a'])",
    "sorted([[1], [2]])",
    "sorted(item)",
    "join([[1]])",
    "join('ab', 1)",
    "upper(1)",
    "int('x')",
    "int(null)",
    "int([1])",
    "float('nan')",
    "float('inf')",
    "float(huge)",
    "keys([1])",
    "values(1)",
    "abs('a')",
    "round('a')",
    "len()",
    "len(1, 2)",
    "default(1)",
    "lenght(values)",
    "format_date('yesterday', '%Y')",
    "format_date(0, 5)",
    # secrets
    "token == 'a'",
    "'a' == token",
    "token == token",
    "token != null",
    "token < token",
    "token in [1]",
    "1 in token",
    "'a' in token",
    "not token",
    "token and 1",
    "1 if token else 2",
    "token + 'a'",
    "'a' + token",
    "token * 2",
    "-token",
    "token[0]",
    "token.a",
    "token['a']",
    "item[token]",
    "values[token]",
    "len(token)",
    "str(token)",
    "lower(token)",
    "join([token])",
    "[token]",
    "{'a': token}",
    "default(token, 1) == 1",
    "secret('X') + 'a'",
    "len(secret('X'))",
    "mixed == mixed",
    "mixed.list == [1, 2]",
    "1 in mixed.list",
    "[1, 2] in [mixed.list]",
    "sum(mixed.list)",
    "max(mixed.list)",
    "sorted(mixed.list)",
    "any(mixed.list)",
    "join(mixed.list)",
    "str(mixed)",
]


@pytest.mark.parametrize("text", ATTACKS, ids=lambda text: ascii(text)[:60])
def test_is_refused(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = refusal(text)
    check_error(error, text)


def test_no_attack_is_listed_twice() -> None:
    assert len(ATTACKS) == len(set(ATTACKS))


@pytest.mark.parametrize(
    ("text", "offset", "message", "hint"),
    [
        (
            "LIMIT + limit",
            8,
            "there is no name 'limit'; the names are: 'LIMIT', 'name', 'flag', 'nothing', 'item', "
            "'steps', 'execution', 'values' and 8 more",
            "did you mean 'LIMIT'?",
        ),
        ("stepz.ingest", 0, None, "did you mean 'steps'?"),
        (
            "steps.ingest.outputs.entites",
            21,
            "there is no key 'entites'; the keys are: 'entities', 'count'",
            "did you mean 'entities'?",
        ),
        ("steps . ingst", 8, None, "did you mean 'ingest'?"),
        ("name == 'ä' or item['tag']", 20, None, "did you mean 'tags'?"),
        ("1 +\r\n ( nam.a\n + missing)", 8, None, "did you mean 'name'?"),
        ("näme.a", 1, "'ä' is not part of the expression language", ""),
        ("1 +\r\n ( name[0]\n + missing)", 19, None, ""),
        (
            "item[name]",
            5,
            "there is no such key in a mapping",
            "",
        ),
        (
            "steps.load.outputs.rows",
            19,
            "there is no key 'rows', because the value before it is null",
            "",
        ),
        ("lenght(values)", 0, "there is no function 'lenght'", "did you mean 'len'?"),
        ("1 + name.upper()", 4, None, "write upper(...)"),
        ("flag && flag", 5, "'&' is not part of the expression language", "write 'and'"),
        ("LIMIT = 1", 6, "'=' is not part of the expression language", "write '=='"),
        ("item.class", 5, None, 'write a key as ["class"]'),
        ("(1 + [2)", 7, "the expression cannot be understood from here on", ""),
        ("1 + (2", 4, "the expression cannot be understood from here on", ""),
        ("1 + ", 3, "the expression ends too early", ""),
        ("flag LIMIT", 5, "the expression cannot be understood from here on", ""),
        (
            "1 + 'it",
            4,
            "this text is not part of the expression language",
            "texts need a closing quote, no prefix, and two backslashes for one",
        ),
        ("values[0:1]", 7, "'0:1' is not part of the expression language", ""),
        ("LIMIT ** 2", 6, "'*' is not part of the expression language", "write a * a"),
        ("LIMIT / 0", 0, "division by zero", "test for 0 first: a / b if b else 0"),
        ("LIMIT + 'a'", 0, "cannot add a number and text", ""),
        ("1 + token", 0, "a secret can be passed on, but not computed with", ""),
        ("len(1, 2)", 0, "len takes 1 argument, not 2", ""),
        ("round()", 0, "round takes 1 to 2 arguments, not 0", ""),
    ],
)
def test_an_error_says_where_what_and_what_next(
    text: str, offset: int, message: str | None, hint: str
) -> None:
    error = refusal(text)
    assert (error.offset, error.hint) == (offset, hint)
    assert message is None or (error.message, str(error)) == (message, message)


@pytest.mark.parametrize(
    "text",
    [
        "int(v)",
        "float(v)",
        "item[v]",
        "values[v]",
        "format_date(v, '%Y')",
        "format_date(0, v)",
        "v + 1",
        "v < 1",
        "sum([v])",
        "lower(v) + upper(v) + v.a",
        "{'a': 1}[v]",
    ],
)
def test_an_error_never_quotes_data(text: str) -> None:
    scope = {"v": f"%{CANARY}", "item": {"a": 1}, "values": [1]}
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text).evaluate(scope)
    error: BaseException | None = caught.value
    assert CANARY not in caught.value.hint
    while error is not None:
        assert CANARY not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "text",
    [
        "token",
        "secret('TOKEN')",
        "token if flag else 1",
        "default(token, 1)",
        "default(nothing, token)",
        "nothing or token",
        "flag and token",
        "mixed.list[1]",
        "values(mixed)[0][1]",
    ],
)
def test_a_secret_is_passed_on_whole(text: str) -> None:
    assert isinstance(evaluate(text), Secret)


def test_what_the_resolver_of_secrets_raises_passes() -> None:
    def resolve(name: str) -> Any:
        raise LookupError(name)

    expression = compile_expression("default(secret('TOKEN'), 1)")
    with pytest.raises(LookupError, match="TOKEN"):
        expression.evaluate({"secret": resolve})
    with pytest.raises(ExpressionError, match="secrets cannot be used here"):
        expression.evaluate({})


def test_only_the_branch_that_is_taken_asks_for_its_secret() -> None:
    asked: list[str] = []
    expression = compile_expression("secret('A') if flag else default(1, secret('B'))")
    assert expression.evaluate({"flag": False, "secret": asked.append}) == 1
    assert asked == []
    assert expression.secrets == {"A", "B"}


def test_names_are_the_longest_static_paths_with_their_first_places() -> None:
    text = (
        "len(steps.ingest.outputs.entities) > LIMIT and item['k'].a[0].b[i.j] == steps[x].y or "
        "{'a': LIMIT}.a and execution.duration < values(item)[0].z"
    )
    expression = compile_expression(text)
    assert expression.name_offsets == {
        ("steps", "ingest", "outputs", "entities"): text.index("steps.ingest"),
        ("LIMIT",): text.index("LIMIT"),
        ("item", "k", "a"): text.index("item"),
        ("i", "j"): text.index("i.j"),
        ("steps",): text.index("steps[x]"),
        ("x",): text.index("x]"),
        ("execution", "duration"): text.index("execution"),
        ("item",): text.index("item)"),
    }
    assert expression.names == frozenset(expression.name_offsets)
    assert expression.secrets == frozenset()


def test_one_evaluation_looks_at_a_bounded_amount_of_data() -> None:
    scope = {"v": [0] * 60_000}
    assert len(compile_expression("[sorted(v), sum(v)]").evaluate(scope)) == 2
    with pytest.raises(ExpressionError, match="too much data"):
        compile_expression("[sorted(v), sorted(v), sorted(v)]").evaluate(scope)


def test_the_first_place_of_a_name_is_by_text_not_by_evaluation() -> None:
    assert compile_expression("A if B else A").name_offsets == {("A",): 0, ("B",): 5}


def test_constants_and_functions_are_no_names() -> None:
    assert compile_expression("len([true, False, null]) == secret('X')").names == frozenset()


def test_data_is_not_changed_or_shared_by_literals() -> None:
    expression = compile_expression("[1] if flag else values")
    expression.evaluate({"flag": True}).append(2)
    assert expression.evaluate({"flag": True}) == [1]
    data = [3, 1]
    compile_expression("sorted(v) + v").evaluate({"v": data}).append(9)
    assert data == [3, 1]


def test_an_expression_can_be_copied_and_pickled() -> None:
    expression = compile_expression("LIMIT + 1")
    for twin in (copy.deepcopy(expression), pickle.loads(pickle.dumps(expression))):
        assert twin.text == "LIMIT + 1"
        assert twin.evaluate({"LIMIT": 1}) == 2


def explained(text: str) -> str:
    return "\n".join(compile_expression(text).explain(SCOPE).lines())


def test_an_explanation_shows_the_value_of_each_part_that_was_reached() -> None:
    text = """len(steps.ingest.outputs.entities) >= LIMIT
        or 0 < execution.duration <= 50 and (flag if LIMIT == 1 else name) == 'Bonn'
        or true"""
    assert explained(text) == (
        "len(steps.ingest.outputs.entities) >= LIMIT or 0 < execution.duration <= 50 and "
        "(flag if LIMIT == 1 else name) == 'Bonn' or true  = true\n"
        "  len(steps.ingest.outputs.entities) >= LIMIT  = false\n"
        "    len(steps.ingest.outputs.entities)  = 2\n"
        '      steps.ingest.outputs.entities  = [{"id": 1}, {"id": 2}]\n'
        "    LIMIT  = 100\n"
        "  0 < execution.duration <= 50 and (flag if LIMIT == 1 else name) == 'Bonn'  = false\n"
        "    0 < execution.duration <= 50  = true\n"
        "      execution.duration  = 48.5\n"
        "    (flag if LIMIT == 1 else name) == 'Bonn'  = false\n"
        '      flag if LIMIT == 1 else name  = "Köln"\n'
        "        LIMIT == 1  = false\n"
        "          LIMIT  = 100\n"
        '        name  = "Köln"'
    )


def test_an_explanation_shows_where_an_error_arose() -> None:
    assert explained("LIMIT > 1 and item.size / LIMIT > values[0]") == (
        "LIMIT > 1 and item.size / LIMIT > values[0]  ! see below\n"
        "  LIMIT > 1  = true\n"
        "    LIMIT  = 100\n"
        "  item.size / LIMIT > values[0]  ! see below\n"
        "    item.size / LIMIT  ! see below\n"
        "      item.size  ! there is no key 'size'; the keys are: "
        "'class', 'price', 'tags', '__typename', 'd'"
    )
    explanation = compile_expression("1 + missing").explain({})
    assert explanation.value is None
    assert explanation.error == "there is no name 'missing'; the names are: none"


def test_an_explanation_shortens_long_values_and_hides_secrets() -> None:
    lines = explained("default(item.none, token) if len(many) == len(text) else mixed")
    assert lines == (
        "default(item.none, token) if len(many) == len(text) else mixed  = (secret)\n"
        "  len(many) == len(text)  = true\n"
        "    len(many)  = 200000\n"
        "      many  = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, …\n"
        "    len(text)  = 200000\n"
        f'      text  = "{"x" * 58}…\n'
        "  default(item.none, token)  = (secret)\n"
        "    item.none  ! there is no key 'none'; the keys are: "
        "'class', 'price', 'tags', '__typename', 'd'\n"
        "    token  = (secret)"
    )
    assert explained("mixed") == 'mixed  = {"list": [1, "(secret)"]}'
    assert explained("deep").startswith("deep  = [[[[")


def test_an_explanation_asks_for_a_secret_once() -> None:
    asked: list[str] = []
    compile_expression("default(secret('A'), 1) == 1").explain({"secret": asked.append})
    assert asked == ["A"]


SCRAPS = st.sampled_from(
    [
        *SCOPE,
        *FUNCTIONS,
        *("secret('X')", "default", "x", "1", "0", "-1", "2.5", "99", "'a'", '"b"', "null", "true"),
        *("(", ")", "[", "]", "{", "}", ",", ".", ":", "+", "-", "*", "/", "//", "%", "<", "=="),
        *(" in ", " not ", " and ", " or ", " if ", " else ", " is ", "**", "lambda", "for", "='"),
        *("outputs", "entities", "ingest", "\n", "\\", "#", "f'", "é", "\r"),
    ]
)
TERMS = [*SCOPE, "1", "0", "2.5", "'a'", "null", "true", "[]", "item.tags", "odd.nan", "mixed.list"]
SHAPES = [
    *(f"({{}} {sign} {{}})" for sign in ("+", "-", "*", "/", "//", "%", "<", "==", "in")),
    *("({} and {})", "({} or {})", "({0} if {1} else {0})", "{}[{}]", "[{}, {}]"),
    *(f"{name}({{}})" for name in FUNCTIONS),
    *(f"{name}({{}}, {{}})" for name in ("default", "join", "max", "round", "format_date")),
]
GRAMMAR = st.recursive(
    st.sampled_from(TERMS),
    lambda inner: st.tuples(st.sampled_from(SHAPES), inner, inner).map(
        lambda drawn: drawn[0].format(*drawn[1:])
    ),
    max_leaves=8,
)


def never_fails_otherwise(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            expression = compile_expression(text)
            explanation = expression.explain(SCOPE)
            value = expression.evaluate(SCOPE)
        except ExpressionError as error:
            check_error(error, text)
        else:
            assert explanation.error == ""
            assert explanation.lines()
            assert CANARY not in repr(value) if "deep" not in text and "huge" not in text else True


@given(st.text())
def test_random_text_gives_a_value_or_an_expression_error(text: str) -> None:
    never_fails_otherwise(text)


@given(st.lists(SCRAPS, max_size=12).map("".join))
def test_shuffled_scraps_give_a_value_or_an_expression_error(text: str) -> None:
    never_fails_otherwise(text)


@given(GRAMMAR)
def test_well_formed_expressions_give_a_value_or_an_expression_error(text: str) -> None:
    never_fails_otherwise(text)
