"""A YAML file as data, with the line and column of every key and value.

One pass over the parser's events guards, builds and remembers places at once, without recursion: a
loader that first composes the whole tree can be made to crash or to burn minutes by a few lines.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml import events

from runbook_defs.problems import Code, Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_NODES = 20_000
MAX_DIGITS = 300

Location = tuple[str | int, ...]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# YAML 1.2's core schema, less the octal and hexadecimal forms and the infinities that JSON lacks.
_INTEGER = re.compile(r"[-+]?[0-9]+")
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ufffd\U00010000-\U0010ffff]|\ufeff")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class WrittenInt(int):
    """A whole number that remembers how it was written, for fields that want text (`007`)."""

    text: str


class WrittenFloat(float):
    """A number that remembers how it was written, for fields that want text (`1.10`)."""

    text: str


@dataclass(frozen=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


def _follow(value: str, offset: int, lines: list[str]) -> tuple[int, int] | None:
    """The line and column, from 0, of `value[offset]` in the lines that it was read from.

    Blanks and line ends are what YAML folds and indents, so only the other characters are followed.
    """
    style = lines[0][:1]
    skip = len(lines[0]) if style in {"|", ">"} else 1 if style in {"'", '"'} else 0
    written = (
        (number, column, char)
        for number, line in enumerate(lines)
        for column, char in enumerate(line)
        if not char.isspace() and (number or column >= skip)
    )
    place = None
    for char in value[: offset + 1]:
        if char.isspace():
            continue
        place = next(written, None)
        if (place and place[2] != char and style == '"' and place[2] == "\\") or (
            place and char == style == "'"
        ):
            place = next(written, None)
        if place is None or place[2] != char:
            return None
    if place is None:
        return None
    # What is looked for is a blank or the end: it stands behind the last character.
    behind = offset >= len(value) or value[offset].isspace()
    return place[0], place[1] + behind


@dataclass
class Document:
    """One YAML file: its data (a mapping), where each key and value stands, and what is wrong so far."""

    path: Path
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    keys: dict[Location, Place] = field(default_factory=dict)
    values: dict[Location, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    readable: bool = False

    def place(self, location: Location, *, key: bool = False) -> Place:
        """Where `location` stands; for one that is not in the file, its nearest parent that is."""
        for end in range(len(location), -1, -1):
            found = (self.keys if key else self.values).get(location[:end])
            found = found or self.keys.get(location[:end]) or self.values.get(location[:end])
            if found:
                return found
        return Place(1, 1)

    def place_inside(self, location: Location, offset: int) -> Place:
        """Where the character `offset` of the text at `location` stands, also in a block of lines.

        The place of the text itself when it is not written as it is read, as with escapes.
        """
        start, value = self.place(location), self.get(location)
        lines = self.text.splitlines()[start.line - 1 :]
        if not isinstance(value, str) or not lines:
            return start
        place = _follow(value, offset, [lines[0][start.column - 1 :], *lines[1:]])
        if place is None:
            return start
        return Place(start.line + place[0], place[1] + (1 if place[0] else start.column))

    def get(self, location: Location) -> Any:
        """The value at `location`, or None."""
        value: Any = self.data
        for part in location:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def load_document(path: Path) -> Document:
    """Reads and parses the YAML file at `path`; never raises for what is in it."""
    document = Document(path=path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        document.problems.append(
            Problem(
                code=Code.UNREADABLE,
                message=f"cannot read the file: {reason}",
                path=path,
                hint="name a runbook file, or a runbook's id",
            )
        )
        return document
    return parse_document(raw, path=path)


def parse_document(raw: bytes, *, path: Path) -> Document:
    """Parses YAML bytes; `path` is only what problems are reported under."""
    document = Document(path=path)
    try:
        if len(raw) > MAX_BYTES:
            message = f"the file is larger than {MAX_BYTES // 1024} KiB"
            raise _Refused(Code.TOO_LARGE, message, hint="keep data in files beside the runbook")
        document.text = raw.decode("utf-8-sig")
        _refuse_control_characters(document.text)
        _Builder(document).build()
        document.readable = True
    except UnicodeDecodeError as error:
        document.text = raw.decode("utf-8-sig", errors="replace")
        before = raw[: error.start].decode("utf-8-sig")
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        refused = _Refused(Code.NOT_UTF8, message, _end(before), "save the file as UTF-8")
        document.problems.append(refused.problem(path))
    except _Refused as refused:
        document.problems.append(refused.problem(path))
    except yaml.YAMLError as error:
        document.problems.append(_malformed(error, document))
    return document


class _Refused(Exception):
    """Reading stops here."""

    def __init__(self, code: Code, message: str, place: Place | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint
        self.place = place or Place(1, 1)

    def problem(self, path: Path) -> Problem:
        return Problem(
            code=self.code,
            message=self.message,
            path=path,
            line=self.place.line,
            column=self.place.column,
            hint=self.hint,
        )


def _end(text: str) -> Place:
    """The place behind `text`."""
    lines = text.splitlines()
    if not lines or text.endswith(("\n", "\r")):
        return Place(len(lines) + 1, 1)
    return Place(len(lines), len(lines[-1]) + 1)


def _refuse_control_characters(text: str) -> None:
    # The parser refuses them too, but does not say where they are.
    if found := _CONTROL.search(text):
        message = f"the character U+{ord(found.group()):04X} is not allowed"
        place = _end(text[: found.start()])
        raise _Refused(Code.MALFORMED, message, place, "remove it: a runbook is plain text")


# What the parser says, in words of ours, and whether the place is where the construct begins.
_MALFORMED = {
    "while parsing a flow sequence": (True, "this '[' is not closed, or a ',' is missing", ""),
    "while parsing a flow mapping": (True, "this '{' is not closed, or a ',' is missing", ""),
    "while scanning a quoted scalar": (True, "this quote is not closed", ""),
    "mapping values are not allowed in this context": (
        False,
        "a second ': ' in one line",
        "put text that has ': ' in it in quotes",
    ),
    "did not find expected '-' indicator": (
        False,
        "this line is not indented like the items of the list above",
        "",
    ),
    "did not find expected key": (
        False,
        "a key was expected here",
        "check the indentation, and whether a quote above is closed",
    ),
}


def _malformed(error: yaml.YAMLError, document: Document) -> Problem:
    marked = error if isinstance(error, yaml.MarkedYAMLError) else yaml.MarkedYAMLError()
    context, problem = marked.context or "", marked.problem or ""
    words = f"{context}, {problem}".strip(", ") or str(error).splitlines()[0]
    known = _MALFORMED.get(context) or _MALFORMED.get(problem)
    at_start, message, hint = known or (False, f"not YAML: {words}", "")
    mark = (marked.context_mark if at_start else None) or marked.problem_mark or marked.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    lines = document.text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        message, hint = "this line is indented with a tab", "indent with spaces"
    return Problem(
        code=Code.MALFORMED,
        message=message,
        path=document.path,
        line=place.line,
        column=place.column,
        hint=hint or "check quotes, indentation and brackets here and above",
    )


@dataclass
class _Open:
    """A mapping or list still being read."""

    location: Location
    value: dict[str, Any] | list[Any]
    key: str | None = None
    skip: bool = False  # the value of a duplicate key is read but not kept


class _Builder:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.stack: list[_Open] = []
        self.nodes = 0
        self.documents = 0

    def build(self) -> None:
        for event in self._events():
            match event:
                case events.DocumentStartEvent():
                    self.documents += 1
                    if self.documents > 1:
                        raise self._refused(
                            Code.NOT_ONE_MAPPING,
                            event,
                            "a second document starts here",
                            "keep one runbook per file",
                        )
                case events.AliasEvent():
                    message = f"alias '*{event.anchor}' is not allowed"
                    raise self._refused(Code.ALIAS, event, message, "write the value out")
                case events.NodeEvent():
                    self._node(event)
                case events.CollectionEndEvent():
                    self.stack.pop()
        if not self.documents:
            raise _Refused(Code.NOT_ONE_MAPPING, "the file is empty", hint="start with `id:`")

    def _events(self) -> Iterator[Any]:
        return iter(yaml.parse(self.document.text, Loader=_Loader))

    def _refused(self, code: Code, event: Any, message: str, hint: str = "") -> _Refused:
        return _Refused(code, message, _place(event), hint)

    def _node(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            message = f"more than {MAX_NODES:,} values"
            raise self._refused(Code.TOO_MANY_NODES, event, message, "split the runbook")
        if event.anchor:
            message = f"anchor '&{event.anchor}' is not allowed"
            raise self._refused(Code.ALIAS, event, message, "write the value out where it is used")
        if event.tag:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            hint = "remove it; text that looks like a number goes in quotes"
            raise self._refused(Code.TAG, event, f"tag '{tag}' is not allowed", hint)
        top = self.stack[-1] if self.stack else None
        if top is None and not isinstance(event, events.MappingStartEvent):
            message = "a runbook is a mapping of keys to values"
            raise self._refused(Code.NOT_ONE_MAPPING, event, message, "start with `id:`")
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(event, top)
        else:
            self._value(event, top)

    def _key(self, event: Any, top: _Open) -> None:
        if not isinstance(event, events.ScalarEvent):
            message = "a key must be text, not a list or mapping"
            raise self._refused(Code.KEY_NOT_TEXT, event, message, "write it as one word")
        key = event.value
        if key == "<<" and not event.style:
            message = "the merge key '<<' is not allowed"
            raise self._refused(Code.MERGE_KEY, event, message, "write the keys out")
        top.key = key
        location = (*top.location, key)
        top.skip = key in top.value
        if top.skip:
            first = self.document.keys[location].line
            refused = self._refused(
                Code.DUPLICATE_KEY,
                event,
                f"key {key!r} is already set on line {first}",
                "keep one of the two",
            )
            self.document.problems.append(refused.problem(self.document.path))
        else:
            self.document.keys[location] = _place(event)

    def _value(self, event: Any, top: _Open | None) -> None:
        location: Location = ()
        if top is not None:
            part = len(top.value) if isinstance(top.value, list) else top.key
            location = (*top.location, part)  # type: ignore[arg-type]
        value: Any
        match event:
            case events.ScalarEvent():
                value = _scalar(event)
            case events.MappingStartEvent():
                value = {}
            case _:
                value = []
        if top is None:
            self.document.data = value
        elif isinstance(top.value, list):
            top.value.append(value)
        elif not top.skip and top.key is not None:
            top.value[top.key] = value
        if top is not None:
            kept, top.key, top.skip = not top.skip, None, False
        else:
            kept = True
        if kept:
            self.document.values[location] = _place(event)
        if not isinstance(event, events.ScalarEvent):
            if len(self.stack) >= MAX_DEPTH:
                message = f"nested more than {MAX_DEPTH} deep"
                raise self._refused(Code.TOO_DEEP, event, message, "flatten the structure")
            self.stack.append(_Open(location if kept else (*location, "?"), value))


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.style:  # quoted, or a block
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > MAX_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        whole = WrittenInt(text)
        whole.text = text
        return whole
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        number = WrittenFloat(text)
        number.text = text
        return number
    return text
