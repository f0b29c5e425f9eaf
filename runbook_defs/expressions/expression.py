"""A compiled expression."""

from collections.abc import Mapping
from typing import Any

from runbook_defs.expressions.compiling import Compiler
from runbook_defs.expressions.errors import ExpressionError
from runbook_defs.expressions.evaluation import Evaluation
from runbook_defs.expressions.explanation import TOO_DEEP, Explanation, explain
from runbook_defs.expressions.parsing import Source


class Expression:
    """An expression, free to be evaluated many times and in many threads.

    `names` has the longest static path of each name used, `name_offsets` where each is first used,
    `secrets` the names given to `secret('...')`.
    """

    __slots__ = ("_run", "name_offsets", "names", "secrets", "text")

    def __init__(self, text: str) -> None:
        source = Source(text)
        compiler = Compiler(source)
        self._run = compiler.compile(source.tree)
        self.text = text
        self.name_offsets = compiler.names
        self.names = frozenset(compiler.names)
        self.secrets = frozenset(compiler.secrets)

    def __repr__(self) -> str:
        return f"<expression {self.text}>"

    def __reduce__(self) -> Any:
        return Expression, (self.text,)

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The value in `scope`; raises `ExpressionError`, or what `scope["secret"]` raises."""
        try:
            return self._run(Evaluation(scope))
        except ExpressionError as error:
            error.__context__ = None  # it may quote data, as a ValueError of int() does
            raise
        except (RecursionError, MemoryError):
            raise ExpressionError(TOO_DEEP) from None

    def explain(self, scope: Mapping[str, Any]) -> Explanation:
        """The value of the expression and of each of its parts; shows data."""
        return explain(self.text, scope)


def compile_expression(text: str) -> Expression:
    """The expression in `text`, without its `${` and `}`; raises `ExpressionError`."""
    return Expression(text)
