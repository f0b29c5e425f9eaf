"""The policy routes and the tickets of the demo, really asked."""

from collections import Counter
from itertools import chain

import pytest
import requests

from demo.entities import enrich, valid_entities
from demo.policies import RUNNING_POLLS

POLICY = {"policy": "entity-retention", "base_version": 7}


def post(upstream, path, body, **options):
    headers = {"Authorization": f"Bearer {upstream.token}"}
    return requests.post(
        f"{upstream.url}{path}", **({"json": body, "headers": headers, "timeout": 10} | options)
    )


def simulate(upstream, **change):
    answer = post(upstream, "/api/simulations", POLICY | {"change": change})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/simulations/{answer.json()['id']}"
    return answer.headers["location"]


def finished(upstream, **change):
    where = simulate(upstream, **change)
    for _ in range(RUNNING_POLLS + 1):
        upstream.fetch(where)
    return where


def test_the_policy_tells_its_version_and_rules(upstream):
    answer = upstream.fetch("/api/policies/entity-retention").json()
    assert (answer["version"], answer["rules"]) == (7, {"keep_days": 1095, "exempt_types": []})


def test_a_simulation_runs_for_its_first_polls_and_then_is_done(upstream):
    where = simulate(upstream, keep_days=1000)
    polls = [upstream.fetch(where).json() for _ in range(RUNNING_POLLS + 2)]
    assert [poll["status"] for poll in polls] == ["running", "running", "done", "done"]
    assert [poll["progress"] for poll in polls] == [0.33, 0.67, 1, 1]


def test_two_simulations_do_not_bring_each_other_on(upstream):
    first, second = simulate(upstream, keep_days=1000), simulate(upstream, keep_days=1000)
    assert first != second
    for _ in range(RUNNING_POLLS):
        upstream.fetch(first)
    assert upstream.fetch(second).json()["status"] == "running"
    assert upstream.fetch(first).json()["status"] == "done"


@pytest.mark.parametrize("part", ["/result", "/groups/oceania"])
def test_there_is_no_result_before_the_end(upstream, part):
    where = simulate(upstream, keep_days=1000)
    assert upstream.fetch(f"{where}{part}").status_code == 409
    for _ in range(RUNNING_POLLS + 1):
        upstream.fetch(where)
    assert upstream.fetch(f"{where}{part}").status_code == 200


def test_the_result_counts_the_entities_that_would_leave(upstream):
    leaving = [
        item
        for item in map(enrich, valid_entities())
        if item["days_known"] > 730 and item["type"] != "organization"
    ]
    where = finished(upstream, keep_days=730, exempt_types=["organization"])
    result = upstream.fetch(f"{where}/result").json()
    assert (result["population"], result["affected"]) == (195, len(leaving))
    regions = Counter(item["region"].lower().replace(" ", "-") for item in leaving)
    assert {group["id"]: group["affected"] for group in result["groups"]} == regions

    groups = [upstream.fetch(f"{where}/groups/{group}").json() for group in regions]
    assert [len(group["entities"]) for group in groups] == list(regions.values())
    assert sorted(chain.from_iterable(group["entities"] for group in groups)) == [
        item["id"] for item in leaving
    ]
    assert sum(group["high_risk"] for group in groups) == sum(item["risk"] == "high" for item in leaving)
    assert all(group["members"] >= len(group["entities"]) for group in groups)


def test_a_change_that_keeps_all_affects_nobody(upstream):
    where = finished(upstream, keep_days=2000)
    assert upstream.fetch(f"{where}/result").json()["groups"] == []
    assert upstream.fetch(f"{where}/groups/oceania").status_code == 404


def test_as_the_policy_stands_nobody_leaves(upstream):
    where = finished(upstream, keep_days=1095)
    assert upstream.fetch(f"{where}/result").json()["affected"] == 0


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (POLICY | {"change": {}}, "change: "),
        (POLICY | {"change": {"keep_day": 5}}, "keep_day: Extra inputs"),
        (POLICY | {"change": {"keep_days": "5"}}, "keep_days: Input should be a valid integer"),
        (POLICY | {"change": {"keep_days": 0}}, "keep_days: Input should be greater"),
        (POLICY | {"change": {"exempt_types": ["vessel"]}}, "exempt_types.0: Input should be"),
        (POLICY | {"policy": "other", "change": {"keep_days": 5}}, "policy: Input should be"),
        ({"change": {"keep_days": 5}}, "policy: Field required"),
        ([], "body: "),
    ],
)
def test_a_proposal_that_is_none_is_refused(upstream, body, problem):
    answer = post(upstream, "/api/simulations", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0].startswith(problem)


def test_a_proposal_for_another_version_is_a_conflict(upstream):
    answer = post(upstream, "/api/simulations", POLICY | {"base_version": 6, "change": {"keep_days": 5}})
    assert (answer.status_code, answer.json()) == (409, {"error": "the policy is at version 7, not 6"})


@pytest.mark.parametrize(
    "path",
    ["/api/policies/other", "/api/simulations/sim-9999", "/api/simulations/sim-9999/result"],
)
def test_what_is_not_there_is_not_found(upstream, path):
    assert upstream.fetch(path).status_code == 404


def test_tickets_are_numbered_in_their_order(own_upstream):
    ticket = {"queue": "compliance", "title": "Look at this", "text": ""}
    answers = [post(own_upstream, "/api/tickets", ticket) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [answer.json() for answer in answers] == [{"number": 1001, **ticket}, {"number": 1002, **ticket}]


@pytest.mark.parametrize(
    "ticket", [{}, {"queue": "x", "title": ""}, {"queue": "x", "title": "t", "to": "me"}]
)
def test_a_ticket_that_is_none_is_refused(upstream, ticket):
    answer = post(upstream, "/api/tickets", ticket)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(("queue: ", "title: ", "to: "))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/policies/entity-retention"),
        ("POST", "/api/simulations"),
        ("GET", "/api/simulations/sim-0001"),
        ("GET", "/api/simulations/sim-0001/result"),
        ("GET", "/api/simulations/sim-0001/groups/oceania"),
        ("POST", "/api/tickets"),
    ],
)
def test_each_of_them_asks_for_the_token(upstream, method, path):
    headers = {"Authorization": "Bearer wrong-token"}
    answer = requests.request(method, f"{upstream.url}{path}", headers=headers, timeout=10)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/api/policies/entity-retention", "/api/simulations", "/api/tickets"])
def test_switches_rule_them_too(upstream, path):
    upstream.switch({"path": path, "status": 503, "times": 1, "retry_after": 7})
    answer = requests.request("GET" if "policies" in path else "POST", f"{upstream.url}{path}", timeout=10)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
