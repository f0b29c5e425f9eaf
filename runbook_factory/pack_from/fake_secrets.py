"""Fake values for secrets, put wherever a record has their pseudonyms."""

import re
from collections.abc import Collection, Iterable
from typing import Any


class FakeSecrets:
    """The fake value of each secret; `used` has those that something in the record stands for.

    A secret that was changed while the execution ran has several pseudonyms, and one fake value.
    """

    def __init__(self, names: Iterable[str]) -> None:
        known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        name = rf"(?:{known}|[A-Za-z_][A-Za-z0-9_]*)" if known else r"[A-Za-z_][A-Za-z0-9_]*"
        # What two secrets were joined to has both of their names.
        self._text = re.compile(rf"secret:({name}(?:\+{name})*)#[0-9a-f]{{10}}")
        self._bytes = re.compile(self._text.pattern.encode())
        self._names = frozenset(names)
        self.used: dict[str, str] = {}

    def are_in(self, text: str) -> bool:
        """Whether `text` has a pseudonym in it."""
        return self._text.search(text) is not None

    def use(self, names: Collection[str]) -> None:
        """Makes fake values for these, also where no pseudonym of them is met."""
        for name in names:
            self._of(name)

    def put_into(self, value: Any) -> Any:
        """A copy of JSON-like `value` with fake values in place of pseudonyms, in keys too."""
        match value:
            case str():
                return self._text.sub(lambda hit: self._of(hit[1]), value)
            case bytes():
                return self._bytes.sub(lambda hit: self._of(hit[1].decode()).encode(), value)
            case dict():
                return {self.put_into(key): self.put_into(item) for key, item in value.items()}
            case list() | tuple():
                return [self.put_into(item) for item in value]
            case _:
                return value

    def _of(self, name: str) -> str:
        if name not in self._names and "+" in name:
            return "".join(self._of(part) for part in name.split("+"))
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        return self.used.setdefault(name, f"not-a-real-{plain or 'secret'}")
