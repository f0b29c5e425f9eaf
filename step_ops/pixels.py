"""What differs between two pictures: from PNG bytes to places, a count and a picture of it."""

import io
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from step_ops.exchanges import Box

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 40_000_000
MERGE_WITHIN = 8
# Whether a pixel is anti-aliasing depends on its neighbours and theirs, so a crop keeps some more.
_CONTEXT = 3
# What Pillow raises for damaged bytes, depending on where the damage is.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_RUN = re.compile(b"\xff+")
_RED = (255, 0, 0)
_BLUE = (0, 90, 220)


class BrokenPicture(ValueError):
    """Bytes that are no PNG, a damaged one, or one too large to open."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How two pictures differ, counted in pixels, and a PNG that shows it.

    `boxes` are the changed places in reading order; changes with at most 8 px between them are one
    place. After a change of size every pixel that only one picture has is changed, masked or not.
    `picture` is the expected one dimmed, its masked boxes hatched, the changed pixels red.
    """

    changed: int
    total: int
    boxes: tuple[Box, ...]
    size_changed: bool
    picture: bytes

    @property
    def ratio(self) -> float:
        """The share of the pixels that changed, 0 to 1."""
        return self.changed / self.total


def compare(
    expected: bytes, actual: bytes, *, masked: Sequence[Box] = (), threshold: float = 0.1
) -> Difference | None:
    """What differs perceptibly between two PNGs outside the `masked` boxes, or None.

    `threshold` is pixelmatch's: 0 sees every difference, 1 none; anti-aliasing never counts.
    Raises `BrokenPicture`.
    """
    if expected == actual:
        return None
    before, after = _decode(expected), _decode(actual)
    width, height = min(before.width, after.width), min(before.height, after.height)
    overlap = before.crop((0, 0, width, height))
    mask = _mask(overlap, _covered(after.crop((0, 0, width, height)), overlap, masked), threshold)
    changed = mask.histogram()[255]
    total = before.width * before.height + after.width * after.height - width * height
    if before.size != after.size:
        mask = _with_outside(mask, before, after)
        changed += total - width * height
    if not changed:
        return None
    return Difference(
        changed=changed,
        total=total,
        boxes=_places(mask),
        size_changed=before.size != after.size,
        picture=_picture(before, mask, masked),
    )


def identical(one: bytes, other: bytes, *, masked: Sequence[Box] = ()) -> bool:
    """Whether two PNGs agree in every pixel outside the `masked` boxes; raises `BrokenPicture`."""
    if one == other:
        return True
    first, second = _decode(one), _decode(other)
    return first.size == second.size and _extent(first, _covered(second, first, masked)) is None


def _decode(png: bytes) -> "Image":
    """The picture on white, without alpha."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(png), formats=["PNG"])
        if picture.width * picture.height > MAX_PIXELS:
            raise _too_large(f"{picture.width}x{picture.height}")
        if not picture.has_transparency_data:
            return picture.convert("RGB")
        flat = Image.new("RGBA", picture.size, "white")
        flat.alpha_composite(picture.convert("RGBA"))
        return flat.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("huge") from error
    except BrokenPicture:
        raise
    except _DAMAGE as error:
        raise BrokenPicture(
            f"the picture ({len(png)} bytes) is no readable PNG: {error}; photograph it again"
        ) from error


def _too_large(size: str) -> BrokenPicture:
    return BrokenPicture(
        f"the picture is {size}, more than {MAX_PIXELS // 1_000_000} million pixels; "
        "photograph a smaller element"
    )


def _covered(picture: "Image", cover: "Image", boxes: Sequence[Box]) -> "Image":
    """`picture` with the pixels of `cover` in the boxes."""
    for box in boxes:
        corner = (max(box.x, 0), max(box.y, 0))
        end = (min(box.x + box.width, cover.width), min(box.y + box.height, cover.height))
        if corner[0] < end[0] and corner[1] < end[1]:
            picture.paste(cover.crop((*corner, *end)), corner)
    return picture


def _extent(before: "Image", after: "Image") -> tuple[int, int, int, int] | None:
    """The box around every pixel that is not the same, however little it differs."""
    from PIL import ImageChops

    return ImageChops.difference(before, after).getbbox()


def _mask(before: "Image", after: "Image", threshold: float) -> "Image":
    """A picture of one byte a pixel: 255 where two pictures of one size differ perceptibly."""
    from PIL import Image

    mask = Image.new("L", before.size)
    extent = _extent(before, after)
    if extent is not None:
        left, top, right, bottom = extent
        corner = (max(left - _CONTEXT, 0), max(top - _CONTEXT, 0))
        end = (min(right + _CONTEXT, before.width), min(bottom + _CONTEXT, before.height))
        one, other = (picture.crop((*corner, *end)).convert("RGBA") for picture in (before, after))
        pixels = _perceptible(one.tobytes(), other.tobytes(), size=one.size, threshold=threshold)
        mask.paste(Image.frombytes("RGBA", one.size, pixels).getchannel("A"), corner)
    return mask


def _perceptible(before: bytes, after: bytes, *, size: tuple[int, int], threshold: float) -> bytes:
    """RGBA bytes, opaque where pixelmatch sees a difference and transparent elsewhere."""
    try:
        import pybind11_pixelmatch as fast
    except ImportError:
        return _perceptible_without_wheel(before, after, size=size, threshold=threshold)
    options = fast.Options()
    options.threshold = threshold
    options.diffMask = True
    out = bytearray(len(before))
    shape = (size[1], size[0], 4)
    count = fast.pixelmatch(
        memoryview(before).cast("B", shape),
        memoryview(after).cast("B", shape),
        output=memoryview(out).cast("B", shape),
        options=options,
    )
    if count < 0:  # its silent way of refusing what it was given
        raise BrokenPicture(f"pixelmatch refused two pictures of {size[0]}x{size[1]}")
    return bytes(out)


def _perceptible_without_wheel(
    before: bytes, after: bytes, *, size: tuple[int, int], threshold: float
) -> bytes:
    """The same in pure Python, where the compiled twin has no wheel."""
    from pixelmatch import pixelmatch

    out: Any = bytearray(len(before))  # a sequence of int, where its annotation wants floats too
    pixelmatch(before, after, *size, out, threshold=threshold, diff_mask=True)
    return bytes(out)


def _with_outside(mask: "Image", before: "Image", after: "Image") -> "Image":
    """The mask on a canvas that holds both pictures, changed wherever only one of them is."""
    from PIL import Image

    canvas = Image.new("L", (max(before.width, after.width), max(before.height, after.height)))
    for picture in (before, after):
        canvas.paste(255, (0, 0, *picture.size))
    canvas.paste(mask, (0, 0))
    return canvas


def _places(mask: "Image") -> tuple[Box, ...]:
    """The boxes of the connected places of a mask, in reading order."""
    from PIL import ImageFilter

    # Widened by half the merging distance, places close enough touch. A blur widens at the same
    # cost for any radius: one white pixel in its window lifts the mean above zero.
    wide = mask.filter(ImageFilter.BoxBlur(MERGE_WITHIN // 2)).point(lambda v: 255 if v else 0)
    boxes = []
    for left, top, right, bottom in _connected(wide):
        inner = mask.crop((left, top, right, bottom)).getbbox()
        if inner is not None:
            width, height = inner[2] - inner[0], inner[3] - inner[1]
            boxes.append(Box(x=left + inner[0], y=top + inner[1], width=width, height=height))
    return tuple(sorted(boxes, key=lambda box: (box.y, box.x)))


def _connected(mask: "Image") -> list[tuple[int, int, int, int]]:
    """The corners of each connected area of white, found row by row; diagonal touch connects."""
    corners: dict[int, tuple[int, int, int, int]] = {}
    parents: list[int] = []

    def root(area: int) -> int:
        while parents[area] != area:
            area = parents[area] = parents[parents[area]]
        return area

    def join(one: int, other: int) -> None:
        kept, gone = sorted((root(one), root(other)))
        if kept != gone:
            parents[gone] = kept
            a, b = corners[kept], corners.pop(gone)
            corners[kept] = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))

    above: list[tuple[int, int, int]] = []
    data = mask.tobytes()
    for y in range(mask.height):
        runs = []
        row = y * mask.width
        for run in _RUN.finditer(data, row, row + mask.width):
            start, end = run.start() - row, run.end() - row
            area = len(parents)
            parents.append(area)
            corners[area] = (start, y, end, y + 1)
            for other_start, other_end, other in above:
                if other_start <= end and start <= other_end:
                    join(other, area)
            runs.append((start, end, area))
        above = runs
    return list(corners.values())


def _picture(before: "Image", mask: "Image", masked: Sequence[Box]) -> bytes:
    """The expected picture dimmed, masked boxes hatched, changed pixels red."""
    from PIL import Image

    grey = before.convert("L").point(lambda level: 255 - (255 - level) // 4)
    picture = Image.new("RGB", mask.size, "white")
    picture.paste(grey.convert("RGB"), (0, 0))
    for box in masked:
        _hatch(picture, box)
    picture.paste(_RED, (0, 0), mask)
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=6)
    return out.getvalue()


def _hatch(picture: "Image", box: Box) -> None:
    from PIL import Image, ImageDraw

    if box.width < 1 or box.height < 1:
        return
    # Drawn on the part of the box that the picture has, so that a huge box costs no more than that.
    width, height = min(box.width, picture.width), min(box.height, picture.height)
    strokes = Image.new("L", (width, height))
    draw = ImageDraw.Draw(strokes)
    for start in range(-height, width, 8):
        draw.line((start, height, start + height, 0), fill=255)
    draw.rectangle((0, 0, width - 1, height - 1), outline=255)
    picture.paste(_BLUE, (box.x, box.y), strokes)
