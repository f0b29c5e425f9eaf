"""A screenshot beside its baseline: what differs, and whether that is within what is allowed."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from step_ops.exchanges import PageShot
from step_ops.pixels import compare


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A screenshot and how it compares; `ratio` is the share of pixels that differ, 0 to 1.

    `verdict`: same, within, changed, size-changed or no-baseline.
    """

    name: str
    path: str
    digest: str
    verdict: str
    ratio: float | None = None
    allowed: float = 0.01
    changed: int = 0
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    diff_path: str | None = None
    fingerprint: dict[str, str] = field(default_factory=dict)


def equals(shot: PageShot, baseline: bytes | None) -> bool:
    """Whether no pixel outside the masks differs from the baseline; False without one."""
    return baseline is not None and compare(baseline, shot.png, masked=shot.masked) is None


def judge(
    name: str,
    shot: PageShot,
    *,
    baseline: bytes | None,
    allowed: float,
    keep: Callable[[str, bytes], str],
) -> Picture:
    """The picture with its verdict; it and, where it differs, the drawing of the difference are kept."""
    picture = Picture(
        name=name,
        path=keep(f"{name}.png", shot.png),
        digest=hashlib.sha256(shot.png).hexdigest(),
        verdict="no-baseline" if baseline is None else "same",
        ratio=None if baseline is None else 0.0,
        allowed=allowed,
        fingerprint=dict(shot.fingerprint),
    )
    if baseline is None:
        return picture
    difference = compare(baseline, shot.png, masked=shot.masked)
    if difference is None:
        return picture
    verdict = "within" if difference.ratio <= allowed else "changed"
    return replace(
        picture,
        verdict="size-changed" if difference.size_changed else verdict,
        ratio=difference.ratio,
        changed=difference.changed,
        boxes=tuple((box.x, box.y, box.width, box.height) for box in difference.boxes),
        diff_path=keep(f"{name}-diff.png", difference.picture),
    )
