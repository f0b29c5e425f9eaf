"""The documentation as data: pages, their sections, fenced blocks, tables and links."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

_FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^()\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words behind it, and where it is."""

    page: "Page"
    line: int
    language: str
    words: tuple[str, ...]
    body: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file of the example project that the block is, if it is one."""
        names = [word.removeprefix("file=") for word in self.words if word.startswith("file=")]
        return names[0] if names else None


@dataclass(frozen=True)
class Page:
    """A Markdown file of the project."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def blocks(self) -> list[Block]:
        return [
            Block(
                self,
                self.text.count("\n", 0, match.start()) + 1,
                match["info"].split()[0],
                tuple(match["info"].split()[1:]),
                match["body"],
            )
            for match in _FENCE.finditer(self.text)
        ]

    @property
    def headings(self) -> list[str]:
        return [plain(heading) for heading in _HEADING.findall(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """The names that headings have on GitHub."""
        kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in self.headings)
        return {heading.replace(" ", "-") for heading in kept}

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    def section(self, heading: str) -> str:
        """What stands under a heading, down to the next one of its level or above."""
        level, inside = 0, []
        for line in self.prose.splitlines():
            depth = len(line) - len(line.lstrip("#"))
            if level and 0 < depth <= level:
                break
            if level:
                inside.append(line)
            elif depth and plain(line.lstrip("#")) == heading:
                level = depth
        assert level, f"{self.name} has no heading {heading!r}; add one"
        return "\n".join(inside)


def plain(heading: str) -> str:
    """A heading without its marks."""
    return heading.replace("`", "").strip()


def rows(text: str, first: str) -> list[list[str]]:
    """The rows of every table in `text` whose first column is called `first`."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            inside = False
        elif cells[0] == first:
            inside = True
        elif inside and not set(cells[0]) <= set("-: "):
            found.append(cells)
    return found


def code(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def pages() -> list[Page]:
    """The readme, the changelog and all of docs/."""
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path) for path in files]


def page(name: str) -> Page:
    """The page docs/`name`."""
    return Page(ROOT / "docs" / name)


def conversation(body: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block with the lines it should print."""
    said: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            said.append((line.removeprefix("$ "), []))
        else:
            said[-1][1].append(line)
    return said


def as_pattern(lines: list[str]) -> str:
    """What such lines match: a line `...` any lines, `...` inside a line any text."""
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*".join(re.escape(part) for part in line.split("...")) + r"\n")
    return "".join(parts)
