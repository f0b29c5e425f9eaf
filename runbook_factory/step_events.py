"""Stores the events of steps without a log record for each: nobody but the storage hears of them.

Private to Dagster: tests/runbook_factory/test_dagster_contract.py holds this module to what it relies on.
"""

import logging
import time
from typing import Any, Self

from dagster import DagsterEvent, DagsterInstance, EventLogEntry
from dagster._core.execution.context.system import PlanExecutionContext
from dagster._core.log_manager import DagsterLogManager
from dagster._core.utils import coerce_valid_log_level


class EventLog(DagsterLogManager):
    """What steps log goes the usual way, and so does what somebody may want to see: failures."""

    instance: DagsterInstance

    def log_dagster_event(
        self, level: str | int, msg: str, dagster_event: DagsterEvent, batch_metadata: Any = None
    ) -> None:
        """Stores the event."""
        number = coerce_valid_log_level(level)
        if number >= logging.ERROR or batch_metadata is not None:
            super().log_dagster_event(level, msg, dagster_event, batch_metadata)
            return
        about = self.metadata
        self.instance.handle_new_event(
            EventLogEntry(  # type: ignore[no-untyped-call]
                level=number,
                user_message=msg,
                run_id=about["run_id"],
                timestamp=time.time(),
                step_key=about["step_key"] or dagster_event.step_key,
                job_name=about["job_name"],
                dagster_event=dagster_event,
                error_info=None,
            )
        )

    def with_tags(self, **new_tags: str) -> Self:
        """The same, of one step."""
        return self._made(self._dagster_handler.with_tags(**new_tags))

    def _made(self, handler: Any) -> Self:
        made = type(self)(dagster_handler=handler, level=self.level, managed_loggers=self._managed_loggers)
        made.instance = self.instance
        return made


def store_directly(context: PlanExecutionContext) -> None:
    """Has the events of the steps of a run stored directly, unless `dagster.yaml` names other handlers."""
    log = context.log
    if len(log._dagster_handler._handlers) > 1:  # the one is the storage's
        return
    direct = EventLog(
        dagster_handler=log._dagster_handler, level=log.level, managed_loggers=log._managed_loggers
    )
    direct.instance = context.instance
    context._log_manager = direct
