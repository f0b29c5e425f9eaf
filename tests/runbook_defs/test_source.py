"""Reading YAML: places, scalars, and files that are made to hurt."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runbook_defs import source
from runbook_defs.problems import Code
from runbook_defs.source import Document, Place, load_document, parse_document

PATH = Path("runbook.yaml")


def parse(text: str | bytes) -> Document:
    return parse_document(text if isinstance(text, bytes) else text.encode(), path=PATH)


def scalar(text: str) -> Any:
    document = parse(f"key: {text}\n")
    assert document.problems == []
    return document.data["key"]


def code(text: str | bytes) -> Code:
    document = parse(text)
    (problem,) = document.problems
    assert not document.readable
    return problem.code


def test_every_key_and_value_has_its_place() -> None:
    document = parse('a: 1\nlist:\n  - x\n  - {k: "v", m: [2]}\ntext: |\n  block\n')
    assert document.readable
    assert document.data == {"a": 1, "list": ["x", {"k": "v", "m": [2]}], "text": "block\n"}
    assert document.keys == {
        ("a",): Place(1, 1),
        ("list",): Place(2, 1),
        ("list", 1, "k"): Place(4, 6),
        ("list", 1, "m"): Place(4, 14),
        ("text",): Place(5, 1),
    }
    assert document.values == {
        (): Place(1, 1),
        ("a",): Place(1, 4),
        ("list",): Place(3, 3),
        ("list", 0): Place(3, 5),
        ("list", 1): Place(4, 5),
        ("list", 1, "k"): Place(4, 9),
        ("list", 1, "m"): Place(4, 17),
        ("list", 1, "m", 0): Place(4, 18),
        ("text",): Place(5, 7),
    }


def test_columns_count_characters_not_bytes() -> None:
    document = parse("{ü: ☃, 🌙: x}\n")
    assert document.values[("ü",)] == Place(1, 5)
    assert document.keys[("🌙",)] == Place(1, 8)
    assert document.values[("🌙",)] == Place(1, 11)


def test_what_is_not_there_has_the_place_of_its_nearest_parent() -> None:
    document = parse("a:\n  - {b: 1}\n")
    assert document.place(("a", 0, "c", 5)) == Place(2, 5)
    assert document.place(("a", 7), key=True) == Place(1, 1)
    assert document.place(("z",)) == Place(1, 1)
    assert document.get(("a", 0, "b")) == 1
    assert document.get(("a", 0, "c", 5)) is None


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("key: one ${x}", Place(1, 12)),
        ('key: "one ${x}"', Place(1, 13)),
        ("key: 'it''s ${x}'", Place(1, 15)),
        (r'key: "\"q\" ${x}"', Place(1, 15)),
        ("key: |\n  one\n  ${x}", Place(3, 5)),
        ("key: >-\n\n    one\n    two ${x}", Place(4, 11)),
        ("key: one\n  two\n  ${x}", Place(3, 5)),
        (r'key: "\u00fc ${x}"', Place(1, 6)),  # an escape: the place of the whole
    ],
)
def test_a_place_inside_a_text_is_found_however_it_is_written(written: str, place: Place) -> None:
    document = parse(written + "\n")
    offset = document.data["key"].index("x")
    assert document.place_inside(("key",), offset) == place


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "N", "0x1f", "0o17", "1_000", "1:59", "1:59:59", "2024-01-31",
     "2024-01-31T10:00:00Z", ".inf", "-.INF", ".nan", "1e999", "=", ".", "+", "1.2.3", "tRUE"],
)  # fmt: skip
def test_what_yaml_1_2_does_not_know_stays_text(text: str) -> None:
    assert scalar(text) == text
    assert type(scalar(text)) is str


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None), ("7", 7),
     ("-12", -12), ("+3", 3), ("007", 7), ("1.10", 1.1), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0)],
)  # fmt: skip
def test_scalars_of_the_core_schema(text: str, value: Any) -> None:
    found = scalar(text)
    assert found == value
    assert isinstance(found, type(value))
    assert scalar(f"'{text}'") == text


@pytest.mark.parametrize("text", ["007", "1.10", "+3", "1e3"])
def test_a_number_remembers_how_it_was_written(text: str) -> None:
    assert scalar(text).text == text


def test_a_number_of_endless_digits_stays_text() -> None:
    assert scalar("9" * 5000) == "9" * 5000
    assert scalar("1" * 250_000) == "1" * 250_000


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "text\n", "- a\n", "5\n", "a: 1\n---\nb: 2\n"])
def test_anything_but_one_mapping_is_refused(text: str) -> None:
    assert code(text) is Code.NOT_ONE_MAPPING


def test_bombs_are_refused_where_they_begin() -> None:
    brackets = parse("[" * 30_000)
    assert brackets.problems[0].code is Code.NOT_ONE_MAPPING
    assert code("a: " + "[" * 30_000) is Code.TOO_DEEP
    assert code("a: " + "{b: " * 30_000) is Code.TOO_DEEP
    assert code("a: " + "[" * 100_000 + "]" * 100_000) is Code.TOO_DEEP
    assert code("".join(f"{' ' * level}a:\n" for level in range(300))) is Code.TOO_DEEP
    assert code("? " * 30_000) is Code.KEY_NOT_TEXT
    assert code("{{{: 1}}}") is Code.KEY_NOT_TEXT
    assert code("a: [" + "x," * 20_001 + "]") is Code.TOO_MANY_NODES
    assert code("a: &a [x]\n" + "".join(f"b{i}: [*a, *a]\n" for i in range(50))) is Code.ALIAS
    assert code("a: *a\n") is Code.ALIAS
    assert code("*a : 1\n") is Code.ALIAS
    assert code("a:\n  <<: [{b: 1}, {c: 2}]\n") is Code.MERGE_KEY
    assert code("a: !!python/object/apply:os.system [id]\n") is Code.TAG
    assert code("!!set {a, b}\n") is Code.TAG
    assert parse("a: 1" + ":59" * 60_000).data == {"a": "1" + ":59" * 60_000}


def test_the_deepest_that_is_allowed_is_read() -> None:
    def nested(levels: int) -> str:
        return "a: " + "[" * levels + "]" * levels

    assert parse(nested(source.MAX_DEPTH - 1)).readable
    assert code(nested(source.MAX_DEPTH)) is Code.TOO_DEEP


def test_a_merge_key_in_quotes_is_a_key() -> None:
    assert parse('"<<": 1\n').data == {"<<": 1}


def test_a_large_file_is_read_only_up_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runbook.yaml"
    path.write_bytes(b"a: 1 # " + b"x" * 10_000_000)
    read: list[int] = []

    def note(raw: bytes, *, path: Path) -> Document:
        read.append(len(raw))
        return parse_document(raw, path=path)

    monkeypatch.setattr(source, "parse_document", note)
    (problem,) = load_document(path).problems
    assert problem.code is Code.TOO_LARGE
    assert read == [source.MAX_BYTES + 1]


def test_the_largest_file_that_is_allowed_is_read() -> None:
    text = b"a: 1 #"
    assert parse(text + b"x" * (source.MAX_BYTES - len(text))).readable
    assert code(text + b"x" * (source.MAX_BYTES - len(text) + 1)) is Code.TOO_LARGE


def test_encodings() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\n").data == {"a": 1}
    assert parse(b"\xef\xbb\xbfa: 1\n").keys[("a",)] == Place(1, 1)
    assert parse("a: 1\r\nb: {c: 2}\r\n").keys[("b", "c")] == Place(2, 5)
    assert code("a: 1\n".encode("utf-16")) is Code.NOT_UTF8
    assert code(b"a: \xed\xa0\x80\n") is Code.NOT_UTF8  # half of a surrogate pair


def test_a_byte_that_is_not_utf_8_has_its_place() -> None:
    (problem,) = parse("a: ü\nb: ü ".encode() + b"\xff\n").problems
    assert (problem.code, problem.line, problem.column) == (Code.NOT_UTF8, 2, 6)
    (first,) = parse(b"\xff").problems
    assert (first.line, first.column) == (1, 1)


@pytest.mark.parametrize("char", ["\0", "\x07", "\x1b", "\x7f", "\x9b", "\ufeff", "\ufffe"])
def test_a_control_character_has_its_place(char: str) -> None:
    (problem,) = parse(f"a: 1\nb: ü{char}\n").problems
    assert (problem.code, problem.line, problem.column) == (Code.MALFORMED, 2, 5)


def test_keys_are_text() -> None:
    assert parse("1: a\n1.10: b\ntrue: c\n~: d\non: e\n").data == {
        "1": "a",
        "1.10": "b",
        "true": "c",
        "~": "d",
        "on": "e",
    }
    assert code("? [a]\n: b\n") is Code.KEY_NOT_TEXT


def test_of_a_duplicate_key_the_first_counts_and_all_of_them_are_named() -> None:
    document = parse("a: 1\nb: {c: 1, c: {d: [2]}, c: 3}\na: [x, {y: 1}]\n")
    assert document.data == {"a": 1, "b": {"c": 1}}
    assert [(item.code, item.line, item.column) for item in document.problems] == [
        (Code.DUPLICATE_KEY, 2, 11),
        (Code.DUPLICATE_KEY, 2, 24),
        (Code.DUPLICATE_KEY, 3, 1),
    ]
    assert document.values[("b", "c")] == Place(2, 8)
    assert document.readable


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_what_cannot_be_read_is_a_problem(name: str, tmp_path: Path) -> None:
    (problem,) = load_document(tmp_path / name).problems
    assert problem.code is Code.UNREADABLE


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(raw: bytes) -> None:
    parse(raw)


@given(st.text("ab:-[]{},#&*!|>'\"%@?<\n\t \r~1.0", max_size=80))
def test_random_yaml_characters_never_raise_and_agree_with_the_parser(text: str) -> None:
    document = parse(text)
    if not document.readable or document.problems:
        assert document.problems
        return
    loaded = yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    assert document.data.keys() == loaded.keys()
