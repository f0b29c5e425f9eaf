"""The `${...}` expression language: an allow-list compiler over Python's `ast`.

An expression is compiled once into closures. It sees JSON data only: no attribute of a Python
object, no method, no name but those of its scope and of `runbook_defs.functions`. All it can do is
bounded, in the text, in each value it makes, and in the work of one evaluation.
"""

import ast
import json
import keyword
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runbook_defs import functions
from runbook_defs.functions import FUNCTIONS, OPAQUE, SCALARS, Function, Missing, Refused

MAX_LENGTH = 2_000  # characters of an expression
MAX_NODES = 200
MAX_DEPTH = 40
MAX_WORK = 250_000  # items and characters that one evaluation may look at

Path = tuple[str, ...]

_TOO_DEEP = "the expression meets data that is too large or nested too deeply"


class ExpressionError(Exception):
    """An expression that cannot be compiled or evaluated, in words that hold no data.

    `offset` is the place inside the expression's text, in characters from 0. A template adds
    `location`, the path to the text inside its value, and `text_offset`, the place in that text.
    """

    def __init__(self, message: str, *, offset: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint
        self.location: tuple[str | int, ...] | None = None
        self.text_offset: int | None = None


class _MissingError(ExpressionError):
    """A key or an item that is not there, which `default` answers."""


@dataclass(frozen=True)
class Explanation:
    """An expression with its value, or its error, and the same for each part that was evaluated."""

    text: str
    value: Any
    error: str
    children: tuple["Explanation", ...]

    def lines(self) -> list[str]:
        """An indented tree of `expression  = value`, long values shortened."""
        passed_up = any(child.error == self.error for child in self.children)
        answer = f"= {_shortened(self.value)}"
        if self.error:
            answer = "! see below" if passed_up else f"! {self.error}"
        below = [f"  {line}" for child in self.children for line in child.lines()]
        return [f"{self.text}  {answer}", *below]


def _shortened(value: Any, *, width: int = 60) -> str:
    """The start of `value` as JSON; encodes no more of it than is shown."""
    if functions.is_opaque(value):
        return "(secret)"
    text = ""
    encoder = json.JSONEncoder(
        ensure_ascii=False, check_circular=False, default=lambda _: "(secret)", skipkeys=True
    )
    value = value[: width + 1] if isinstance(value, str) else value
    try:
        for chunk in encoder.iterencode(value):
            text += chunk
            if len(text) > width:
                break
        else:
            return text
    except ValueError:
        return f"{text}…"  # a whole number with too many digits to print
    size = f" ({len(value)} items)" if isinstance(value, list | tuple | dict) else ""
    return f"{text[: width - 1]}…{size}"


class _Frame:
    """One evaluation: what it may see, the work it has left, and its trace when it is explained."""

    __slots__ = ("left", "scope", "trace")
    trace: dict[int, tuple[Any, str]]  # only when explained

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = scope
        self.left = MAX_WORK

    def spend(self, work: int) -> None:
        """Takes `work` from what is left."""
        self.left -= work
        if self.left < 0:
            raise Refused("the expression looks at too much data")


_Run = Callable[[_Frame], Any]


@dataclass(frozen=True, slots=True)
class _Part:
    """A compiled piece of an expression; `number` identifies it in a trace."""

    number: int
    text: str
    offset: int
    run: _Run
    children: tuple["_Part", ...]
    is_literal: bool

    def explanation(self, trace: Mapping[int, tuple[Any, str]]) -> Explanation:
        """What the trace says of this part and of those below that were reached."""
        value, error = trace[self.number]
        shown = [part for part in self.children if part.number in trace and not part.is_literal]
        return Explanation(
            self.text, value, error, tuple(part.explanation(trace) for part in shown)
        )


class Expression:
    """A compiled expression, free to be evaluated many times and in many threads.

    `names` has the longest static path of each name used, `name_offsets` where each is first used,
    `secrets` the names given to `secret('...')`.
    """

    __slots__ = ("_part", "name_offsets", "names", "secrets", "text")

    def __init__(self, text: str, part: _Part, name_offsets: Mapping[Path, int], secrets: set[str]):
        self.text = text
        self.names = frozenset(name_offsets)
        self.name_offsets = name_offsets
        self.secrets = frozenset(secrets)
        self._part = part

    def __repr__(self) -> str:
        return f"<expression {self.text}>"

    def __reduce__(self) -> Any:
        return compile_expression, (self.text,)

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The value in `scope`; raises `ExpressionError`, or what `scope["secret"]` raises."""
        try:
            return self._part.run(_Frame(scope))
        except ExpressionError as error:
            error.__context__ = None  # it may quote data, as a ValueError of int() does
            raise
        except (RecursionError, MemoryError):
            raise ExpressionError(_TOO_DEEP) from None

    def explain(self, scope: Mapping[str, Any]) -> Explanation:
        """The value of the expression and of each of its parts; shows data."""
        part = _Compiler(self.text, traced=True).compile()
        frame = _Frame(scope)
        frame.trace = {}
        try:
            part.run(frame)
        except ExpressionError:
            pass  # the trace holds it
        except (RecursionError, MemoryError):
            return Explanation(
                self.text,
                None,
                _TOO_DEEP,
                (),
            )
        return part.explanation(frame.trace)


def compile_expression(text: str) -> Expression:
    """The expression in `text`, without its `${` and `}`; raises `ExpressionError`."""
    compiler = _Compiler(text)
    part = compiler.compile()
    return Expression(text, part, compiler.names, compiler.secrets)


# Reading

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<string>'(?:[^'\\\r\n]|\\.)*'|"(?:[^"\\\r\n]|\\.)*")
    |(?P<number>(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
    |(?P<word>[^\W\d]\w*)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<operator>==|!=|<=|>=|//|[-+*/%<>.,:])
    |(?P<other>&&|\|\||=+|[0-9][\w.]*|.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"""\\(?:['"\\nrt]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|(?P<unknown>.))""")
_PREFIX = re.compile(r"[bfrtu]{1,2}", re.IGNORECASE)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_HINTS = {
    "&&": "write 'and'",
    "||": "write 'or'",
    "!": "write 'not'",
    "=": "write '=='",
    "===": "write '=='",
    "?": "write 'a if condition else b'",
}


def _check_tokens(text: str) -> None:
    """Refuses what Python would read in a way of its own: comments, prefixes, odd numbers.

    After this, strings and brackets are closed, and Python's tokenizer has nothing to warn about.
    """
    opened: list[re.Match[str]] = []
    before = ""
    for token in _TOKEN.finditer(text):
        word = token.group()
        match token.lastgroup:
            case "string":
                _check_string(token, before)
            case "word":
                _check_word(token, before)
            case "open":
                opened.append(token)
                if len(opened) > MAX_DEPTH:
                    raise ExpressionError("brackets are nested too deeply", offset=token.start())
            case "close":
                if not opened or _CLOSING[opened.pop().group()] != word:
                    raise ExpressionError(f"this {word!r} closes nothing", offset=token.start())
            case "other" if word in "'\"":
                raise ExpressionError(
                    "the text that begins here is never closed", offset=token.start()
                )
            case "other":
                message = f"{word[:20]!r} is not part of the expression language"
                raise ExpressionError(message, offset=token.start(), hint=_HINTS.get(word, ""))
        before = word
    if opened:
        message = f"this {opened[-1].group()!r} is never closed"
        raise ExpressionError(message, offset=opened[-1].start())


def _check_string(token: re.Match[str], before: str) -> None:
    text, start = token.string, token.start()
    if _PREFIX.fullmatch(before):
        raise ExpressionError("a text has no prefix letters", offset=start)
    if token.group() in ("''", '""') and text[token.end() : token.end() + 1] == text[start]:
        raise ExpressionError("a text has one quote at each end", offset=start)
    for escape in _ESCAPE.finditer(token.group()):
        if escape["unknown"]:
            message = f"unknown escape {escape.group()!r} in a text"
            hint = "write two backslashes for one"
            raise ExpressionError(message, offset=start + escape.start(), hint=hint)


def _check_word(token: re.Match[str], before: str) -> None:
    word = token.group()
    if before == "." and keyword.iskeyword(word):
        hint = f'write ["{word}"] instead of .{word}'
        raise ExpressionError(f"{word!r} is a reserved word", offset=token.start(), hint=hint)
    # Python folds look-alike letters into one name; a key must be what it looks like.
    if not word.isascii() and unicodedata.normalize("NFKC", word) != word:
        message = f"the name {word[:60]!r} has letters that stand for others"
        raise ExpressionError(message, offset=token.start(), hint="write it as a key: [...]")


class _Source:
    """The text of an expression, and where the nodes of its tree are in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]

    def parse(self) -> ast.expr:
        """The tree; all that `ast.parse` may raise becomes an `ExpressionError`."""
        if not self.text.strip():
            raise ExpressionError("the expression is empty")
        if len(self.text) > MAX_LENGTH:
            raise ExpressionError(f"an expression has at most {MAX_LENGTH:,} characters")
        _check_tokens(self.text)
        try:
            # The brackets let an expression go over several lines.
            return ast.parse(f"({self.text}\n)", mode="eval").body
        except SyntaxError as error:
            raise self._unreadable(error.lineno or 1, (error.offset or 1) - 1) from None
        except (ValueError, MemoryError, RecursionError, OverflowError, SystemError):
            raise ExpressionError("the expression cannot be read") from None

    def _unreadable(self, line: int, column: int) -> ExpressionError:
        end = len(self.text.rstrip())
        place = end
        if line <= len(self._starts):
            place = min(end, max(0, self._starts[line - 1] + column - (line == 1)))
        if place == end:
            return ExpressionError("the expression ends too early", offset=end)
        return ExpressionError("the expression cannot be understood from here on", offset=place)

    def _place(self, line: int, column: int) -> int:
        """The character that the tree calls byte `column` of `line`; line 1 has one byte more."""
        start = self._starts[line - 1]
        column = max(0, column - (line == 1))  # a row with commas begins at our own bracket
        if self.text.isascii():
            return start + column
        return start + len(self.text[start:].encode()[:column].decode())

    def start(self, node: ast.expr) -> int:
        """Where `node` begins."""
        return self._place(node.lineno, node.col_offset)

    def key_start(self, node: ast.Attribute) -> int:
        """Where the key after the dot begins."""
        end = self._place(node.end_lineno or 1, node.end_col_offset or 0)
        return end - len(node.attr)

    def segment(self, node: ast.expr) -> str:
        """The text of `node`, in one line."""
        end = self._place(node.end_lineno or 1, node.end_col_offset or 0)
        return re.sub(r"\s*[\r\n]\s*", " ", self.text[self.start(node) : end])


# Compiling

_CONSTANTS = {"true": True, "false": False, "null": None}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: functions.add,
    ast.Sub: functions.subtract,
    ast.Mult: functions.multiply,
    ast.Div: functions.divide,
    ast.FloorDiv: functions.floor_divide,
    ast.Mod: functions.remainder,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: functions.negative,
    ast.UAdd: functions.positive,
    ast.Not: lambda value: not functions.truth(value),
}
_Weigh = Callable[..., int]
_COMPARE: dict[type[ast.cmpop], tuple[Callable[[Any, Any], bool], _Weigh]] = {
    ast.Eq: (functions.equal, functions.work_of_comparing),
    ast.NotEq: (lambda a, b: not functions.equal(a, b), functions.work_of_comparing),
    ast.Lt: (functions.ordering(operator.lt), functions.work_of_comparing),
    ast.LtE: (functions.ordering(operator.le), functions.work_of_comparing),
    ast.Gt: (functions.ordering(operator.gt), functions.work_of_comparing),
    ast.GtE: (functions.ordering(operator.ge), functions.work_of_comparing),
    ast.In: (functions.contains, functions.work_of_finding),
    ast.NotIn: (lambda a, b: not functions.contains(a, b), functions.work_of_finding),
}
_REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lambda: ("a lambda", ""),
    ast.ListComp: ("a comprehension", ""),
    ast.SetComp: ("a comprehension", ""),
    ast.DictComp: ("a comprehension", ""),
    ast.GeneratorExp: ("a comprehension", ""),
    ast.JoinedStr: ("an f-string", ""),
    ast.Starred: ("a star", ""),
    ast.NamedExpr: ("an assignment", "write '=='"),
    ast.Tuple: ("a row of values with commas", "write a list: [a, b]"),
    ast.Set: ("a set", "write a list: [a, b]"),
    ast.Slice: ("a slice", ""),
    ast.Await: ("'await'", ""),
    ast.Yield: ("'yield'", ""),
    ast.YieldFrom: ("'yield'", ""),
    ast.Pow: ("'**'", "write a * a"),
    ast.Is: ("'is'", "write '=='"),
    ast.IsNot: ("'is not'", "write '!='"),
}
_Built = tuple[_Run, tuple[_Part, ...]]


def _placed(refused: Refused, offset: int) -> ExpressionError:
    """The answer of an operator or function, with its place."""
    error = _MissingError if isinstance(refused, Missing) else ExpressionError
    return error(refused.message, offset=offset, hint=refused.hint)


def _traced(run: _Run, number: int) -> _Run:
    """`run`, which also writes down what it gave."""

    def traced(frame: _Frame) -> Any:
        try:
            value = run(frame)
        except ExpressionError as error:
            frame.trace[number] = (None, error.message)
            raise
        frame.trace[number] = (value, "")
        return value

    return traced


@dataclass
class _Compiler:
    """Turns one text into parts, and collects the names and secrets it meets."""

    text: str
    traced: bool = False
    names: dict[Path, int] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    nodes: int = 0
    depth: int = 0

    def compile(self) -> _Part:
        """The whole text as one part."""
        self.source = _Source(self.text)
        return self.part(self.source.parse())

    def part(self, node: ast.expr) -> _Part:
        """`node` and all below it."""
        self.count(node)
        number = self.nodes
        self.depth += 1
        if self.depth > MAX_DEPTH:
            message = f"the expression is nested more than {MAX_DEPTH} levels deep"
            raise ExpressionError(message, offset=self.source.start(node))
        build = _BUILDERS.get(type(node))
        if build is None:
            raise self.refuse(node, node)
        run, children = build(self, node)
        self.depth -= 1
        is_literal = isinstance(node, ast.Constant) or (
            isinstance(node, ast.Name) and node.id in _CONSTANTS
        )
        return _Part(
            number=number,
            text=self.source.segment(node) if self.traced else "",
            offset=self.source.start(node),
            run=_traced(run, number) if self.traced else run,
            children=children,
            is_literal=is_literal,
        )

    def count(self, node: ast.expr) -> None:
        """One node more."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            message = f"the expression has more than {MAX_NODES} parts"
            raise ExpressionError(message, offset=self.source.start(node))

    def refuse(self, what: ast.AST, node: ast.expr, *, hint: str = "") -> ExpressionError:
        """The error for a construct that is Python's but not ours."""
        words, better = _REFUSED.get(type(what), (f"this {type(what).__name__}", ""))
        message = f"{words} is not part of the expression language"
        return ExpressionError(message, offset=self.source.start(node), hint=hint or better)

    def constant(self, node: ast.Constant) -> _Built:
        """A literal."""
        value = node.value
        if value is not None and type(value) not in (str, bool, int, float):
            raise self.refuse(node, node)
        if type(value) in (int, float):
            try:
                functions.finite(value)
            except Refused as refused:
                raise _placed(refused, self.source.start(node)) from None
        return (lambda frame: value), ()

    def name(self, node: ast.Name) -> _Built:
        """A name without keys: a constant or a name of the scope."""
        if node.id in _CONSTANTS:
            value = _CONSTANTS[node.id]
            return (lambda frame: value), ()
        return self.path(node, [])

    def path(self, node: ast.Name, keys: list[tuple[str, int]]) -> _Built:
        """A name of the scope with static keys, as one step."""
        name, offset, scope_offset = node.id, self.source.start(node), self.source.start(node)
        if name == "secret":
            hint = "write secret('NAME')"
            raise ExpressionError("'secret' is a function", offset=offset, hint=hint)
        path = (name, *(key for key, _ in keys))
        self.names[path] = min(offset, self.names.get(path, offset))

        def run(frame: _Frame) -> Any:
            try:
                value = frame.scope[name]
            except KeyError:
                raise _placed(functions.unknown_name(name, frame.scope), scope_offset) from None
            for key, place in keys:
                if type(value) is dict and key in value:
                    value = value[key]
                    continue
                try:
                    value = functions.look_up(value, key, show_key=True)
                except Refused as refused:
                    raise _placed(refused, place) from None
            return value

        return run, ()

    def looked_up(self, node: ast.Attribute | ast.Subscript) -> _Built:
        """`a.b`, `a["b"]` or `a[i]`; a static path becomes one step."""
        keys: list[tuple[str, int]] = []
        below: ast.expr = node
        while (key := self.static_key(below)) is not None:
            keys.insert(0, key)
            below = below.value  # type: ignore[attr-defined]
        if isinstance(below, ast.Name) and below.id not in _CONSTANTS and keys:
            for _ in keys:
                self.count(node)
            return self.path(below, keys)
        base = self.part(node.value)
        static = self.static_key(node)
        if static is not None:
            return self.static_look_up(base, *static), (base,)
        assert isinstance(node, ast.Subscript)  # noqa: S101 - for the type checker
        return self.dynamic_look_up(base, self.part(node.slice))

    def static_key(self, node: ast.expr) -> tuple[str, int] | None:
        """The key that `node` looks up and its place, when both are written out."""
        if isinstance(node, ast.Attribute):
            return node.attr, self.source.key_start(node)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            key = node.slice.value
            return (key, self.source.start(node.slice)) if isinstance(key, str) else None
        return None

    def static_look_up(self, base: _Part, key: str, offset: int) -> _Run:
        """`base.key`."""

        def run(frame: _Frame) -> Any:
            value = base.run(frame)
            try:
                return functions.look_up(value, key, show_key=True)
            except Refused as refused:
                raise _placed(refused, offset) from None

        return run

    def dynamic_look_up(self, base: _Part, key: _Part) -> _Built:
        """`base[key]`."""

        def run(frame: _Frame) -> Any:
            value, wanted = base.run(frame), key.run(frame)
            try:
                return functions.look_up(value, wanted, show_key=False)
            except Refused as refused:
                raise _placed(refused, key.offset) from None

        return run, (base, key)

    def binary(self, node: ast.BinOp) -> _Built:
        """`a + b` and its like."""
        if type(node.op) not in _BINARY:
            raise self.refuse(node.op, node.right)
        compute = _BINARY[type(node.op)]
        left, right = self.part(node.left), self.part(node.right)
        offset = left.offset

        def run(frame: _Frame) -> Any:
            one, two = left.run(frame), right.run(frame)
            try:
                return compute(one, two)
            except Refused as refused:
                raise _placed(refused, offset) from None

        return run, (left, right)

    def unary(self, node: ast.UnaryOp) -> _Built:
        """`-a`, `+a`, `not a`."""
        if type(node.op) not in _UNARY:
            raise self.refuse(node.op, node)
        compute, operand = _UNARY[type(node.op)], self.part(node.operand)

        def run(frame: _Frame) -> Any:
            value = operand.run(frame)
            try:
                return compute(value)
            except Refused as refused:
                raise _placed(refused, operand.offset) from None

        return run, (operand,)

    def either(self, node: ast.BoolOp) -> _Built:
        """`a and b`, `a or b`: the first operand that decides, as in Python."""
        parts = tuple(self.part(value) for value in node.values)
        stops_at = isinstance(node.op, ast.Or)

        def run(frame: _Frame) -> Any:
            for part in parts[:-1]:
                value = part.run(frame)
                if self.is_true(value, part.offset) is stops_at:
                    return value
            return parts[-1].run(frame)

        return run, parts

    @staticmethod
    def is_true(value: Any, offset: int) -> bool:
        """The truth of a value that may be a secret."""
        try:
            return functions.truth(value)
        except Refused as refused:
            raise _placed(refused, offset) from None

    def choice(self, node: ast.IfExp) -> _Built:
        """`a if test else b`."""
        test, body, other = self.part(node.test), self.part(node.body), self.part(node.orelse)

        def run(frame: _Frame) -> Any:
            value = test.run(frame)
            return (body if self.is_true(value, test.offset) else other).run(frame)

        return run, (test, body, other)

    def comparison(self, node: ast.Compare) -> _Built:
        """`a < b <= c`: each operand is evaluated once, up to the first false one."""
        for op, right in zip(node.ops, node.comparators, strict=True):
            if type(op) not in _COMPARE:
                raise self.refuse(op, right)
        first = self.part(node.left)
        rest = tuple(self.part(right) for right in node.comparators)
        steps = [(*_COMPARE[type(op)], part) for op, part in zip(node.ops, rest, strict=True)]

        def run(frame: _Frame) -> Any:
            left = first.run(frame)
            for compare, weigh, part in steps:
                right = part.run(frame)
                try:
                    if type(left) not in SCALARS or type(right) not in SCALARS:
                        frame.spend(weigh(left, right, limit=frame.left))
                    if not compare(left, right):
                        return False
                except Refused as refused:
                    raise _placed(refused, part.offset) from None
                left = right
            return True

        return run, (first, *rest)

    def items(self, node: ast.List) -> _Built:
        """`[a, b]`."""
        parts = tuple(self.part(item) for item in node.elts)
        return (lambda frame: [_open_value(part, frame) for part in parts]), parts

    def mapping(self, node: ast.Dict) -> _Built:
        """`{"a": b}`, with written-out keys."""
        keys: list[str] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
                offset = self.source.start(key or value)
                raise ExpressionError("a key is a text in quotes", offset=offset)
            self.count(key)
            keys.append(key.value)
        parts = tuple(self.part(value) for value in node.values)

        def run(frame: _Frame) -> Any:
            return {key: _open_value(part, frame) for key, part in zip(keys, parts, strict=True)}

        return run, parts

    def call(self, node: ast.Call) -> _Built:
        """A call of an allowed function."""
        offset = self.source.start(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in FUNCTIONS:
            raise self.not_callable(node, hint=f"write {node.func.attr}(...)")
        if not isinstance(node.func, ast.Name):
            raise self.not_callable(node)
        name = node.func.id
        if node.keywords:
            raise ExpressionError("arguments have no names here", offset=offset)
        if name == "secret":
            return self.secret(node)
        if name == "default":
            self.check_arguments(node, name, 2, 2)
            return self.default(self.part(node.args[0]), self.part(node.args[1]))
        if name not in FUNCTIONS:
            known = sorted([*FUNCTIONS, "default", "secret"])
            hint = functions.suggestion(name, known) or f"the functions are {', '.join(known)}"
            raise ExpressionError(f"there is no function {name[:60]!r}", offset=offset, hint=hint)
        function = FUNCTIONS[name]
        self.check_arguments(node, name, function.least, function.most)
        parts = tuple(self.part(argument) for argument in node.args)
        return _calling(name, function, parts, offset), parts

    def not_callable(self, node: ast.Call, *, hint: str = "") -> ExpressionError:
        """The error for a call of anything but a function's name."""
        message = "only the functions of the expression language can be called"
        return ExpressionError(message, offset=self.source.start(node.func), hint=hint)

    def check_arguments(self, node: ast.Call, name: str, least: int, most: int) -> None:
        """Refuses a call with too few or too many arguments."""
        if not least <= len(node.args) <= most:
            count = f"{least}" if least == most else f"{least} to {most}"
            message = f"{name} takes {count} argument{'s' if most > 1 else ''}"
            message += f", not {len(node.args)}"
            raise ExpressionError(message, offset=self.source.start(node))

    def secret(self, node: ast.Call) -> _Built:
        """`secret('NAME')`, with the name written out, so that it is known before the run."""
        offset = self.source.start(node)
        argument = node.args[0] if len(node.args) == 1 else None
        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            message = "secret needs one name, written out in quotes"
            raise ExpressionError(message, offset=offset, hint="write secret('NAME')")
        self.count(argument)
        name = argument.value
        self.secrets.add(name)

        def run(frame: _Frame) -> Any:
            try:
                resolve = frame.scope["secret"]
            except KeyError:
                raise ExpressionError("secrets cannot be used here", offset=offset) from None
            return resolve(name)

        return run, ()

    def default(self, value: _Part, fallback: _Part) -> _Built:
        """`default(value, fallback)`: the fallback where the value is null or not there."""

        def run(frame: _Frame) -> Any:
            try:
                found = value.run(frame)
            except _MissingError:
                found = None
            return fallback.run(frame) if found is None else found

        return run, (value, fallback)


def _open_value(part: _Part, frame: _Frame) -> Any:
    """The value of an item of a list or mapping, which may not be a secret."""
    value = part.run(frame)
    if functions.is_opaque(value):
        raise ExpressionError(OPAQUE, offset=part.offset)
    return value


def _calling(name: str, function: Function, parts: tuple[_Part, ...], offset: int) -> _Run:
    """The call of `function`, with its work counted before and what it made counted after."""
    call, reads = function.call, function.reads

    def run(frame: _Frame) -> Any:
        values = [_open_value(part, frame) for part in parts]
        try:
            if reads:
                frame.spend(sum(map(_size, values)))
            value = call(*values)
            if reads:
                frame.spend(_size(value))
        except Refused as refused:
            raise _placed(refused, offset) from None
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError):
            message = f"{name}(...) cannot be computed from these values"
            raise ExpressionError(message, offset=offset) from None
        return value

    return run


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


_BUILDERS: dict[type[ast.expr], Callable[[_Compiler, Any], _Built]] = {
    ast.Attribute: _Compiler.looked_up,
    ast.BinOp: _Compiler.binary,
    ast.BoolOp: _Compiler.either,
    ast.Call: _Compiler.call,
    ast.Compare: _Compiler.comparison,
    ast.Constant: _Compiler.constant,
    ast.Dict: _Compiler.mapping,
    ast.IfExp: _Compiler.choice,
    ast.List: _Compiler.items,
    ast.Name: _Compiler.name,
    ast.Subscript: _Compiler.looked_up,
    ast.UnaryOp: _Compiler.unary,
}
