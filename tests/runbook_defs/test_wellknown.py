"""Ids and points in time, alone and inside a text."""

import time

import pytest

from runbook_defs.wellknown import TIMESTAMP, UUID, is_digits, is_timestamp, is_uuid

ID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize("text", [ID, ID.upper(), "00000000-0000-0000-0000-000000000000"])
def test_a_uuid_is_one_in_any_case(text: str) -> None:
    assert is_uuid(text)


@pytest.mark.parametrize(
    "text", ["", ID[:-1], f"{ID}0", f"{{{ID}}}", ID.replace("-", ""), ID.replace("5", "g"), f" {ID}"]
)
def test_what_only_looks_like_a_uuid_is_none(text: str) -> None:
    assert not is_uuid(text)


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-29T06:00:00Z",
        "2025-11-29T06:00:00",
        "2025-11-29 06:00",
        "2025-11-29t06:00:00.123456789z",
        "2025-11-29T06:00:00,5+01:00",
        "2025-11-29 06:00:00 +0100",
        "2025-11-29 06:00:00+01",
        "2025-11-29 06:00:00 UTC",
        "20251129T060000Z",
        "2025-12-31T23:59:60Z",
        "Sat, 29 Nov 2025 06:00:00 GMT",
        "Sat, 1 Nov 2025 06:00:00 +0000",
        "Saturday, 29-Nov-25 06:00:00 GMT",
        "Sat Nov  1 06:00:00 2025",
    ],
)
def test_a_date_with_a_time_is_a_timestamp(text: str) -> None:
    assert is_timestamp(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-11-29",
        "06:00:00",
        "1764396000",
        "2025-13-29T06:00:00Z",
        "2025-11-32T06:00:00Z",
        "2025-11-29T25:00:00Z",
        "2025-11-29T06:00:00Zulu",
        "12025-11-29T06:00:00Z",
        "2025-11-29T06:00:00.",
        "2025-11-29T06:00:00Z\n",
        "Sat, 29 Nov 2025",
        "٢٠٢٥-11-29T06:00:00Z",
    ],
)
def test_what_is_less_or_more_is_no_timestamp(text: str) -> None:
    assert not is_timestamp(text)


def test_digits_are_those_of_ascii() -> None:
    assert is_digits("0017")
    assert not any(is_digits(text) for text in ("", "1.0", "-1", "٣", "1 ", "1\n"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"/orders/{ID}/items?x=1", [ID]),
        (f"order_{ID}, {ID.upper()}.", [ID, ID.upper()]),
        (f'{{"note": "first line\\n{ID}"}}', [ID]),
        (f"x{ID}", []),
        (f"{ID}f", []),
    ],
)
def test_ids_are_found_inside_a_text_but_not_inside_a_word(text: str, found: list[str]) -> None:
    assert [hit[0] for hit in UUID.finditer(text)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "from 2025-11-29T06:00:00Z to 2025-11-29T07:00:00Z.",
            ["2025-11-29T06:00:00Z", "2025-11-29T07:00:00Z"],
        ),
        ("at 2025-11-29 06:00:00.5, or later", ["2025-11-29 06:00:00.5"]),
        (r'"a\t2025-11-29T06:00Z"', ["2025-11-29T06:00Z"]),
        ("until Sat, 29 Nov 2025 06:00:00 GMT;", ["Sat, 29 Nov 2025 06:00:00 GMT"]),
        ("2025-11-29T06:00:00Zulu", []),
        ("v12025-11-29T06:00:00", []),
    ],
)
def test_times_are_found_inside_a_text_as_a_whole(text: str, found: list[str]) -> None:
    assert [hit[0] for hit in TIMESTAMP.finditer(text)] == found


@pytest.mark.parametrize(
    "piece", ["1", "-", "aaaaaaaa-", "2025-11-29T06:00:00", "2025-11-29T06:00:00.1", "Sat, 29 "]
)
def test_a_long_text_is_searched_in_time_that_grows_with_its_length(piece: str) -> None:
    begun = time.perf_counter()
    for pattern in (UUID, TIMESTAMP):
        list(pattern.finditer(piece * (500_000 // len(piece))))
    assert time.perf_counter() - begun < 5
