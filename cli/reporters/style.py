"""Marks and colours: only on a terminal, and never when NO_COLOR is set."""

import os
import sys
from typing import TextIO

_CODES = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "dim": 2, "bold": 1}


def colourful(stream: TextIO | None = None) -> bool:
    """Whether colour may be used on `stream` (default: stdout)."""
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str) -> str:
    """`text` in a colour, where there may be one."""
    return f"\033[{_CODES[colour]}m{text}\033[0m" if colourful() else text


def plain(text: str) -> str:
    """`text` from outside, with nothing in it that could steer a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def tick(good: bool) -> str:
    """✓ or ✗."""
    return paint("✓", "green") if good else paint("✗", "red")
