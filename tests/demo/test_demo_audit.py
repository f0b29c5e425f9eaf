"""The audit service of the demo, really asked."""

from typing import Any

import pytest
import requests


def post(upstream: Any, seq: int, *, key: str | None = None, **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {upstream.token}"}
    if key != "":
        headers["Idempotency-Key"] = key or str(seq)
    return requests.post(f"{upstream.url}/audit", json={"seq": seq, **more}, headers=headers, timeout=10)


def test_entries_are_kept_in_order_and_each_once(own_upstream):
    assert [post(own_upstream, seq).status_code for seq in (1, 2, 2, 3)] == [201, 201, 200, 201]
    received = own_upstream.fetch("/audit").json()
    assert received == {"entries": [{"seq": 1}, {"seq": 2}, {"seq": 3}], "repeated": 1}


def test_another_entry_under_a_key_that_was_used_is_refused(own_upstream):
    post(own_upstream, 1)
    assert post(own_upstream, 1, hash="00").status_code == 409
    assert own_upstream.fetch("/audit").json()["entries"] == [{"seq": 1}]


def test_an_entry_without_a_key_or_token_is_refused(own_upstream):
    assert post(own_upstream, 1, key="").status_code == 400
    assert requests.post(f"{own_upstream.url}/audit", json={}, timeout=10).status_code == 401
    assert requests.get(f"{own_upstream.url}/audit", timeout=10).status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_what_is_not_json_is_refused(own_upstream, body):
    headers = {"Authorization": f"Bearer {own_upstream.token}", "Idempotency-Key": "1"}
    answer = requests.post(f"{own_upstream.url}/audit", data=body, headers=headers, timeout=10)
    assert answer.status_code == 400


def test_it_can_be_switched_to_fail(own_upstream):
    own_upstream.switch({"path": "/audit", "status": 503, "times": 1})
    assert [post(own_upstream, 1).status_code for _ in range(2)] == [503, 201]
