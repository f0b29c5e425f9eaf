"""Values with `${...}` inside: filled in once, and what is filled in is never scanned again."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import groupby
from typing import Any

from runbook_defs.expressions import (
    Expression,
    ExpressionError,
    Refused,
    compile_expression,
    is_opaque,
    text_of,
)

MAX_FILLED = 10_000_000  # characters of text that one rendering may make
MAX_LEVELS = 100  # of nesting

Location = tuple[str | int, ...]

_MARK = re.compile(r"\$\$\{|\$\{")
_PIECE = re.compile(r"""'(?:[^'\\\r\n]|\\.)*'|"(?:[^"\\\r\n]|\\.)*"|[{}'"]|[^{}'"]+""")


@dataclass(frozen=True)
class Found:
    """An expression of a template: the path to its text, and where in that text it begins."""

    location: Location
    offset: int
    expression: Expression


@dataclass(frozen=True)
class TemplateProblem:
    """What is wrong with a template, and where."""

    location: Location
    offset: int
    message: str
    hint: str


class _Text:
    """How much text a rendering may still make."""

    def __init__(self) -> None:
        self.left = MAX_FILLED

    def of(self, value: Any) -> Any:
        """The text of `value`; a secret stays as it is."""
        if is_opaque(value):
            return value
        text = text_of(value, limit=self.left)
        self.left -= len(text)
        return text


_Fill = Callable[[Mapping[str, Any], _Text], Any]


class Template:
    """A value whose texts may hold expressions.

    `found` has every expression, `problems` what could not be compiled. `is_literal` says that it
    renders the same in every scope.
    """

    def __init__(
        self, fill: _Fill, *, found: tuple[Found, ...], problems: tuple[TemplateProblem, ...]
    ) -> None:
        self.found = found
        self.problems = problems
        self.is_literal = not found and not problems
        self._fill = fill

    def render(self, scope: Mapping[str, Any]) -> Any:
        """A new copy of the value with its expressions filled in; what they give is not copied.

        Raises `ExpressionError` with its `location` and `text_offset`.
        """
        if self.problems:
            problem = self.problems[0]
            error = ExpressionError(problem.message, offset=0, hint=problem.hint)
            error.location, error.text_offset = problem.location, problem.offset
            raise error
        return self._fill(scope, _Text())


def compile_template(value: Any) -> Template:
    """The template in `value`, JSON-like data; what is wrong with it is in its `problems`."""
    return _of_text(value) if type(value) is str else _of_value(value)


@lru_cache(maxsize=4096)  # each execution asks for those of its assumptions, conditions and summaries
def _of_text(text: str) -> Template:
    return _of_value(text)


def _of_value(value: Any) -> Template:
    compiler = _Compiler()
    fill = compiler.value(value, ())
    return Template(fill, found=tuple(compiler.found), problems=tuple(compiler.problems))


class _Compiler:
    """Walks one value and collects its expressions and problems."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.problems: list[TemplateProblem] = []

    def problem(self, location: Location, offset: int, message: str, hint: str = "") -> None:
        """Notes what is wrong."""
        self.problems.append(TemplateProblem(location, offset, message, hint))

    def value(self, value: Any, location: Location) -> _Fill:
        """`value` at `location`; the keys of a mapping are never templates."""
        if len(location) > MAX_LEVELS:
            self.problem(location, 0, f"the value is nested more than {MAX_LEVELS} levels deep")
            return lambda scope, text: None
        if isinstance(value, str):
            return self.text(value, location)
        if isinstance(value, dict):
            members = {key: self.value(item, (*location, key)) for key, item in value.items()}
            return lambda scope, text: {key: fill(scope, text) for key, fill in members.items()}
        if isinstance(value, list | tuple):
            items = [self.value(item, (*location, i)) for i, item in enumerate(value)]
            return lambda scope, text: [fill(scope, text) for fill in items]
        return lambda scope, text: value

    def text(self, text: str, location: Location) -> _Fill:
        """A text: as it is, one value of any type, or pieces joined to a text."""
        pieces = list(self.pieces(text, location))
        if not any(isinstance(piece, Found) for piece in pieces):
            whole = "".join(piece for piece in pieces if isinstance(piece, str))
            return lambda scope, _: whole
        if len(pieces) == 1 and isinstance(pieces[0], Found):
            only = pieces[0]
            return lambda scope, _: _evaluate(only, scope)
        return lambda scope, made: _joined(pieces, location, scope, made)

    def pieces(self, text: str, location: Location) -> Iterator[str | Found]:
        """The literal and the found pieces of a text, in order; problems are noted."""
        position = 0
        while mark := _MARK.search(text, position):
            if mark.start() > position:
                yield text[position : mark.start()]
            if mark.group() == "$${":
                yield "${"
                position = mark.end()
                continue
            end = _closing_brace(text, mark.end())
            if end is None:
                hint = "write $${ for the characters themselves"
                self.problem(location, mark.start(), "this '${' is never closed", hint)
                return
            found = self.expression(text[mark.end() : end], location, mark.end())
            if found:
                yield found
            position = end + 1
        if position < len(text):
            yield text[position:]

    def expression(self, text: str, location: Location, offset: int) -> Found | None:
        """The expression between the braces, unless it is wrong."""
        try:
            found = Found(location, offset, compile_expression(text))
        except ExpressionError as error:
            self.problem(location, offset + error.offset, error.message, error.hint)
            return None
        self.found.append(found)
        return found


def _closing_brace(text: str, start: int) -> int | None:
    """Where the expression that begins at `start` ends, with regard for quotes and braces."""
    depth = 0
    for piece in _PIECE.finditer(text, start):
        match piece.group():
            case "{":
                depth += 1
            case "}" if depth == 0:
                return piece.start()
            case "}":
                depth -= 1
            case "'" | '"':
                return None  # a quote that is not closed
    return None


def _evaluate(found: Found, scope: Mapping[str, Any]) -> Any:
    """The value of `found`; an error learns where it is."""
    try:
        return found.expression.evaluate(scope)
    except ExpressionError as error:
        error.location, error.text_offset = found.location, found.offset + error.offset
        raise


def _joined(pieces: list[str | Found], location: Location, scope: Mapping[str, Any], made: _Text) -> Any:
    """The pieces joined by `+`, so that a secret among them makes the whole text secret."""
    parts: list[Any] = []
    offset = 0
    try:
        for piece in pieces:
            if isinstance(piece, str):
                parts.append(made.of(piece))
            else:
                value, offset = _evaluate(piece, scope), piece.offset
                parts.append(made.of(value))
        return reduce(operator.add, _merged(parts))
    except Refused as refused:
        error = ExpressionError(refused.message, hint=refused.hint)
    except TypeError:
        error = ExpressionError("a value here cannot be part of a text")
    error.location, error.text_offset = location, offset
    raise error


def _merged(parts: list[Any]) -> Iterator[Any]:
    """The parts with neighbouring plain texts made one, as adding many one by one is slow."""
    for is_text, group in groupby(parts, key=lambda part: isinstance(part, str)):
        if is_text:
            yield "".join(group)
        else:
            yield from group
