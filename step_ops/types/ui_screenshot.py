"""`ui_screenshot`: photographs an element of a page and compares the picture with its baseline."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, field_validator

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import PageRequest, PageShot
from step_ops.gate import Gate, Picture
from step_ops.pixels import Difference, compare
from step_ops.recording import box, digest
from step_ops.step_type import Effect, Result, StepConfig, StepType, Text

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


def run(config: Config, gate: Gate) -> Result:
    """The path of the picture, and how it differs from its baseline."""
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

    def differs(shot: PageShot) -> Difference | None:
        return None if baseline is None else compare(baseline, shot.png, masked=shot.masked)

    shot = gate.photograph(request, accept=lambda first: baseline is not None and differs(first) is None)
    difference = differs(shot)
    allowed = DEFAULT_MAX_DIFF_RATIO if config.max_diff_ratio is None else config.max_diff_ratio
    picture = _picture(name, shot, difference, allowed, gate, compared=baseline is not None)
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


def _picture(
    name: str,
    shot: PageShot,
    difference: Difference | None,
    allowed: float,
    gate: Gate,
    *,
    compared: bool,
) -> Picture:
    picture = Picture(
        name=name,
        path=gate.keep(f"{name}.png", shot.png),
        digest=digest(shot.png),
        verdict="same" if compared else "no-baseline",
        ratio=0.0 if compared else None,
        allowed=allowed,
        fingerprint=dict(shot.fingerprint),
    )
    if difference is None:
        return picture
    verdict = "within" if difference.ratio <= allowed else "changed"
    return replace(
        picture,
        verdict="size-changed" if difference.size_changed else verdict,
        ratio=difference.ratio,
        changed=difference.changed,
        boxes=tuple(box(place) for place in difference.boxes),
        diff_path=gate.keep(f"{name}-diff.png", difference.picture),
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
