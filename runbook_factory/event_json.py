"""Dagster's events as the JSON that it stores.

Its own serializer asks of each part of each event what type that is; most parts are the same for all events
of a step. Private to Dagster: tests/runbook_factory/test_dagster_contract.py holds this module to it.
"""

import json
from functools import lru_cache
from typing import Any

from dagster import EventLogEntry
from dagster_shared.serdes import pack_value, serialize_value


def event_json(event: EventLogEntry) -> str:
    """The event as Dagster's `serialize_value` writes it."""
    told = event.dagster_event
    if told is None or event.error_info is not None:
        return serialize_value(event)
    data = told.event_specific_data
    return json.dumps(
        {
            "__class__": "EventLogEntry",
            "dagster_event": {
                "__class__": "DagsterEvent",
                "event_specific_data": None if data is None else pack_value(data),
                "event_type_value": told.event_type_value,
                "logging_tags": told.logging_tags,
                "message": told.message,
                "pid": told.pid,
                "pipeline_name": told.job_name,
                "solid_handle": _packed(told.node_handle),
                "step_handle": _packed(told.step_handle),
                "step_key": told.step_key,
                "step_kind_value": told.step_kind_value,
            },
            "error_info": None,
            "level": event.level,
            "message": "",
            "pipeline_name": event.job_name,
            "run_id": event.run_id,
            "step_key": event.step_key,
            "timestamp": event.timestamp,
            "user_message": event.user_message,
        },
        sort_keys=True,
    )


@lru_cache(maxsize=10_000)  # of the steps of all runbooks
def _packed(handle: Any) -> Any:
    return None if handle is None else pack_value(handle)
