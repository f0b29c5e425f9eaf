"""The comparison of two pictures: counts, places, sizes, masks, and bytes that are no picture."""

import io
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from step_ops import pixels
from step_ops.exchanges import Box
from step_ops.pixels import BrokenPicture, compare, identical


def png(picture: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


def plain(width: int = 200, height: int = 100, colour: str = "white") -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def with_squares(*corners: tuple[int, int], side: int = 10, colour: str = "black") -> Image.Image:
    picture = plain()
    for x, y in corners:
        picture.paste(colour, (x, y, x + side, y + side))
    return picture


def disc(shift: int) -> Image.Image:
    """An anti-aliased disc; `shift` moves it right by quarters of a pixel."""
    large = Image.new("RGB", (480, 320), "white")
    draw = ImageDraw.Draw(large)
    draw.ellipse((80 + shift, 60, 320 + shift, 260), fill=(20, 60, 180))
    draw.line((10, 20, 470, 300), fill=(180, 30, 20), width=14)
    return large.reduce(4)


def noise(seed: int, width: int = 24, height: int = 18) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3))


def difference(expected: Image.Image, actual: Image.Image, **options: object) -> pixels.Difference:
    found = compare(png(expected), png(actual), **options)
    assert found is not None
    return found


def test_the_same_bytes_do_not_differ() -> None:
    picture = png(disc(0))
    assert compare(picture, picture) is None


def test_the_same_pixels_in_another_encoding_do_not_differ() -> None:
    small, large = png(disc(0), compress_level=9), png(disc(0), compress_level=0)
    assert small != large
    assert compare(small, large) is None
    assert identical(small, large)


def test_a_changed_square_is_one_place_and_its_share_of_the_pixels() -> None:
    found = difference(plain(), with_squares((30, 40)))
    assert found.changed == 100
    assert found.total == 20_000
    assert found.ratio == 0.005
    assert found.boxes == (Box(x=30, y=40, width=10, height=10),)
    assert not found.size_changed


def test_a_difference_too_faint_to_see_is_none_but_not_identical() -> None:
    faint = with_squares((30, 40), colour="#fdfdfd")
    assert compare(png(plain()), png(faint)) is None
    assert compare(png(plain()), png(faint), threshold=0) is not None
    assert not identical(png(plain()), png(faint))


def test_changes_eight_pixels_apart_are_one_place_and_nine_apart_are_two() -> None:
    near = difference(plain(), with_squares((10, 20), (28, 20)))
    far = difference(plain(), with_squares((10, 20), (29, 20)))
    assert near.boxes == (Box(x=10, y=20, width=28, height=10),)
    assert far.boxes == (Box(x=10, y=20, width=10, height=10), Box(x=29, y=20, width=10, height=10))


def test_places_come_in_reading_order() -> None:
    found = difference(plain(), with_squares((150, 5), (10, 60), (100, 60), (40, 5)))
    assert [(box.x, box.y) for box in found.boxes] == [(40, 5), (150, 5), (10, 60), (100, 60)]


def test_a_bent_change_is_one_place() -> None:
    bent = plain()
    ImageDraw.Draw(bent).line((20, 10, 20, 80, 160, 80, 160, 10), fill="black", width=3)
    assert len(difference(plain(), bent).boxes) == 1


@pytest.mark.parametrize(
    ("expected", "actual", "count"),
    [
        (disc(0), disc(1), 0),
        (disc(0), disc(4), 7),
        (disc(0), disc(40), 794),
        (noise(1, 60, 40), noise(2, 60, 40), 2337),
    ],
    ids=["quarter pixel", "one pixel", "ten pixels", "noise"],
)
def test_counts_are_those_of_the_pixelmatch_that_others_use(
    expected: Image.Image, actual: Image.Image, count: int
) -> None:
    """The numbers are what mapbox's JavaScript 7 says of the same pixels."""
    found = compare(png(expected), png(actual))
    assert (found.changed if found else 0) == count


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    share=st.floats(0.01, 1),
    threshold=st.sampled_from([0.0, 0.05, 0.1, 0.3]),
)
def test_the_compiled_engine_and_the_pure_one_agree(seed: int, share: float, threshold: float) -> None:
    pytest.importorskip("pybind11_pixelmatch")
    before, after = patchy_pair(seed, share)
    arguments = before.convert("RGBA").tobytes(), after.convert("RGBA").tobytes()
    options = {"size": before.size, "threshold": threshold}
    assert pixels._perceptible(*arguments, **options) == pixels._perceptible_without_wheel(
        *arguments, **options
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0.01, 0.3))
def test_cropping_to_the_change_does_not_change_the_count(seed: int, share: float) -> None:
    from pixelmatch import pixelmatch

    before, after = patchy_pair(seed, share)
    whole = pixelmatch(before.convert("RGBA").tobytes(), after.convert("RGBA").tobytes(), *before.size)
    found = compare(png(before), png(after))
    assert (found.changed if found else 0) == whole


def patchy_pair(seed: int, share: float) -> tuple[Image.Image, Image.Image]:
    """Two pictures of few greys, often taken for anti-aliasing, that differ in part of an area."""
    chance = random.Random(seed)
    width, height = chance.randint(8, 30), chance.randint(8, 30)
    greys = bytes(chance.choice((0, 90, 128, 160, 255)) for _ in range(width * height))
    before = Image.frombytes("L", (width, height), greys).convert("RGB")
    after = before.copy()
    for x in range(chance.randint(0, width // 2), width):
        for y in range(chance.randint(0, height // 2), height):
            if chance.random() < share:
                after.putpixel((x, y), tuple(chance.randbytes(3)))
    return before, after


def test_without_the_compiled_engine_the_result_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pybind11_pixelmatch")
    fast = difference(disc(0), disc(3))
    monkeypatch.setitem(sys.modules, "pybind11_pixelmatch", None)
    assert difference(disc(0), disc(3)) == fast


def test_one_more_column_is_a_change_of_size_that_counts_the_column() -> None:
    found = difference(plain(200, 100), plain(201, 100))
    assert found.size_changed
    assert found.changed == 100
    assert found.total == 20_100
    assert found.boxes == (Box(x=200, y=0, width=1, height=100),)


def test_a_wider_and_lower_picture_counts_what_only_one_of_them_has() -> None:
    found = difference(plain(40, 20), plain(50, 10))
    assert found.changed == 40 * 10 + 10 * 10
    assert found.total == 40 * 20 + 10 * 10
    assert 0 < found.ratio < 1


def test_a_mask_does_not_hide_a_change_of_size() -> None:
    everything = (Box(x=0, y=0, width=999, height=999),)
    assert difference(plain(200, 100), plain(200, 101), masked=everything).size_changed


def test_masked_boxes_are_ignored() -> None:
    before, after = png(plain()), png(with_squares((30, 40)))
    assert compare(before, after, masked=[Box(x=30, y=40, width=10, height=10)]) is None
    assert identical(before, after, masked=[Box(x=25, y=35, width=20, height=20)])
    part = compare(before, after, masked=[Box(x=30, y=40, width=10, height=4)])
    assert part is not None
    assert part.boxes == (Box(x=30, y=44, width=10, height=6),)


def test_masks_that_reach_outside_the_picture_are_cut() -> None:
    before, after = png(plain()), png(with_squares((190, 90)))
    assert compare(before, after, masked=[Box(x=180, y=80, width=10**6, height=10**6)]) is None
    for outside in (Box(x=500, y=500, width=5, height=5), Box(x=-9, y=-9, width=5, height=5)):
        assert compare(before, after, masked=[outside]) is not None


def test_the_diff_picture_shows_change_in_red_mask_hatched_and_the_rest_dimmed() -> None:
    before = with_squares((100, 40))
    after = with_squares((100, 40), (30, 40))
    mask = Box(x=150, y=10, width=40, height=40)
    drawn = Image.open(io.BytesIO(difference(before, after, masked=[mask]).picture))
    assert drawn.size == before.size
    assert drawn.getpixel((35, 45)) == (255, 0, 0)
    assert drawn.getpixel((105, 45)) == (192, 192, 192)
    assert drawn.getpixel((5, 5)) == (255, 255, 255)
    blue = drawn.crop((150, 10, 190, 50)).getcolors()
    assert {colour for _, colour in blue} == {(255, 255, 255), (0, 90, 220)}


def test_alpha_is_flattened_on_white() -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert compare(png(clear), png(plain(20, 20))) is None
    assert compare(png(plain(20, 20).convert("P")), png(plain(20, 20))) is None
    half = Image.new("RGBA", (20, 20), (0, 0, 0, 128))
    assert compare(png(half), png(plain(20, 20, "#7f7f7f"))) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: b"",
        lambda good: b"GIF89a" + good,
        lambda good: good[: len(good) // 2],
        lambda good: good[:60] + b"\x00\x01\x02" + good[63:],
        lambda good: good[:16] + b"\x00\x00\x00\x00" + good[20:],
    ],
    ids=["empty", "another format", "cut", "bits flipped", "no width"],
)
def test_a_broken_picture_is_refused_in_a_sentence(damage: Callable[[bytes], bytes]) -> None:
    good = png(noise(1))
    with pytest.raises(BrokenPicture, match=r"readable PNG.*photograph it again"):
        compare(good, damage(good))
    with pytest.raises(BrokenPicture):
        identical(damage(good), good)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_random_damage_never_raises_anything_else(data: st.DataObject) -> None:
    good = png(noise(1))
    place = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:place] + data.draw(st.binary(min_size=1, max_size=8)) + good[place + 1 :]
    with suppress(BrokenPicture):
        compare(good, damaged)


@pytest.mark.parametrize("size", [(10_000, 5_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    header = b"IHDR" + struct.pack(">II", *size) + b"\x08\x02\x00\x00\x00"
    good = png(plain())
    bomb = good[:12] + header + struct.pack(">I", zlib.crc32(header)) + good[33:]
    with pytest.raises(BrokenPicture, match="million pixels"):
        compare(png(plain()), bomb)


def test_importing_the_comparison_loads_no_picture_library() -> None:
    code = (
        "import sys, step_ops.pixels; "
        "sys.exit(any(m in sys.modules for m in ('PIL', 'pixelmatch', 'pybind11_pixelmatch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
