"""Runs that Dagster's own mutations start: in the name of who asks, and as what they are.

A client of Dagster's states the tags of a run and its whole config, and a re-execution takes over those of
the run before. Neither is believed here: the tags of ours are made anew. The only module that changes the
arguments of Dagster's mutations; a contract test holds it to their shape.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dagster import DagsterInstance
from dagster._core.storage.tags import TAGS_TO_MAYBE_OMIT_ON_RETRY
from dagster_graphql.schema.runs import parse_run_config_input

from runbook_factory.opening import actor_tags
from runbook_service.web.context import RunbookRequestContext
from step_ops.gate import Mode

PREFIX = "runbook/"  # of the tags that only this program may state


class DishonestRun(Exception):
    """A run whose record would say something else than what was done."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def in_their_name(arguments: Mapping[str, Any], context: RunbookRequestContext) -> dict[str, Any]:
    """The arguments of a mutation, with the tags that say who asks, and what kind of run it is.

    Raises `DishonestRun`.
    """
    told = dict(arguments)
    own = actor_tags(context.identity.actor)
    if told.get("executionParams"):
        told["executionParams"] = _execution(told["executionParams"], own)
    if told.get("executionParamsList"):
        told["executionParamsList"] = [_execution(params, own) for params in told["executionParamsList"]]
    if told.get("reexecutionParams"):
        told["reexecutionParams"] = _reexecution(told["reexecutionParams"], own, context.instance)
    if told.get("backfillParams"):  # Dagster adds who asks by itself
        backfill = told["backfillParams"]
        told["backfillParams"] = {**backfill, "tags": _as_list(_foreign(backfill.get("tags")))}
    return told


def _execution(params: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, Any]:
    metadata = params.get("executionMetadata") or {}
    config = parse_run_config_input(params.get("runConfigData") or {}, raise_on_error=False)
    tags = {**_foreign(metadata.get("tags")), **own, **_mode_tag(config)}
    return {
        **params,
        "runConfigData": config,
        "executionMetadata": {**metadata, "tags": _as_list(tags)},
    }


def _reexecution(
    params: Mapping[str, Any], own: Mapping[str, str], instance: DagsterInstance
) -> dict[str, Any]:
    """Takes over what others tagged the run before with: what is ours is of that run, and how it ended."""
    parent = instance.get_run_by_id(params["parentRunId"])
    if parent is None:
        return dict(params)  # Dagster says so
    inherited = {} if params.get("useParentRunTags") is False else parent.tags
    kept = [
        {"key": name, "value": value}
        for name, value in inherited.items()
        if name not in TAGS_TO_MAYBE_OMIT_ON_RETRY
    ]
    stated = params.get("extraTags") or []
    tags = {**_foreign([*kept, *stated]), **own, **_mode_tag(parent.run_config)}
    return {**params, "extraTags": _as_list(tags), "useParentRunTags": False}


def _foreign(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """The tags that a client may state."""
    return {tag["key"]: tag["value"] for tag in tags or () if not tag["key"].startswith(PREFIX)}


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in tags.items()]


def _mode_tag(config: Any) -> dict[str, str]:
    """What the run will be recorded as. Dagster itself refuses a config that is no mapping."""
    if not isinstance(config, Mapping):
        return {}
    mode = config.get("mode") or Mode.LIVE
    if mode not in (Mode.LIVE, Mode.REPLAY):  # whatever it is
        raise DishonestRun(f"the mode {mode!r} is not for runs of the service: `rb test` tests a runbook")
    if config.get("cassette"):
        raise DishonestRun("a run of the service gets no answers from a cassette: `rb test` tests a runbook")
    if bool(config.get("replay")) is not (mode == Mode.REPLAY):
        raise DishonestRun("`replay` and the mode `replay` go together: replayExecution states both")
    return {f"{PREFIX}mode": str(mode)}
