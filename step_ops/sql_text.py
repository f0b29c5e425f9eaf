"""The text of a query: is it one statement, and which `:names` in it stand for parameters?"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from step_ops.errors import ErrorType, StepError

# What PostgreSQL takes for part of a name: any character that is not ASCII, too.
_LETTER = "A-Za-z_\x80-\U0010ffff"
_TOKEN = re.compile(
    rf"""
    (?P<gap> [ \t\n\r\f\v]+ | --[^\n\r]* )
  | (?P<comment> /\* )
  | (?P<escaped> [eE]'(?:[^'\\]|\\.|'')*'(?!') )
  | (?P<quoted> '(?:[^']|'')*'(?!') )
  | (?P<name> "(?:[^"]|"")*"(?!") )
  | (?P<dollar> \$(?:[{_LETTER}][{_LETTER}0-9]*+)?\$ )
  | (?P<word> [{_LETTER}0-9][{_LETTER}0-9$]*+ (?: :(?![:=]) )? )  # with the colon of a slice such as a[1:n]
  | (?P<cast> ::+ )
  | :(?P<parameter> [A-Za-z_][A-Za-z0-9_]*+ )
  | (?P<end> ; )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Statement:
    """One statement in pieces: each a text, and the parameter that follows it, if one does."""

    pieces: tuple[tuple[str, str | None], ...]

    @property
    def names(self) -> frozenset[str]:
        """The parameters it names."""
        return frozenset(name for _, name in self.pieces if name)

    def as_format(self) -> str:
        """The text for a client that wants `%(name)s`, with every other `%` doubled."""
        return "".join(
            text.replace("%", "%%") + (f"%({name})s" if name else "") for text, name in self.pieces
        )


def parse_statement(query: str) -> Statement:
    """The one statement in `query`; raises `StepError` of type `sql` when there are more, or none.

    The rules are those of PostgreSQL with standard_conforming_strings. They must not be fooled: what
    is taken for text here and for a second statement there would leave a read-only transaction.
    """
    pieces: list[tuple[str, str | None]] = []
    start, seen, ended, escaped = 0, False, False, False
    for match in _tokens(query):
        kind = match.lastgroup
        if kind in ("gap", "comment"):
            continue
        if kind == "end":
            ended = True
            continue
        if ended and seen:
            raise _refused("the query is more than one statement", "make a step of each")
        if match[0] in ("'", '"'):
            raise _refused(f"a quote in the query is never closed: {_near(query, match.start())}")
        if kind == "quoted" and escaped:
            # PostgreSQL may read both as one text, in which a backslash means more than it does here.
            raise _refused("a text follows an E'...' text at once", "write them as one text")
        seen, escaped = True, kind == "escaped"
        if kind == "parameter" and query[match.start() - 1] not in ")]":
            pieces.append((query[start : match.start()], match["parameter"]))
            start = match.end()
    if not seen:
        raise _refused("the query is empty")
    return Statement((*pieces, (query[start:], None)))


def check_parameters(statement: Statement, given: Collection[str]) -> None:
    """Raises `StepError` of type `config` unless exactly the parameters that are named are given."""
    for name in sorted(statement.names - set(given)):
        message = f"the query names :{name}, but there is no {name!r} under `params`"
        raise StepError(ErrorType.CONFIG, message, hint=f"add `{name}:` to the params of the step")
    for name in sorted(set(given) - statement.names):
        message = f"there is {name!r} under `params`, but the query does not name :{name}"
        raise StepError(ErrorType.CONFIG, message, hint="remove it, or check how it is spelt in the query")


def _tokens(query: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(query) and (match := _TOKEN.match(query, position)):
        position = match.end()
        if match.lastgroup == "comment":
            position = _end_of_comment(query, position)
        elif match.lastgroup == "dollar":
            position = query.find(match[0], position)
            if position < 0:
                raise _refused(f"a text in the query is never closed: {_near(query, match.start())}")
            position += len(match[0])
        yield match


def _end_of_comment(query: str, position: int) -> int:
    """Where the comment ends whose inside begins at `position`; comments nest."""
    depth = 1
    for mark in _COMMENT.finditer(query, position):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    raise _refused(f"a comment in the query is never closed: {_near(query, position - 2)}")


def _near(query: str, position: int) -> str:
    return repr(query[position : position + 20])


def _refused(message: str, hint: str = "") -> StepError:
    return StepError(ErrorType.SQL, message, hint=hint)
