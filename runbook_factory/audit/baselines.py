"""What the audit log has of baselines: who approved which picture, and out of which execution."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from runbook_defs.execution import Actor
from runbook_factory.audit.log import Action, Entry, Outcome, append, entries_of
from runbook_factory.database import reachable


@dataclass(frozen=True, kw_only=True)
class ApprovedPicture:
    """A picture that becomes a baseline; `path` is relative to the project, the digests are SHA-256.

    `previous` is that of the picture which was the baseline before, if one was.
    """

    path: str
    runbook_id: str
    execution: str
    step: str
    picture: str
    digest: str
    previous: str | None = None


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who approved a picture, when, and its digest."""

    by: str
    at: datetime
    digest: str
    execution: str


def note_approved(engine: Engine, approved: ApprovedPicture, *, actor: Actor) -> None:
    """Records that the picture is about to become the baseline.

    Raises `DatabaseError`, and then it must not.
    """
    details = {
        "runbook": approved.runbook_id,
        "execution": approved.execution,
        "step": approved.step,
        "picture": approved.picture,
        "digest": approved.digest,
        "previous": approved.previous,
    }
    entry = Entry(
        action=Action.BASELINE_APPROVED,
        subject=approved.path,
        outcome=Outcome.ALLOWED,
        actor=actor,
        details=details,
    )
    with reachable():
        append(engine, entry)


def read_approvals(engine: Engine) -> Mapping[str, Approval]:
    """The newest approval of each baseline, by its path in the project; raises `DatabaseError`."""
    found: dict[str, Approval] = {}
    with reachable():
        for entry in entries_of(engine, Action.BASELINE_APPROVED):
            details = entry.as_json()["details"]
            if isinstance(details, dict):
                found[entry.subject] = Approval(
                    by=entry.actor_name,
                    at=entry.at,
                    digest=str(details.get("digest")),
                    execution=str(details.get("execution")),
                )
    return found
