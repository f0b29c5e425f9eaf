"""Somebody who has shown a token, and what that lets them do."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from runbook_defs.execution import Actor
from runbook_service.identities.roles import RIGHTS, Right, Role


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The holder of a token. `runbooks` are ids or patterns such as `rb-*`; none stands for all."""

    token_id: str
    name: str
    role: Role
    runbooks: tuple[str, ...] = ()

    @property
    def actor(self) -> Actor:
        """As the record and the audit log name them."""
        return Actor(id=self.token_id, name=self.name, kind="token")

    @property
    def is_limited(self) -> bool:
        """Whether some runbooks are out of reach."""
        return bool(self.runbooks)

    def has(self, right: Right) -> bool:
        """Whether the role has the right, for one runbook at least."""
        return right in RIGHTS[self.role]

    def may(self, right: Right, runbook_id: str) -> bool:
        """Whether they have the right for this runbook."""
        return self.has(right) and self.reaches(runbook_id)

    def reaches(self, runbook_id: str) -> bool:
        """Whether the runbook is one of theirs."""
        return not self.runbooks or any(fnmatchcase(runbook_id, pattern) for pattern in self.runbooks)

    def of_theirs(self, runbook_ids: Iterable[str]) -> list[str]:
        """Those of the runbooks that are theirs."""
        return [runbook_id for runbook_id in runbook_ids if self.reaches(runbook_id)]
