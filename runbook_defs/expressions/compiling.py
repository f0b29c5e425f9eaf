"""From a checked tree to closures: an allow-list, in which what is not named is refused."""

import ast
from collections.abc import Callable, Sequence
from typing import Any

from runbook_defs.expressions import lookup
from runbook_defs.expressions.data import bounded, check_plain
from runbook_defs.expressions.errors import ExpressionError, Refused
from runbook_defs.expressions.evaluation import Evaluation
from runbook_defs.expressions.functions import FUNCTIONS, Function
from runbook_defs.expressions.operators import COMPARISONS, OPERATORS, truth
from runbook_defs.expressions.parsing import Source

Path = tuple[str, ...]
Run = Callable[[Evaluation], Any]
Trace = dict[ast.expr, tuple[Any, str]]  # the value of each node that was reached, or its error

_CONSTANTS = {"true": True, "false": False, "null": None}


def is_literal(node: ast.expr) -> bool:
    """Whether `node` says its own value."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in _CONSTANTS)


class Compiler:
    """Turns the nodes of one source into closures, and collects the names and secrets it meets.

    With a `trace`, each closure also writes down there what it gave.
    """

    def __init__(self, source: Source, *, trace: Trace | None = None) -> None:
        self.names: dict[Path, int] = {}
        self.secrets: set[str] = set()
        self._source = source
        self._trace = trace

    def compile(self, node: ast.expr) -> Run:
        """The closure for `node` and all below it."""
        build = _BUILDERS.get(type(node))
        if build is None:
            raise self._refuse(node)
        run = build(self, node)
        return run if self._trace is None else _traced(run, node, self._trace)

    def _all(self, nodes: Sequence[ast.expr]) -> list[Run]:
        return [self.compile(node) for node in nodes]

    def _error(self, node: ast.expr, message: str, *, hint: str = "") -> ExpressionError:
        return ExpressionError(message, offset=self._source.start(node), hint=hint)

    def _refuse(self, node: ast.expr) -> ExpressionError:
        text = self._source.segment(node)[: lookup.MAX_NAME]
        return self._error(node, f"{text!r} is not part of the expression language")

    def _applied(self, compute: Callable[..., Any], operands: Sequence[ast.expr], place: ast.expr) -> Run:
        """`compute` on the values of all operands; what it refuses is shown at `place`."""
        parts, offset = self._all(operands), self._source.start(place)

        def run(evaluation: Evaluation) -> Any:
            values = [part(evaluation) for part in parts]
            try:
                return compute(*values)
            except Refused as refused:
                raise refused.at(offset) from None

        return run

    def _constant(self, node: ast.Constant) -> Run:
        value = node.value
        if not (value is None or type(value) in (str, bool, int, float)):
            raise self._refuse(node)
        try:
            bounded(value)
        except Refused as refused:
            raise refused.at(self._source.start(node)) from None
        return lambda evaluation: value

    def _list(self, node: ast.List) -> Run:
        return self._applied(_plain_list, node.elts, node)

    def _mapping(self, node: ast.Dict) -> Run:
        keys = [
            key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
        ]
        if len(keys) < len(node.keys):
            raise self._error(node, "the keys of a mapping are texts in quotes")

        def build(*values: Any) -> dict[str, Any]:
            return dict(zip(keys, _plain_list(*values), strict=True))

        return self._applied(build, node.values, node)

    def _name(self, node: ast.Name, keys: Sequence[tuple[str, int]] = ()) -> Run:
        """A constant, or a name of the scope with the written-out keys behind it."""
        name, offset = node.id, self._source.start(node)
        if name in _CONSTANTS:
            value = _CONSTANTS[name]
            return lambda evaluation: value
        if name == "secret":
            raise self._error(node, "'secret' is a function", hint="write secret('NAME')")
        path = (name, *(key for key, _ in keys))
        self.names[path] = min(offset, self.names.get(path, offset))

        def run(evaluation: Evaluation) -> Any:
            try:
                value = evaluation.scope[name]
            except KeyError:
                raise lookup.unknown_name(name, evaluation.scope).at(offset) from None
            return _follow(value, keys) if keys else value

        return run

    def _looked_up(self, node: ast.Attribute | ast.Subscript) -> Run:
        """`a.b`, `a["b"]` or `a[i]`; written-out keys in a row become one step."""
        keys: list[tuple[str, int]] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute | ast.Subscript) and (key := self._static_key(base)):
            keys.insert(0, key)
            base = base.value
        if isinstance(base, ast.Name) and not is_literal(base):
            return self._name(base, keys)
        if keys:
            found = self.compile(base)
            return lambda evaluation: _follow(found(evaluation), keys)
        assert isinstance(node, ast.Subscript)  # noqa: S101 - for the type checker
        return self._applied(lookup.look_up, [node.value, node.slice], node.slice)

    def _static_key(self, node: ast.Attribute | ast.Subscript) -> tuple[str, int] | None:
        """The key and its place, when it is written out."""
        if isinstance(node, ast.Attribute):
            return node.attr, self._source.key_start(node)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return node.slice.value, self._source.start(node.slice)
        return None

    def _operation(self, node: ast.BinOp | ast.UnaryOp) -> Run:
        if type(node.op) not in OPERATORS:
            raise self._refuse(node)
        operands = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
        return self._applied(OPERATORS[type(node.op)], operands, node)

    def _comparison(self, node: ast.Compare) -> Run:
        """`a < b <= c`: each operand is evaluated once, up to the first false one."""
        if not all(type(op) in COMPARISONS for op in node.ops):
            raise self._refuse(node)
        first, rest = self.compile(node.left), self._all(node.comparators)
        steps = [(COMPARISONS[type(op)], part) for op, part in zip(node.ops, rest, strict=True)]
        offset = self._source.start(node)

        def run(evaluation: Evaluation) -> bool:
            left = first(evaluation)
            for compare, part in steps:
                right = part(evaluation)
                try:
                    if not compare(left, right, evaluation):
                        return False
                except Refused as refused:
                    raise refused.at(offset) from None
                left = right
            return True

        return run

    def _either(self, node: ast.BoolOp) -> Run:
        """`a and b`, `a or b`: the first operand that decides, as in Python."""
        *firsts, last = self._all(node.values)
        stops_at, offset = isinstance(node.op, ast.Or), self._source.start(node)

        def run(evaluation: Evaluation) -> Any:
            for part in firsts:
                value = part(evaluation)
                try:
                    if truth(value) is stops_at:
                        return value
                except Refused as refused:
                    raise refused.at(offset) from None
            return last(evaluation)

        return run

    def _choice(self, node: ast.IfExp) -> Run:
        """`a if test else b`."""
        test = self._applied(truth, [node.test], node.test)
        body, other = self._all([node.body, node.orelse])
        return lambda evaluation: (body if test(evaluation) else other)(evaluation)

    def _call(self, node: ast.Call) -> Run:
        """A call of one of the functions, by its name."""
        if not isinstance(node.func, ast.Name) or node.keywords:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            hint = f"write {name}(...)" if name in FUNCTIONS else ""
            message = "only the functions of the expression language can be called"
            raise self._error(node.func, message, hint=hint)
        name = node.func.id
        if name == "secret":
            return self._secret(node)
        if name == "default":
            return self._default(node)
        if name not in FUNCTIONS:
            known = sorted([*FUNCTIONS, "default", "secret"])
            hint = lookup.nearest(name, known) or f"the functions are {', '.join(known)}"
            raise self._error(node, f"there is no function {name[: lookup.MAX_NAME]!r}", hint=hint)
        return self._function(FUNCTIONS[name], node)

    def _function(self, function: Function, node: ast.Call) -> Run:
        name, call, offset = function.name, function.call, self._source.start(node)
        least, most = len(function.takes) - function.optional, len(function.takes)
        if len(node.args) < least or (len(node.args) > most and not function.spreads):
            count = f"{least}" if least == most else f"{least} to {most}"
            message = f"{name} takes {count} argument{'s' * (most > 1)}, not {len(node.args)}"
            raise self._error(node, message)
        parts = self._all(node.args)

        def run(evaluation: Evaluation) -> Any:
            values = [part(evaluation) for part in parts]
            try:
                return call(values, evaluation)
            except Refused as refused:
                raise refused.at(offset) from None
            except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError):
                message = f"{name}(...) cannot be computed from these values"
                raise ExpressionError(message, offset=offset) from None

        return run

    def _secret(self, node: ast.Call) -> Run:
        """`secret('NAME')`, with the name written out, so that it is known before the run."""
        offset = self._source.start(node)
        match node.args:
            case [ast.Constant(value=str(name))]:
                self.secrets.add(name)
            case _:
                message = "secret needs one name, written out in quotes"
                raise self._error(node, message, hint="write secret('NAME')")

        def run(evaluation: Evaluation) -> Any:
            if "secret" not in evaluation.scope:
                raise ExpressionError("secrets cannot be used here", offset=offset)
            return evaluation.scope["secret"](name)

        return run

    def _default(self, node: ast.Call) -> Run:
        """`default(value, fallback)`: the fallback where the value is null or not there."""
        if len(node.args) != 2:
            raise self._error(node, f"default takes 2 arguments, not {len(node.args)}")
        value, fallback = self._all(node.args)

        def run(evaluation: Evaluation) -> Any:
            try:
                found = value(evaluation)
            except ExpressionError as error:
                if not error.missing:
                    raise
                found = None
            return fallback(evaluation) if found is None else found

        return run


def _traced(run: Run, node: ast.expr, trace: Trace) -> Run:
    """`run`, which also writes down what it gave."""

    def traced(evaluation: Evaluation) -> Any:
        try:
            value = run(evaluation)
        except ExpressionError as error:
            trace[node] = (None, error.message)
            raise
        trace[node] = (value, "")
        return value

    return traced


def _follow(value: Any, keys: Sequence[tuple[str, int]]) -> Any:
    """What written-out keys, each with its place, lead to."""
    for key, offset in keys:
        if not (isinstance(value, dict) and key in value):
            raise lookup.unknown_key(value, key).at(offset)
        value = value[key]
    return value


def _plain_list(*values: Any) -> list[Any]:
    check_plain(values)
    return list(values)


_BUILDERS: dict[type[ast.expr], Callable[[Compiler, Any], Run]] = {
    ast.Attribute: Compiler._looked_up,
    ast.BinOp: Compiler._operation,
    ast.BoolOp: Compiler._either,
    ast.Call: Compiler._call,
    ast.Compare: Compiler._comparison,
    ast.Constant: Compiler._constant,
    ast.Dict: Compiler._mapping,
    ast.IfExp: Compiler._choice,
    ast.List: Compiler._list,
    ast.Name: Compiler._name,
    ast.Subscript: Compiler._looked_up,
    ast.UnaryOp: Compiler._operation,
}
