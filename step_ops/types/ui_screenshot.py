"""`ui_screenshot`: photographs an element of a page and compares the picture with its baseline."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from step_ops.errors import ErrorType, StepError
from step_ops.step_type import Effect, Result, StepConfig, StepType, Text

if TYPE_CHECKING:
    from step_ops.gate import Gate

DEFAULT_MAX_DIFF_RATIO = 0.01


class Viewport(StepConfig):
    """The size of the window, in CSS pixels."""

    width: Annotated[int, Field(ge=100, le=4096)] = 1280
    height: Annotated[int, Field(ge=100, le=4096)] = 720


class Config(StepConfig):
    """Inputs of `ui_screenshot`; `max_diff_ratio` makes a larger difference fail the step."""

    url: Text
    selector: Text
    name: Annotated[Text, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$")] | None = None
    actions: list[dict[str, Any]] = []
    viewport: Viewport = Viewport()
    mask: list[Text] = []
    max_diff_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 30

    @field_validator("actions")
    @classmethod
    def _known(cls, actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for action in actions:
            if len(action) != 1 or next(iter(action)) not in {"click", "fill", "wait_for"}:
                raise ValueError("each action is one of `click: ...`, `fill: ...`, `wait_for: ...`")
        return actions


def shot_name(config: Config) -> str:
    """The name of the picture: its own, else the last id or class of its selector."""
    if config.name:
        return config.name
    names: list[str] = re.findall(r"[#.]([A-Za-z][A-Za-z0-9_-]*)", config.selector)
    return names[-1].lower() if names else "page"


def run(config: Config, gate: "Gate") -> Result:
    """The path of the picture, and how it differs from its baseline."""
    # Imported here: checking a runbook does not need what comparing pictures needs.
    from step_ops.exchanges import PageRequest
    from step_ops.pictures import equals, judge

    name = shot_name(config)
    baseline = gate.baseline(name)
    request = PageRequest(
        url=config.url,
        selector=config.selector,
        actions=tuple(config.actions),
        viewport=(config.viewport.width, config.viewport.height),
        mask=tuple(config.mask),
        timeout=config.timeout_seconds,
    )

    shot = gate.photograph(request, accept=lambda first: equals(first, baseline))
    allowed = DEFAULT_MAX_DIFF_RATIO if config.max_diff_ratio is None else config.max_diff_ratio
    picture = judge(name, shot, baseline=baseline, allowed=allowed, keep=gate.keep)
    gate.pictures.append(picture)
    if picture.ratio is not None and config.max_diff_ratio is not None and picture.ratio > allowed:
        raise StepError(
            ErrorType.SCREENSHOT,
            f"the picture {name!r} differs in {picture.ratio:.2%} of its pixels, {allowed:.2%} are allowed",
            hint=f"look at {picture.diff_path}",
        )
    return Result(
        value={
            "screenshot": picture.path,
            "verdict": picture.verdict,
            "ratio": picture.ratio,
            "boxes": [list(place) for place in picture.boxes],
        }
    )


def effect(inputs: Mapping[str, Any], query_text: str) -> Effect:
    """A write when its actions click or fill."""
    actions = inputs.get("actions")
    touching = isinstance(actions, list) and any(
        isinstance(action, dict) and {"click", "fill"} & action.keys() for action in actions
    )
    return Effect.WRITE if touching else Effect.READ


def summary(result: Result, outputs: Mapping[str, Any]) -> str:
    """Such as `screenshot taken`."""
    return "screenshot taken"


STEP = StepType(name="ui_screenshot", config=Config, run=run, effect=effect, summary=summary)
