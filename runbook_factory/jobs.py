"""From a runbook to a Dagster job: an op per step, `Nothing` edges along `depends_on`."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    ConfigMapping,
    DagsterInvariantViolationError,
    DependencyDefinition,
    Enum,
    EnumValue,
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
    Shape,
    mem_io_manager,
)

from runbook_defs.model import Runbook, Step
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.execution import listener
from runbook_factory.executor import runbook_executor
from runbook_factory.step_events import DONE
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
                f"after_{up}": DependencyDefinition(up, DONE) for up in dict.fromkeys(step.depends_on)
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
    return OpDefinition(
        name=f"{job_name(runbook.id)}__{step.id}",
        compute_fn=_never,
        description=step.description or None,
        ins={f"after_{up}": In(Nothing) for up in dict.fromkeys(step.depends_on)},
        outs={DONE: Out(Nothing)},
        tags={
            "kind": step.type,
            "runbook/effect": runbook.effect(step).value,
            "runbook/on_failure": step.on_failure.value,
        },
    )


def _never(context: OpExecutionContext, inputs: Mapping[str, Any]) -> Iterator[Output[None]]:
    raise DagsterInvariantViolationError(
        "the steps of a runbook are run by the executor of its job: leave `executor_def` as it is"
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
