"""Captures of pages as HAR, ours and those of browsers."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_ops.exchanges import PageCapture, PageResource
from step_ops.har import HarError, from_har, to_har

NAMES = ["content-type", "content-encoding", "content-length", "location", "set-cookie", "x-a"]
RESOURCES = st.builds(
    PageResource,
    method=st.sampled_from(["GET", "POST", "HEAD"]),
    url=st.text(min_size=1).map(lambda text: f"http://x.test/{text}"),
    status=st.integers(100, 599),
    headers=st.dictionaries(st.sampled_from(NAMES), st.text()),
    body=st.binary() | st.text().map(str.encode),
    sent=st.none() | st.text(),
)
CAPTURES = st.builds(
    PageCapture,
    opened_at=st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC)),
    resources=st.lists(RESOURCES, max_size=4).map(tuple),
    missing=st.sampled_from(["", "the page opened a websocket"]),
)
ENTRY: dict[str, Any] = {
    "startedDateTime": "2025-11-29T10:00:00.123+01:00",
    "request": {"method": "GET", "url": "http://x.test/", "headers": [], "cookies": []},
    "response": {
        "status": 200,
        "statusText": "OK",
        "headers": [
            {"name": "Content-Type", "value": "text/html"},
            {"name": "Content-Encoding", "value": "gzip"},
            {"name": "Set-Cookie", "value": "a=1"},
            {"name": "Set-Cookie", "value": "b=2"},
            {"name": "Vary", "value": "a"},
            {"name": "vary", "value": "b"},
        ],
        "content": {"text": "PGI+", "encoding": "base64", "size": 3},
    },
    "timings": {"receive": 1.5},
}


def har(*entries: Any, **log: Any) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": list(entries), **log}})


def answered(kind: str = "", method: str = "GET", **response: Any) -> dict[str, Any]:
    """An entry with another answer."""
    return {
        "request": {"method": method, "url": "http://x.test/a"},
        "response": {"status": 200, "headers": [], "content": {"size": -1}} | response,
        "_resourceType": kind,
    }


@given(CAPTURES)
def test_a_capture_comes_back_as_it_was(capture: PageCapture) -> None:
    assert from_har(to_har(capture)) == capture


def test_text_is_written_as_text() -> None:
    page = PageResource(method="GET", url="http://x.test/", status=200, body="<p>é".encode())
    assert '"text": "<p>é"' in to_har(
        PageCapture(opened_at=datetime(2025, 1, 1, tzinfo=UTC), resources=(page,))
    )


def test_the_har_of_a_browser_is_read_with_its_moment_and_all_its_headers() -> None:
    capture = from_har(har(ENTRY, comment="Exported by hand", pages=[{"startedDateTime": "yesterday"}]))
    assert capture.opened_at == datetime(2025, 11, 29, 9, 0, 0, 123000, tzinfo=UTC)
    assert capture.missing == ""
    (page,) = capture.resources
    assert (page.method, page.url, page.status, page.body) == ("GET", "http://x.test/", 200, b"<b>")
    assert page.headers == {
        "content-type": "text/html",
        "content-encoding": "gzip",
        "set-cookie": "a=1\nb=2",
        "vary": "a, b",
    }


@pytest.mark.parametrize(
    "nothing",
    [
        answered(status=-1),
        answered(status=0, _error="net::ERR_CONNECTION_REFUSED"),
        answered(status=200, _failureText="net::ERR_CONTENT_LENGTH_MISMATCH", content={"text": "cut"}),
        answered("image", _failureText="net::ERR_ABORTED"),
        answered(
            "fetch", _failureText="net::ERR_ABORTED", headers=[{"name": "Content-Length", "value": "9"}]
        ),
        answered("websocket", status=101, content={"text": ""}),
        answered(content={"size": 1234, "mimeType": "text/css"}),
    ],
)
def test_what_came_to_nothing_or_has_no_content_is_left_out(nothing: dict[str, Any]) -> None:
    assert [each.url for each in from_har(har(ENTRY, nothing)).resources] == ["http://x.test/"]


@pytest.mark.parametrize(
    "empty",
    [
        answered(status=302, headers=[{"name": "location", "value": "/b"}]),
        answered(status=204),
        answered("xhr", "HEAD"),
        answered(content={"size": 0}),
        answered("fetch", _failureText="net::ERR_ABORTED"),
    ],
)
def test_an_answer_without_a_body_is_one_all_the_same(empty: dict[str, Any]) -> None:
    assert [each.body for each in from_har(har(empty)).resources] == [b""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "the file: input should be an object"),
        ('{"log": {}}', "log.entries: field required"),
        ('{"log": {"entries": {}}}', "log.entries: input should be a valid array"),
        (har(7), "log.entries.0: input should be an object"),
        (har({"request": {"method": "GET", "url": 5}}), "0.request.url: input should be a valid string"),
        (har(answered(status="x")), "log.entries.0.response.status: input should be a valid integer"),
        (har(answered(headers=[{"name": "a"}])), "log.entries.0.response.headers.0.value: field required"),
        (
            har(ENTRY, answered(content={"text": "é", "encoding": "base64"})),
            "log.entries.1.response.content.text: it is not base64",
        ),
        (har(answered(content={"size": 1234})), "none of its log.entries has content"),
    ],
)  # fmt: skip
def test_what_is_no_har_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(HarError) as caught:
        from_har(text)
    assert said in caught.value.message
