"""The `${...}` expression language: an allow-list compiler over Python's `ast`.

An expression is compiled once into closures. It sees JSON data only: no attribute of a Python
object, no method, no name but those of its scope and of `functions`. All it can do is bounded: in
the text, in each value it makes, and in the work of one evaluation.
"""

from runbook_defs.expressions.compiling import Path
from runbook_defs.expressions.data import is_opaque, text_of
from runbook_defs.expressions.errors import ExpressionError, Refused
from runbook_defs.expressions.explanation import Explanation
from runbook_defs.expressions.expression import Expression, compile_expression
from runbook_defs.expressions.functions import FUNCTIONS

__all__ = [
    "FUNCTIONS",
    "Explanation",
    "Expression",
    "ExpressionError",
    "Path",
    "Refused",
    "compile_expression",
    "is_opaque",
    "text_of",
]
