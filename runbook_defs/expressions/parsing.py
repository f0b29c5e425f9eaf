"""From the text of an expression to a checked tree, in which every node has a place."""

import ast
import keyword
import re
from itertools import accumulate

from runbook_defs.expressions.errors import ExpressionError

MAX_LENGTH = 2_000  # characters
MAX_NODES = 200
MAX_DEPTH = 40

# What Python would read in a way of its own (comments, prefixes of texts, look-alike letters,
# odd numbers and escapes) is no token, so Python's tokenizer has nothing to interpret or warn of.
_TOKEN = re.compile(
    r"""
    [ \t\r\n]
    | '(?:[^'\\\r\n]|\\['"\\nrt]|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2})*'(?!')
    | "(?:[^"\\\r\n]|\\['"\\nrt]|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2})*"(?!")
    | (?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])
    | [A-Za-z_][A-Za-z_0-9]*+(?!['"])
    | [=!<>]= | // | \*(?!\*) | [-+/%<>.,:()\[\]{}]
    """,
    re.VERBOSE,
)
_HINTS = {
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not'",
    "=": "write '=='",
    "*": "write a * a",
    "?": "write 'a if condition else b'",
    "'": "texts need a closing quote, no prefix, and two backslashes for one",
}
_STEPS = {**dict.fromkeys("([{", 1), **dict.fromkeys(")]}", -1)}


class Source:
    """The text of an expression, its tree, and where the nodes of the tree are in the text."""

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise ExpressionError("the expression is empty")
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"an expression has at most {MAX_LENGTH:,} characters")
        _check_tokens(text)
        self.text = text
        self._before = len(text) - len(text.lstrip())
        # In one line, an expression may go over several without brackets of its own.
        self._code = re.sub(r"[\r\n]", " ", text.strip())
        self.tree = self._parse()
        self._check_size()

    def start(self, node: ast.expr) -> int:
        """Where `node` begins, in characters."""
        return self._place(node.col_offset)

    def key_start(self, node: ast.Attribute) -> int:
        """Where the key after the dot begins."""
        return self._place(node.end_col_offset or 0) - len(node.attr)

    def segment(self, node: ast.expr) -> str:
        """The text of `node`, in one line."""
        text = self.text[self.start(node) : self._place(node.end_col_offset or 0)]
        return re.sub(r"\s*[\r\n]\s*", " ", text)

    def _place(self, octets: int) -> int:
        return self._before + len(self._code.encode()[:octets].decode())

    def _parse(self) -> ast.expr:
        try:
            return ast.parse(self._code, mode="eval").body
        except SyntaxError as error:
            raise self._unreadable((error.offset or len(self._code) + 1) - 1) from None
        except (ValueError, MemoryError, RecursionError, OverflowError, SystemError):
            raise ExpressionError("the expression cannot be read") from None

    def _unreadable(self, place: int) -> ExpressionError:
        offset = self._before + place
        if place >= len(self._code):
            return ExpressionError("the expression ends too early", offset=offset)
        word = re.split(r"\W", self._code[place:])[0]
        hint = f'write a key as ["{word}"]' if keyword.iskeyword(word) else ""
        message = "the expression cannot be understood from here on"
        return ExpressionError(message, offset=offset, hint=hint)

    def _check_size(self) -> None:
        """Refuses a tree that is too large or too deep to be walked by recursion."""
        count, level = 0, [self.tree]
        for _ in range(MAX_DEPTH):
            count += len(level)
            level = [
                child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
            ]
        if count > MAX_NODES:
            raise ExpressionError(f"the expression has more than {MAX_NODES} parts")
        if level:
            raise _too_deep(self.start(level[0]))


def _check_tokens(text: str) -> None:
    end = 0
    while token := _TOKEN.match(text, end):
        end = token.end()
    if end < len(text):
        what = "this text" if text[end] in "'\"" else repr(text[end])
        hint = _HINTS.get(text[end].replace('"', "'"), "")
        message = f"{what} is not part of the expression language"
        raise ExpressionError(message, offset=end, hint=hint)
    # Python's parser recurses in C at each bracket.
    for offset, depth in enumerate(accumulate(_STEPS.get(character, 0) for character in text)):
        if depth > MAX_DEPTH:
            raise _too_deep(offset)


def _too_deep(offset: int) -> ExpressionError:
    message = f"the expression is nested more than {MAX_DEPTH} levels deep"
    return ExpressionError(message, offset=offset)
