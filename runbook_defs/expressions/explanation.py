"""Why an expression has its value: the same for each of its parts."""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from runbook_defs.expressions.compiling import Compiler, Trace, is_literal
from runbook_defs.expressions.data import is_opaque
from runbook_defs.expressions.errors import ExpressionError
from runbook_defs.expressions.evaluation import Evaluation
from runbook_defs.expressions.parsing import Source

MAX_SHOWN = 60  # characters of a value
TOO_DEEP = "the expression meets data that is too large or nested too deeply"


@dataclass(frozen=True)
class Explanation:
    """An expression with its value, or its error, and the same for each part that was reached."""

    text: str
    value: Any
    error: str
    children: tuple["Explanation", ...]

    def lines(self) -> list[str]:
        """An indented tree of `expression  = value`, long values shortened."""
        answer = f"= {_shown(self.value)}"
        if self.error:
            passed_up = any(child.error == self.error for child in self.children)
            answer = "! see below" if passed_up else f"! {self.error}"
        below = [f"  {line}" for child in self.children for line in child.lines()]
        return [f"{self.text}  {answer}", *below]


def explain(text: str, scope: Mapping[str, Any]) -> Explanation:
    """Evaluates the expression in `text` and tells of each part."""
    source, trace = Source(text), Trace()
    run = Compiler(source, trace=trace).compile(source.tree)
    try:
        run(Evaluation(scope))
    except ExpressionError:
        pass  # the trace holds it
    except (RecursionError, MemoryError):
        return Explanation(text, None, TOO_DEEP, ())
    return _explained(source.tree, source, trace)


def _explained(node: ast.expr, source: Source, trace: Trace) -> Explanation:
    value, error = trace[node]
    children = tuple(
        _explained(child, source, trace)
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.expr) and child in trace and not is_literal(child)
    )
    return Explanation(source.segment(node), value, error, children)


def _shown(value: Any) -> str:
    """The start of `value` as JSON; encodes little more of it than is shown."""
    if is_opaque(value):
        return "(secret)"
    encoder = json.JSONEncoder(
        ensure_ascii=False, check_circular=False, skipkeys=True, default=lambda _: "(secret)"
    )
    try:
        text = "".join(islice(encoder.iterencode(value), MAX_SHOWN + 1))
    except ValueError:
        return "…"  # a whole number with too many digits to print
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
