"""Each route of the demo, really asked."""

from itertools import chain

import pytest
import requests

from demo.entities import enrich, entities, valid_entities


@pytest.fixture
def shipped_query(root):
    return (root / "runbooks/rb-001-entity-enrichment/enrichment-query.graphql").read_text()


def test_without_paging_all_entities_come_at_once(upstream):
    assert upstream.fetch().json() == {"data": {"entities": entities()}}


def test_following_next_walks_every_page_once(upstream):
    pages, path = [], "/api/entities?page=1&page_size=70"
    while path:
        answer = upstream.fetch(path).json()
        pages.append(answer["data"]["entities"])
        assert (answer["paging"]["page"], answer["paging"]["pages"]) == (len(pages), 3)
        path = (answer["paging"]["next"] or "").removeprefix(upstream.url)
    assert [len(page) for page in pages] == [70, 70, 60]
    assert list(chain.from_iterable(pages)) == entities()


def test_a_page_beyond_the_last_is_empty_and_has_no_next(upstream):
    assert upstream.fetch("/api/entities?page=9").json() == {
        "data": {"entities": []},
        "paging": {"page": 9, "pages": 4, "next": None},
    }


@pytest.mark.parametrize("query", ["page=0", "page=x", "page_size=201", "page=-1", "page=²"])
def test_a_page_that_is_no_page_is_refused(upstream, query):
    answer = upstream.fetch(f"/api/entities?{query}")
    assert answer.status_code == 400
    assert "must be a whole number from 1 to 200" in answer.json()["error"]


@pytest.mark.parametrize(
    "form", [None, "", "Bearer", "Bearer wrong-token", "Basic {}", "{}", "Bearer {}x", "Bearer é"]
)
def test_without_the_token_nothing_is_told_not_even_the_token(upstream, form):
    headers = {} if form is None else {"Authorization": form.format(upstream.token).encode()}
    answer = upstream.fetch(headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json() == {"error": "a valid bearer token is needed"}


def test_the_shipped_query_enriches_the_valid_entities(upstream, shipped_query):
    answer = upstream.query(shipped_query, {"entities": valid_entities()})
    assert answer.json() == {"data": {"enrichEntities": [enrich(e) for e in valid_entities()]}}


def test_only_the_fields_asked_for_come_back(upstream):
    query = "query($e: [EntityInput!]!) { known: enrichEntities(entities: $e) { id __typename } }"
    answer = upstream.query(query, {"e": valid_entities()[:1]})
    known = [{"id": "ent-0001", "__typename": "EnrichedEntity"}]
    assert answer.json() == {"data": {"known": known}}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("query {", "Syntax Error"),
        ("{ enrichEntity { id } }", "Cannot query field 'enrichEntity'"),
        ("{ enrichEntities { id } }", "argument 'entities' of type '[EntityInput!]!' is required"),
    ],
)
def test_a_wrong_query_is_an_error_the_graphql_way(upstream, query, message):
    answer = upstream.query(query)
    assert answer.status_code == 200
    assert message in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        ({"id": "ent-0001"}, "Field 'type' of required type"),
        (entities()[104], "Value 'vessel' does not exist in 'EntityType'"),
        (valid_entities()[0] | {"country": "XX"}, "no region is known for country 'XX'"),
    ],
)
def test_an_entity_it_cannot_enrich_is_an_error_the_graphql_way(upstream, shipped_query, entity, message):
    answer = upstream.query(shipped_query, {"entities": [entity]})
    assert answer.status_code == 200
    assert answer.json().get("data") is None
    assert message in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b'{"query": 1}',
        b'{"query": "{a}", "variables": []}',
        b'{"query": "{a}", "operationName": 1}',
    ],
    ids=range(8),
)
def test_a_body_that_is_no_graphql_request_is_refused(upstream, body):
    answer = requests.post(f"{upstream.url}/graphql", data=body, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]


def test_the_page_lists_the_valid_entities_and_loads_nothing(upstream):
    answer = upstream.fetch("/entities")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert [answer.text.count(f'id="{entity["id"]}"') for entity in valid_entities()] == [1] * 195
    assert answer.text.count("<li ") == 195
    assert 'id="entity-list"' in answer.text
    elsewhere = ("<script", "<link", "<img", "url(", "://", "@")
    assert not any(word in answer.text for word in elsewhere)


def test_health_needs_no_token(upstream):
    answer = upstream.fetch("/health", headers={})
    assert answer.json() == {"status": "ok", "entities": 200}
