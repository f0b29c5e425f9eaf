"""What a step that ended an execution left to chance: which others had begun by then."""

from runbook_defs.execution import ExecutionRecord, Status, StepStatus
from runbook_defs.graph import upstream
from runbook_defs.model import OnFailure, Runbook


def left_to_chance(record: ExecutionRecord, runbook: Runbook) -> frozenset[str]:
    """The steps of which nobody can say whether they begin before another one ends the execution.

    A step is certain when it waits for nothing that the failing one does not wait for too, and when it
    comes after that one.
    """
    if record.status is not Status.ABORTED:
        return frozenset()
    waits = {step.id: frozenset(step.depends_on) for step in runbook.steps}
    before = upstream({step.id: step.depends_on for step in runbook.steps})
    ending = {step.id for step in runbook.steps if step.on_failure is not OnFailure.LOG_AND_CONTINUE}
    attempts = {step.step_id: step for step in record.steps}  # the last one of each
    failed = [name for name in ending & attempts.keys() if attempts[name].status is StepStatus.FAILED]
    return frozenset(
        name
        for name in waits
        if not before[name] & set(failed) and not all(waits[name] <= before[one] for one in failed)
    )
