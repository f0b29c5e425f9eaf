"""What was said at the gates, each body stored once, under its digest."""

from typing import Any

from step_ops.recording import digest

BODY_BYTES = 8 * 1024 * 1024  # a longer body is cut, and its execution cannot be replayed

# The part of a statement that stores bodies. In order: two that keep the same must not each wait for what
# the other has written.
KEEP = """
    INSERT INTO runbook.bodies (digest, bytes, size, truncated)
    SELECT * FROM unnest(
        CAST(:digests AS TEXT[]), CAST(:bodies AS BYTEA[]), CAST(:sizes AS BIGINT[]), CAST(:cuts AS BOOLEAN[])
    ) ON CONFLICT (digest) DO NOTHING
"""


class Bodies(dict[str, bytes]):
    """What is to be stored under its digest; `size` is how many bytes that is."""

    size = 0

    @property
    def are_many(self) -> bool:
        """Whether they are to be stored before others come."""
        return self.size > BODY_BYTES

    def add(self, data: bytes) -> str:
        """Adds a body; gives its digest."""
        name = digest(data)
        if name not in self:
            self[name] = data
            self.size += len(data)
        return name

    def take(self, others: "Bodies") -> None:
        """Adds all of the others."""
        for name, data in others.items():
            if name not in self:
                self[name] = data
                self.size += len(data)

    def clear(self) -> None:
        """Forgets them all."""
        super().clear()
        self.size = 0

    def as_values(self) -> dict[str, list[Any]]:
        """The values for the statement that stores them."""
        names = sorted(self)
        return {
            "digests": names,
            "bodies": [self[name][:BODY_BYTES] for name in names],
            "sizes": [len(self[name]) for name in names],
            "cuts": [is_cut(self[name]) for name in names],
        }


def is_cut(body: bytes) -> bool:
    """Whether only the start of the body is stored."""
    return len(body) > BODY_BYTES
