"""From a runbook to a Dagster job: an op per step, `Nothing` edges along `depends_on`."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    ConfigMapping,
    DependencyDefinition,
    Enum,
    EnumValue,
    Failure,
    Field,
    GraphDefinition,
    In,
    InitLoggerContext,
    JobDefinition,
    LoggerDefinition,
    MetadataValue,
    NodeInvocation,
    Noneable,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    Permissive,
    RetryRequested,
    Shape,
    mem_io_manager,
)

from runbook_defs.execution import StepRecord
from runbook_defs.model import Runbook, Step
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.execution import aborts, current_execution, listener
from runbook_factory.executor import runbook_executor
from step_ops.gate import Mode

# A backtest leaves no record: only this program starts one, never somebody's run config.
_MODE = Enum("RunbookMode", [EnumValue(mode.value) for mode in Mode if mode is not Mode.BACKTEST])
_ANY_MODE = Enum("AnyRunbookMode", [EnumValue(mode.value) for mode in Mode])

DIGEST_TAG = "runbook/definition"  # of a run: which definition it was launched with

_CONFIG_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "list": list,
    "object": Permissive(),
}


def _console_logger(context: InitLoggerContext) -> logging.Logger:
    """Failures on stderr, for Dagster's own commands; nothing where `rb` tells what happens."""
    console = logging.Logger("runbook.console", logging.ERROR)
    console.addHandler(logging.NullHandler() if listener.get() is not None else logging.StreamHandler())
    return console


def job_name(runbook_id: str) -> str:
    """The Dagster job of a runbook: rb-001-x becomes rb_001_x."""
    return runbook_id.replace("-", "_")


def build_job(runbook: LoadedRunbook, *, backtests: bool = False) -> JobDefinition:
    """The job that runs the runbook, whoever starts it and in whatever mode; only one that `backtests`
    leaves no record.
    """
    model = runbook.runbook
    name = job_name(runbook.id)
    graph = GraphDefinition(
        name=name,
        description=model.description or model.name,
        node_defs=[_op(runbook, step) for step in model.steps],
        dependencies={
            NodeInvocation(f"{name}__{step.id}", alias=step.id, tags={"kind": step.type}): {
                f"after_{up}": DependencyDefinition(up, "done") for up in dict.fromkeys(step.depends_on)
            }
            for step in model.steps
        },
    )
    return graph.to_job(
        name=name,
        description=_description(model),
        config=ConfigMapping(
            config_schema=_config_schema(runbook, _ANY_MODE if backtests else _MODE),
            config_fn=lambda config: {"loggers": {"console": {}}},
        ),
        logger_defs={
            "console": LoggerDefinition(
                _console_logger, description="Failures on stderr; all events are stored."
            )
        },
        executor_def=runbook_executor(runbook),
        # No value passes between steps. Without one of its own, a job would open the IO manager of
        # the project that it is merged into, perhaps a data warehouse, and fail with it.
        resource_defs={"io_manager": mem_io_manager},
        metadata=_job_metadata(runbook),
        tags={"runbook/id": runbook.id, "runbook/version": model.version, DIGEST_TAG: runbook.digest},
    )


def _op(runbook: LoadedRunbook, step: Step) -> OpDefinition:
    def compute(context: OpExecutionContext, inputs: Mapping[str, Any]) -> Iterator[Output[None]]:
        execution = current_execution.get()
        record = execution.run_step(step.id, attempt=context.retry_number + 1)
        metadata = _step_metadata(record)
        if record.retry_in is not None and step.retry is not None:
            # In a test the wait has passed on the virtual clock already.
            seconds = record.retry_in if execution.is_live else 0.0
            raise RetryRequested(max_retries=step.retry.max_attempts - 1, seconds_to_wait=seconds)
        if aborts(step, record):
            failure = record.failure or {}
            raise Failure(
                description=f"{failure.get('type')}: {failure.get('message')}",
                metadata=metadata,
                allow_retries=False,
            )
        yield Output(None, output_name="done", metadata=metadata)

    return OpDefinition(
        name=f"{job_name(runbook.id)}__{step.id}",
        compute_fn=compute,
        description=step.description or None,
        ins={f"after_{up}": In(Nothing) for up in dict.fromkeys(step.depends_on)},
        outs={"done": Out(Nothing)},
        tags={
            "kind": step.type,
            "runbook/effect": runbook.effect(step).value,
            "runbook/on_failure": step.on_failure.value,
        },
    )


def _config_schema(runbook: LoadedRunbook, modes: Enum) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: Field(Noneable(str), is_required=False, description="Read from the environment if not given.")
        for name in runbook.checked.uses.implicit
    }
    for name, spec in runbook.runbook.inputs.items():
        if spec.sensitive:
            continue  # Dagster stores and shows run config
        # Not required here: the environment may hold it. The run says what is missing.
        fields[name] = Field(
            _CONFIG_TYPES[spec.type], is_required=False, description=spec.description or None
        )
    cassette = Shape({"file": str, "scenario": str, "baselines": Field(Permissive(), is_required=False)})
    replay = Shape(
        {
            "execution": str,
            "live": Field(bool, is_required=False),
            "allow_writes": Field(bool, is_required=False),
        }
    )
    return {
        "inputs": Field(Shape(fields), is_required=False, description="The inputs of the runbook."),
        "deny": Field([str], is_required=False, description="Assumptions that do not hold: the run aborts."),
        "mode": Field(modes, is_required=False, description="live, unless stated."),
        "cassette": Field(cassette, is_required=False, description="Where a test's answers are."),
        "replay": Field(replay, is_required=False, description="Which execution a replay does again."),
    }


def _description(model: Runbook) -> str:
    return "\n\n".join(
        part for part in (f"**{model.name}**", model.description, f"Legal basis: {model.legal_basis}") if part
    )


def _job_metadata(runbook: LoadedRunbook) -> dict[str, Any]:
    model = runbook.runbook
    assumptions = "\n".join(f"- {item.description or item.id}" for item in model.assumptions)
    limits = model.kpis.model_dump(exclude_none=True)
    kpis = "\n".join(f"| {name} | {_limit(value)} |" for name, value in limits.items())
    source = runbook.checked.document.path
    return {
        "runbook/id": runbook.id,
        "runbook/version": model.version,
        "runbook/owner": model.owner,
        "runbook/legal_basis": model.legal_basis,
        "runbook/assumptions": MetadataValue.md(assumptions or "none"),
        "runbook/kpis": MetadataValue.md(f"| KPI | limit |\n| --- | --- |\n{kpis}" if kpis else "none"),
        "runbook/source": MetadataValue.path(str(source)),
        "runbook/definition": MetadataValue.md(f"```yaml\n{runbook.text}\n```"),
        "runbook/digest": runbook.digest,
    }


def _limit(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {item}" for key, item in value.items() if key in {"min", "max", "equals"})


def _step_metadata(record: StepRecord) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "runbook/status": record.status.value,
        "runbook/summary": record.summary or "none",
        "runbook/seconds": record.seconds,
    }
    if record.records:
        metadata["runbook/records"] = MetadataValue.json(record.records)
    if record.errors:
        metadata["runbook/errors"] = MetadataValue.json(list(record.errors[:20]))
    for picture in record.pictures:
        metadata[f"runbook/picture/{picture['name']}"] = MetadataValue.path(picture["path"])
        if picture["ratio"] is not None:
            metadata[f"runbook/picture/{picture['name']}/difference"] = picture["ratio"]
    return metadata
