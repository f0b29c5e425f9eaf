"""Captures of pages as HAR, ours and those of browsers."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_ops.exchanges import PageCapture, PageResource
from step_ops.har import HarError, from_har, to_har

RESOURCES = st.builds(
    PageResource,
    method=st.sampled_from(["GET", "POST"]),
    url=st.text(min_size=1).map(lambda text: f"http://x.test/{text}"),
    status=st.integers(100, 599),
    headers=st.dictionaries(st.sampled_from(["content-type", "location", "x-a"]), st.text()),
    body=st.binary(),
    sent=st.none() | st.text(),
)
CAPTURES = st.builds(
    PageCapture,
    opened_at=st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC)),
    resources=st.lists(RESOURCES, max_size=4).map(tuple),
    missing=st.sampled_from(["", "the page opened a websocket"]),
)


@given(CAPTURES)
def test_a_capture_comes_back_as_it_was(capture: PageCapture) -> None:
    assert from_har(to_har(capture)) == capture


def test_a_har_of_a_browser_is_read_decoded_and_without_what_failed() -> None:
    entry: dict[str, Any] = {
        "startedDateTime": "2025-11-29T10:00:00.123+01:00",
        "request": {"method": "GET", "url": "http://x.test/", "headers": []},
        "response": {
            "status": 200,
            "headers": [
                {"name": "Content-Type", "value": "text/html"},
                {"name": "Content-Encoding", "value": "gzip"},
                {"name": "Content-Length", "value": "17"},
            ],
            "content": {"text": "PGI+", "encoding": "base64", "size": 3},
        },
    }
    failed = {**entry, "response": {"status": -1, "headers": [], "content": {}}}
    capture = from_har(json.dumps({"log": {"version": "1.2", "entries": [entry, failed]}}))
    assert capture.opened_at == datetime(2025, 11, 29, 9, 0, 0, 123000, tzinfo=UTC)
    (page,) = capture.resources
    assert (page.body, page.headers) == (b"<b>", {"content-type": "text/html"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no log.entries"),
        ('{"log": {"entries": {}}}', "no log.entries"),
        ('{"log": {"entries": [7]}}', "log.entries[0] is not an exchange"),
        ('{"log": {"entries": [{"request": {}, "response": {"status": "x"}}]}}', "log.entries[0]"),
        (
            '{"log": {"entries": [{"request": {"method": "GET", "url": "u"},'
            ' "response": {"status": 200, "content": {"text": "é", "encoding": "base64"}}}]}}',
            "log.entries[0]",
        ),
    ],
)
def test_what_is_no_har_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(HarError) as caught:
        from_har(text)
    assert said in caught.value.message
