"""Each switch of the demo, seen from the client's side."""

import socket

import pytest
import requests


def test_a_status_comes_as_often_as_told_and_then_the_real_answer(upstream):
    upstream.switch({"path": "/api/entities", "status": 503, "times": 2, "retry_after": 1})
    answers = [upstream.fetch() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert [answer.headers.get("retry-after") for answer in answers] == ["1", "1", None]
    assert upstream.switches() == []


def test_without_times_a_switch_lasts_until_it_is_cleared(upstream):
    upstream.switch({"path": "/graphql", "status": 500, "times": None})
    assert [upstream.query("{__typename}").status_code for _ in range(3)] == [500] * 3
    assert upstream.fetch().status_code == 200
    assert upstream.clear().status_code == 204
    assert upstream.query("{__typename}").json() == {"data": {"__typename": "Query"}}


def test_switches_of_one_path_rule_in_their_order(upstream):
    lasting = {"path": "/entities", "status": 502}
    upstream.switch({"path": "/entities", "answer": "html", "times": 1}, lasting)
    first, second = upstream.fetch("/entities"), upstream.fetch("/entities")
    assert (first.status_code, second.status_code) == (200, 502)
    assert "Sign in" in first.text
    assert upstream.switches() == [lasting]


def test_a_login_page_can_stand_in_for_the_api(upstream):
    upstream.switch({"path": "/api/entities", "answer": "html", "status": 403})
    answer = upstream.fetch()
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")


def test_a_delay_comes_before_the_real_answer(upstream):
    upstream.switch({"path": "/api/entities", "delay_seconds": 600, "times": 1})
    with pytest.raises(requests.ReadTimeout):
        upstream.fetch(timeout=0.3)
    upstream.switch({"path": "/api/entities", "delay_seconds": 0.01})
    assert len(upstream.fetch().json()["data"]["entities"]) == 200


def test_a_hang_answers_nothing_and_holds_nobody_else_up(upstream):
    upstream.switch({"path": "/api/entities", "answer": "hang", "times": 1})
    with socket.create_connection(address(upstream), timeout=10) as hanging:
        hanging.sendall(b"GET /api/entities HTTP/1.1\r\nHost: demo\r\n\r\n")
        while upstream.switches():
            pass
        assert upstream.fetch().status_code == 200
        hanging.settimeout(0.2)
        with pytest.raises(TimeoutError):
            hanging.recv(1)


def test_a_reset_is_a_real_tcp_reset(upstream):
    upstream.switch({"path": "/api/entities", "answer": "reset", "times": 1})
    with socket.create_connection(address(upstream), timeout=10) as connection:
        connection.sendall(b"GET /api/entities HTTP/1.1\r\nHost: demo\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert upstream.fetch().status_code == 200


@pytest.mark.parametrize(
    ("mistake", "problem"),
    [
        ({"path": "/health", "status": 500}, "0.path: Input should be"),
        ({"path": "/graphql"}, "a switch needs a status, a delay_seconds or an answer"),
        ({"path": "/graphql", "status": 200}, "0.status: Input should be greater than or equal"),
        ({"path": "/graphql", "status": "500"}, "0.status: Input should be a valid integer"),
        ({"path": "/graphql", "status": 500, "times": 0}, "0.times: Input should be greater than"),
        ({"path": "/graphql", "delay_seconds": -1}, "0.delay_seconds: Input should be greater"),
        ({"path": "/graphql", "delay_seconds": 1, "retry_after": 1}, "retry_after needs a status"),
        ({"path": "/graphql", "answer": "explode"}, "0.answer: Input should be 'html', 'hang' or"),
        ({"path": "/graphql", "answer": "hang", "status": 500}, "the answer 'hang' has no status"),
        ({"path": "/graphql", "status": 500, "colour": "red"}, "0.colour: Extra inputs"),
    ],
)
def test_a_list_with_a_mistake_is_refused_and_changes_nothing(upstream, mistake, problem):
    kept = {"path": "/graphql", "status": 500}
    upstream.switch(kept)
    answer = upstream.switch(mistake)
    assert answer.status_code == 400
    assert problem in answer.json()["errors"][0]
    assert upstream.switches() == [kept]


@pytest.mark.parametrize("body", [b"", b"{", b'{"path": "/graphql"}'])
def test_switches_that_are_no_json_list_are_refused(upstream, body):
    answer = requests.put(f"{upstream.url}/switches", data=body, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["errors"][0].startswith("body: ")


def address(upstream):
    host, port = upstream.url.removeprefix("http://").split(":")
    return host, int(port)


def test_a_field_can_be_renamed_and_a_value_set_however_deep(upstream):
    before = upstream.fetch().json()["data"]["entities"]
    upstream.switch({"path": "/api/entities", "rename": {"name": "title"}, "set": {"confidence": 0.5}})
    after = upstream.fetch().json()["data"]["entities"]
    assert [item.get("title") for item in after] == [item.get("name") for item in before]
    assert not any("name" in item for item in after)
    assert {item["confidence"] for item in after if "confidence" in item} == {0.5}


@pytest.mark.parametrize("more", [{"status": 500}, {"answer": "html"}])
def test_a_change_of_the_real_answer_goes_with_no_other_answer(upstream, more):
    refused = upstream.switch({"path": "/graphql", "rename": {"name": "title"}, **more})
    assert refused.status_code == 400
    assert "real answer" in refused.text
