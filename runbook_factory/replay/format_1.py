"""What records of format 1 do not say, as far as the rest of them gives it away."""

import json
from datetime import datetime, timedelta

from runbook_defs.execution import ExecutionRecord
from runbook_defs.wellknown import TIMESTAMP

_FORMAT = 1
_APART = timedelta(seconds=1)


def seen_start(record: ExecutionRecord) -> datetime | None:
    """When the execution started as its steps saw it, if one of them was given it.

    The row has the time of the database instead, a little apart from it.
    """
    if record.format_version != _FORMAT:
        return None
    given = json.dumps([step.inputs for step in (*record.probes, *record.steps)])
    for hit in TIMESTAMP.finditer(given):
        if hit[0].endswith("+00:00") and "." in hit[0]:
            moment = datetime.fromisoformat(hit[0])
            if abs(moment - record.started_at) < _APART:
                return moment
    return None
