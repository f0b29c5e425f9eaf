"""Which recorded answer a request gets when the network is closed, and with which headers."""

import pytest

from step_ops.drivers.page_answers import PageAnswers, given_headers, page_of
from step_ops.exchanges import PageResource

HTML = {"content-type": "text/html"}


def answer(
    url: str, body: str, *, method: str = "GET", sent: str | None = None, **headers: str
) -> PageResource:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PageResource(method=method, url=url, status=200, headers=named, body=body.encode(), sent=sent)


PAGE = answer("http://a.test/", "page", content_type="text/html")


def opened(*answers: PageResource) -> PageAnswers:
    """The answers behind a page that was opened already."""
    given = PageAnswers([PAGE, *answers])
    assert given.take("GET", PAGE.url, None) == PAGE
    return given


def body(given: PageAnswers, url: str, method: str = "GET", sent: str | None = None) -> str | None:
    found = given.take(method, url, sent)
    return None if found is None else found.body.decode()


def test_each_request_gets_the_next_answer_and_the_last_one_stays() -> None:
    given = opened(answer("http://a.test/n", "1"), answer("http://a.test/n", "2"))
    assert [body(given, "http://a.test/n") for _ in range(4)] == ["1", "2", "2", "2"]


def test_what_was_sent_decides_between_answers_of_one_address() -> None:
    given = opened(
        *(answer("http://a.test/q", f"to {sent}", method="POST", sent=sent) for sent in ("one", "two"))
    )
    assert body(given, "http://a.test/q", "POST", "two") == "to two"
    assert body(given, "http://a.test/q", "POST", "two") == "to two"
    assert body(given, "http://a.test/q", "POST", "masked") == "to one"


def test_another_query_gets_the_answers_of_the_same_path_in_order() -> None:
    given = opened(answer("http://a.test/x?t=1", "1"), answer("http://a.test/x?t=2", "2"))
    assert [body(given, f"http://a.test/x?t={at}") for at in (7, 8, 9)] == ["1", "2", "2"]
    assert body(given, "http://a.test/x?t=1") == "1"


def test_a_pseudonym_in_an_address_is_no_fragment() -> None:
    given = opened(answer("http://a.test/x?key=secret:KEY#0123456789", "ours"))
    assert body(given, "http://a.test/x?key=secret:KEY") == "ours"


@pytest.mark.parametrize(
    ("method", "url"),
    [("GET", "http://a.test/y"), ("POST", "http://a.test/x"), ("GET", "http://b.test/x")],
)
def test_another_path_host_or_method_gets_nothing(method: str, url: str) -> None:
    assert body(opened(answer("http://a.test/x", "x")), url, method) is None


def test_the_first_request_gets_the_first_page_and_may_ask_again() -> None:
    style = answer("http://a.test/style.css", "css", content_type="text/css")
    given = PageAnswers([style, PAGE])
    assert body(given, "http://other.test/start") == "page"
    assert body(given, "http://other.test/start") == "page"
    assert body(given, "http://other.test/else") is None


def test_the_first_request_gets_a_redirect_as_it_came() -> None:
    moved = PageResource(method="GET", url="http://a.test/", status=302, headers={"location": "/b"})
    given = PageAnswers([moved, answer("http://a.test/b", "b")])
    assert given.take("GET", "http://a.test/", None) == moved
    assert body(given, "http://a.test/b") == "b"


def test_nothing_recorded_is_nothing_given() -> None:
    assert body(PageAnswers([]), "http://a.test/") is None


@pytest.mark.parametrize(
    ("content_type", "data", "given"),
    [
        ("text/html", "é".encode(), "text/html; charset=utf-8"),
        ("text/html; charset=iso-8859-1", "é".encode(), "text/html; charset=utf-8"),
        ("text/html; charset=iso-8859-1", "é".encode("latin-1"), "text/html; charset=iso-8859-1"),
        ("application/xml", b"<a/>", "application/xml; charset=utf-8"),
        ("text/html", "<p>".encode("utf-16-le"), "text/html"),
        ("image/png", b"", "image/png"),
    ],
)
def test_text_is_given_as_the_utf_8_that_it_is_kept_as(content_type: str, data: bytes, given: str) -> None:
    kept = PageResource(method="GET", url="u", status=200, headers={"content-type": content_type}, body=data)
    assert list(given_headers(kept)) == [("content-type", given)]


def test_headers_of_the_way_are_left_out_and_each_cookie_is_one() -> None:
    headers = {"content-encoding": "gzip", "content-length": "5", "set-cookie": "a=1\nb=2", ":status": "200"}
    kept = PageResource(method="GET", url="u", status=200, headers=headers)
    assert list(given_headers(kept)) == [("set-cookie", "a=1"), ("set-cookie", "b=2")]


def test_a_document_is_a_page_of_one_answer() -> None:
    assert body(PageAnswers([page_of(b"<p>", "http://a.test/")]), "http://A.test") == "<p>"
