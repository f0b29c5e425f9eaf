"""`python -m runbook_factory.replay.process '{"execution": ...}'`: one replay, for a service that asked."""

import json
import sys
from pathlib import Path

from runbook_defs.execution import Actor
from runbook_factory.instance import stored_instance
from runbook_factory.project import find_project
from runbook_factory.replay.recording import NotReplayable
from runbook_factory.replay.replays import open_replay


def main(asked: str) -> int:
    """Runs the replay that is asked for in JSON; what comes of it is in the record."""
    wanted = json.loads(asked)
    project = find_project(Path.cwd())
    try:
        with (
            open_replay(
                project, wanted["execution"], live=wanted["live"], allow_writes=wanted["allow_writes"]
            ) as replay,
            stored_instance(project) as instance,
        ):
            for _ in replay.run(actor=Actor(**wanted["actor"]), instance=instance, run_id=wanted["replay"]):
                pass
    except NotReplayable as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - a process of its own
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
