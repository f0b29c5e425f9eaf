"""`-k`: choosing scenarios by parts of their names, with `not`, `and` and `or` as pytest has them."""

import re
from collections.abc import Callable

from cli.errors import Stop


def compile_selection(expression: str) -> Callable[[str], bool]:
    """Whether a name is chosen by `expression`; upper and lower case are alike. Raises `Stop`.

    `and` binds closer than `or`. Words that stand side by side are one part, with their blanks.
    """
    ways = [
        [_part(item, expression) for item in re.split(r"\band\b", way)]
        for way in re.split(r"\bor\b", expression.lower())
    ]

    def chosen(name: str) -> bool:
        lower = name.lower()
        return any(all((part in lower) is wanted for part, wanted in way) for way in ways)

    return chosen


def _part(text: str, expression: str) -> tuple[str, bool]:
    words = " ".join(text.split())
    wanted = True
    while words == "not" or words.startswith("not "):
        words, wanted = words[4:], not wanted
    if not words:
        hint = "for example -k golden, -k 'not golden', -k 'golden or malformed'"
        raise Stop(f"-k {expression!r} has a part without a word", hint=hint)
    return words, wanted
