"""The OpenAPI document is true: requests made from it, good and bad, are answered as it says."""

from collections import Counter

import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case

from tests.served import Running

SETTINGS = settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)


def test_made_up_requests_are_answered_as_the_document_says(running: Running) -> None:
    document = running.ask("GET", "/api/openapi.json").json()
    headers = {"Authorization": f"Bearer {running.tokens['admin']}"}
    statuses: Counter[int] = Counter()

    def check(case: Case) -> None:
        if isinstance(case.body, dict) and case.path.endswith(("execute", "replay")):
            case.body = {**case.body, "wait": False}  # nothing here waits for the end of what it starts
        try:
            response = case.call(base_url=running.url, headers=headers, timeout=30)
        except requests.exceptions.InvalidHeader:
            return  # the client itself refuses to send it
        statuses[response.status_code] += 1
        seen = (case.method, case.path, case.path_parameters, case.query, case.body, response.text[:300])
        assert response.status_code < 500, seen
        told = document["paths"][case.path][case.method.lower()]["responses"]
        # Starlette answers 404 and 405 where a made-up id turns the path into another one.
        assert str(response.status_code) in {*told, "404", "405"}, (response.status_code, seen)

    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()

        @SETTINGS
        @given(case=operation.as_strategy())
        def asked(case: Case) -> None:
            check(case)

        asked()
    print(f"{statuses.total()} requests, by status: {dict(sorted(statuses.items()))}")
    assert statuses.total() > 80, statuses
    assert {200, 404, 422} <= statuses.keys(), statuses
