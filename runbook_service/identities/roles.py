"""What each role may do. What is not allowed here is refused."""

from enum import StrEnum


class Right(StrEnum):
    """One thing that somebody may do."""

    VIEW = "view"  # runbooks, executions and how they ended
    READ_VALUES = "read_values"  # inputs, outputs, exchanges, run config, pictures
    RUN = "run"
    CANCEL = "cancel"
    REPLAY = "replay"  # from the record: asks nobody
    REPLAY_LIVE = "replay_live"  # asks the world again
    AUDIT = "audit"  # read the audit log
    MANAGE = "manage"  # tokens, schedules, the deployment


class Role(StrEnum):
    """A set of rights."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.VIEW}),
    Role.OPERATOR: frozenset(
        {Right.VIEW, Right.READ_VALUES, Right.RUN, Right.CANCEL, Right.REPLAY, Right.REPLAY_LIVE}
    ),
    Role.AUDITOR: frozenset({Right.VIEW, Right.READ_VALUES, Right.REPLAY, Right.AUDIT}),
    Role.ADMIN: frozenset(Right),
}
