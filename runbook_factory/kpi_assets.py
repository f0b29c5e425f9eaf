"""How well a runbook goes over time: an asset in Dagster's catalog, with a point per live execution."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from dagster import AssetMaterialization, AssetSpec, DagsterInstance, JobDefinition, MetadataValue

from runbook_defs.execution import ExecutionRecord
from step_ops.gate import Mode

_TOLD = ("runbook/id", "runbook/owner", "runbook/legal_basis", "runbook/kpis")  # as the job tells it
_LARGEST = 2**31  # beyond it, Dagster's GraphQL gives no whole number

_log = logging.getLogger("runbook")


def kpi_asset(job: JobDefinition) -> AssetSpec:
    """The asset that holds the figures of the job's live executions."""
    return AssetSpec(
        key=_key(job.name),
        description=f"The key figures of each live execution.\n\n{job.description}",
        metadata={name: job.metadata[name] for name in _TOLD},
        group_name="runbooks",
    )


def report_kpis(instance: DagsterInstance, record: ExecutionRecord, *, job: str) -> None:
    """Adds the figures of a live execution to the asset of its job; of others, none.

    Never raises: an execution is not worse because its figures are not plotted.
    """
    if record.mode != Mode.LIVE:
        return
    try:
        # Not an event of the run: the figures stay when old runs are removed.
        instance.report_runless_asset_event(
            AssetMaterialization(
                asset_key=_key(job),
                description=f"{record.short_name}: {record.status.value}",
                metadata={
                    **_figures(record),
                    "status": record.status.value,
                    "execution": MetadataValue.dagster_run(record.id),
                },
            )
        )
    except Exception as error:
        _log.warning("the KPIs of execution %s are not in Dagster's catalog: %s", record.id, error)


def _key(job: str) -> list[str]:
    return ["runbooks", job, "kpis"]


def _figures(record: ExecutionRecord) -> Mapping[str, MetadataValue[Any]]:
    """Every figure that is a number; a KPI hides a published metric of its name, as in acceptance packs."""
    figures: dict[str, Any] = {"duration_seconds": record.duration_seconds, **record.measures}
    figures |= {kpi.name: kpi.value for kpi in record.kpis}
    numbers = {name: _number(value) for name, value in figures.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def _number(value: Any) -> MetadataValue[Any] | None:
    """What Dagster plots for `value`; None when that is no number, or none that a plot could show."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) < _LARGEST:
        return MetadataValue.int(value)
    try:
        number = float(value)
    except OverflowError:
        return None
    return MetadataValue.float(number) if math.isfinite(number) else None
