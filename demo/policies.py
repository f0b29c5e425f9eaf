"""The invented policy on how long entities are kept, and what a change of it would do to them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from demo.entities import Entity, enrich, valid_entities

POLICY_ID = "entity-retention"
RUNNING_POLLS = 2  # how often a simulation says that it is not done yet


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Rules(_Strict):
    """What the policy says: entities leave after so many days, unless their type is exempt."""

    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 1095
    exempt_types: list[Literal["person", "organization", "location", "vehicle"]] = []


class Proposal(_Strict):
    """A change to try: `change` has the rules that differ from those of `base_version`."""

    policy: Literal["entity-retention"]
    base_version: int
    change: Annotated[dict[str, Any], Field(min_length=1)]


CURRENT = Rules()
VERSION = 7


def policy() -> dict[str, Any]:
    """The policy as it stands."""
    return {
        "id": POLICY_ID,
        "title": "Retention of entities",
        "version": VERSION,
        "rules": CURRENT.model_dump(),
    }


@dataclass
class Simulation:
    """One try of changed rules: running for its first polls, then done."""

    id: str
    rules: Rules
    polls: int = 0
    _affected: dict[str, list[Entity]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entity in _leaving(self.rules):
            self._affected.setdefault(_group(entity), []).append(entity)

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return self.polls > RUNNING_POLLS

    def poll(self) -> dict[str, Any]:
        """How far it is; each poll brings it on."""
        self.polls += 1
        return self.state()

    def state(self) -> dict[str, Any]:
        """How far it is."""
        progress = round(min(self.polls / (RUNNING_POLLS + 1), 1), 2)
        return {"id": self.id, "status": "done" if self.done else "running", "progress": progress}

    def result(self) -> dict[str, Any]:
        """What the change would do, group by group."""
        return {
            "simulation": self.id,
            "population": len(valid_entities()),
            "affected": sum(map(len, self._affected.values())),
            "groups": [
                {"id": group, "affected": len(self._affected[group])} for group in sorted(self._affected)
            ],
        }

    def group(self, group: str) -> dict[str, Any]:
        """Which entities of an affected group would leave; raises `KeyError` for any other group."""
        leaving = self._affected[group]
        members = Counter(_group(enrich(entity)) for entity in valid_entities())
        return {
            "id": group,
            "name": leaving[0]["region"],
            "members": members[group],
            "high_risk": sum(entity["risk"] == "high" for entity in leaving),
            "entities": [entity["id"] for entity in leaving],
        }


def _leaving(rules: Rules) -> list[Entity]:
    """The entities that would leave under `rules`; under those of today none does."""
    known = [enrich(entity) for entity in valid_entities()]
    return [entity for entity in known if _leaves(entity, rules)]


def _leaves(entity: Entity, rules: Rules) -> bool:
    return entity["days_known"] > rules.keep_days and entity["type"] not in rules.exempt_types


def _group(entity: Entity) -> str:
    return str(entity["region"]).lower().replace(" ", "-")
