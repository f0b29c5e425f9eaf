"""Stores the events of a run without a log record for each: nobody but the storage hears of them.

Private to Dagster: tests/runbook_factory/test_dagster_contract.py holds this module to what it relies on.
"""

import logging
import time
from typing import Any

from dagster import DagsterEvent, DagsterInstance, EventLogEntry
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.log_manager import DagsterLogHandler, DagsterLogManager
from dagster._core.utils import coerce_valid_log_level


class EventLog(DagsterLogManager):
    """What steps log goes the usual way, and so does what somebody may want to see: failures."""

    def __init__(self, instance: DagsterInstance, log: DagsterLogManager, handler: DagsterLogHandler) -> None:
        super().__init__(handler, level=log.level, managed_loggers=log._managed_loggers)
        self._instance = instance

    def log_dagster_event(
        self, level: str | int, msg: str, dagster_event: DagsterEvent, batch_metadata: Any = None
    ) -> None:
        """Stores the event."""
        number = coerce_valid_log_level(level)
        if number >= logging.ERROR or batch_metadata is not None:
            super().log_dagster_event(level, msg, dagster_event, batch_metadata)
            return
        about = self.metadata
        self._instance.handle_new_event(
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

    def with_tags(self, **new_tags: str) -> "EventLog":
        """The same, of one step."""
        return EventLog(self._instance, self, self._dagster_handler.with_tags(**new_tags))


def store_directly(context: PlanOrchestrationContext) -> None:
    """Has the events of a run stored directly, unless `dagster.yaml` names other handlers."""
    handler = context.log._dagster_handler
    if not isinstance(context.log, EventLog) and len(handler._handlers) == 1:  # the storage's
        context._log_manager = EventLog(context.instance, context.log, handler)
