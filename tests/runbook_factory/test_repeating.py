"""Steps made again, repeated over items, and bounded in time."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest
from dagster import DagsterEventType

from runbook_defs.execution import ExecutionRecord, Status, StepFinished
from runbook_factory import database
from runbook_factory.execution_log import get_execution
from tests.workshop import Workshop

OK = {"status": 200, "json": {"n": 1}}
BUSY = {"status": 503}


def fetch(step_id: str = "a", **more: Any) -> dict[str, Any]:
    return {"id": step_id, "type": "data_fetch", "inputs": {"source_url": "https://x.test/a"}, **more}


def stored(workshop: Workshop, record: ExecutionRecord) -> ExecutionRecord:
    return get_execution(database.engine(workshop.project), record.id)


def test_503_503_200_is_three_attempts_at_their_virtual_times(workshop: Workshop) -> None:
    retry = {"max_attempts": 3, "backoff": "exponential", "delay_seconds": 10}
    workshop.runbook([fetch(retry=retry, outputs={"n": "$.n"}), fetch("b", depends_on=["a"])])
    record = workshop.test(steps={"a": [BUSY, {**BUSY, "takes_seconds": 2}, OK], "b": [OK]})
    assert record.status is Status.SUCCESS
    steps = stored(workshop, record).steps
    attempts = [(step.attempt, step.status.value, step.started_virtual) for step in steps]
    assert attempts == [(1, "failed", 0), (2, "failed", 10), (3, "success", 32), (1, "success", 32)]
    assert [step.retry_in for step in steps] == [10, 20, None, None]
    kinds = [event.dagster_event.event_type for event in workshop.dagster_events if event.dagster_event]
    assert kinds.count(DagsterEventType.STEP_UP_FOR_RETRY) == 2
    assert kinds.count(DagsterEventType.STEP_FAILURE) == 0


def test_attempts_end_with_the_last_one(workshop: Workshop) -> None:
    workshop.runbook([fetch(retry={"max_attempts": 2})])
    record = workshop.test(steps={"a": [BUSY, BUSY]})
    assert record.status is Status.ABORTED
    assert record.steps[0].attempt == 2
    assert record.steps[0].retry_in is None


@pytest.mark.parametrize(
    ("retry", "exchange", "attempts"),
    [
        ({}, {"status": 404}, 1),
        ({}, {"status": 429}, 2),
        ({}, {"error": "timeout"}, 2),
        ({}, {"status": 200, "text": "no json"}, 1),
        ({"on": ["data"]}, {"status": 200, "text": "no json"}, 2),
        ({"on": [404]}, {"status": 404}, 2),
        ({"on": ["timeout"]}, {"status": 503}, 1),
        ({"on": ["cassette"]}, {"page": "x.html"}, 1),
    ],
)
def test_only_what_may_pass_is_tried_again(
    workshop: Workshop, retry: dict[str, Any], exchange: dict[str, Any], attempts: int
) -> None:
    workshop.runbook([fetch(retry={"max_attempts": 2, **retry}, on_failure="log_and_continue")])
    record = workshop.test(steps={"a": [exchange] * attempts})
    assert record.steps[0].attempt == attempts
    assert record.reason == "" or exchange.get("page")


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        ({"delay_seconds": 3}, [3, 3, 3]),
        ({"delay_seconds": 3, "backoff": "linear"}, [3, 6, 9]),
        ({"delay_seconds": 3, "backoff": "exponential", "max_delay_seconds": 8}, [3, 6, 8]),
    ],
)
def test_waits_grow_as_the_backoff_says(
    workshop: Workshop, retry: dict[str, Any], waits: list[float]
) -> None:
    workshop.runbook([fetch(retry={"max_attempts": 4, **retry})])
    record = workshop.test(steps={"a": [BUSY, BUSY, BUSY, OK]})
    steps = stored(workshop, record).steps
    assert [step.retry_in for step in steps[:3]] == waits


def test_retry_after_is_kept_up_to_the_longest_wait(workshop: Workshop) -> None:
    retry = {"max_attempts": 3, "delay_seconds": 1, "max_delay_seconds": 60}
    workshop.runbook([fetch(retry=retry)])
    asked = [{**BUSY, "headers": {"Retry-After": seconds}} for seconds in ("30", "3600")]
    record = workshop.test(steps={"a": [*asked, OK]})
    assert [step.retry_in for step in stored(workshop, record).steps[:2]] == [30, 60]


def test_jitter_comes_from_the_gate_and_stays_in_its_share(workshop: Workshop) -> None:
    workshop.runbook([fetch(retry={"max_attempts": 2, "delay_seconds": 10, "jitter": 0.5})])
    first, second = (workshop.test(steps={"a": [BUSY, OK]}) for _ in range(2))
    waits = [stored(workshop, record).steps[0].retry_in for record in (first, second)]
    assert waits[0] == waits[1]
    assert waits[0] is not None
    assert 5 <= waits[0] <= 15
    assert waits[0] != 10
    assert stored(workshop, first).steps[0].reads[-1]["kind"] == "random"


def test_defaults_hold_for_steps_that_do_not_say_otherwise(workshop: Workshop) -> None:
    defaults = {"retry": {"max_attempts": 2}, "on_failure": "log_and_continue"}
    workshop.runbook([fetch("a"), fetch("b", retry={"max_attempts": 1})], defaults=defaults)
    record = workshop.test(steps={"a": [BUSY, OK], "b": [BUSY]})
    assert record.status is Status.SUCCESS
    assert [(step.attempt, step.status.value) for step in record.steps] == [(2, "success"), (1, "failed")]


class _Flaky(BaseHTTPRequestHandler):
    answers: list[int] = []

    def do_GET(self) -> None:
        status = _Flaky.answers.pop(0)
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def flaky() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Flaky) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_live_retry_waits_as_long_as_retry_after_asks(workshop: Workshop, flaky: str) -> None:
    _Flaky.answers = [503, 503, 200]
    step = fetch(retry={"max_attempts": 3, "delay_seconds": 0.01})
    workshop.runbook([{**step, "inputs": {"source_url": flaky}}])
    record = workshop.live()
    assert record.status is Status.SUCCESS
    steps = stored(workshop, record).steps
    assert [step.retry_in for step in steps] == [1, 1, None]
    begins = [step.started_at for step in steps if step.started_at]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(begins)]
    assert all(gap >= 1 for gap in gaps)


# for_each


def each(**more: Any) -> dict[str, Any]:
    inputs = {"source_url": "https://x.test/${item}"}
    return fetch(inputs=inputs, outputs={"n": "$.n"}, **more)


def numbers(count: int, **more: Any) -> dict[str, Any]:
    return {f"a[{n}]": [{"status": 200, "json": {"n": n * n}, **more}] for n in range(count)}


def test_results_of_items_come_in_item_order(workshop: Workshop) -> None:
    workshop.runbook([each(for_each=["x", "y", "z"])])
    record = workshop.test(steps=numbers(3))
    assert record.status is Status.SUCCESS
    assert record.steps[0].outputs == {"n": [0, 1, 4]}
    assert record.steps[0].summary == "3 items"
    urls = [item["source_url"] for item in record.steps[0].inputs["for_each"]]
    assert urls == ["https://x.test/x", "https://x.test/y", "https://x.test/z"]
    assert [said["item"] for said in stored(workshop, record).steps[0].exchanges] == [0, 1, 2]


@pytest.mark.parametrize(("lanes", "seconds"), [(1, 50), (2, 30), (5, 10), (50, 10)])
def test_items_have_a_clock_each_over_as_many_lanes(workshop: Workshop, lanes: int, seconds: float) -> None:
    workshop.runbook([each(for_each=list("abcde"), max_parallel=lanes)])
    record = workshop.test(steps=numbers(5, takes_seconds=10))
    assert record.duration_seconds == seconds


def test_no_items_give_empty_outputs(workshop: Workshop) -> None:
    workshop.runbook([each(for_each=[])])
    record = workshop.test(steps={})
    assert record.status is Status.SUCCESS
    assert record.steps[0].outputs == {"n": []}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"k": 1}, "for_each needs a list, and got dict"),
        (None, "for_each needs a list, and got null"),
        ("text", "for_each needs a list, and got str"),
        (list(range(10_001)), "for_each over 10,001 items: at most 10,000 are allowed"),
    ],
)
def test_a_for_each_over_what_is_no_list_or_too_long_fails(
    workshop: Workshop, items: Any, message: str
) -> None:
    workshop.runbook([each(for_each="${items}")], inputs={"items": {"type": "object", "required": False}})
    workshop.runbook(
        [
            fetch("list", outputs={"items": "$.items"}),
            {**each(for_each="${steps.list.outputs.items}"), "depends_on": ["list"]},
        ]
    )
    record = workshop.test(steps={"list": [{"status": 200, "json": {"items": items}}]})
    failure = record.steps[1].failure
    assert failure is not None
    assert failure["message"] == message


def test_one_failing_item_fails_the_step_and_no_item_after_it_starts(workshop: Workshop) -> None:
    workshop.runbook([each(for_each=["x", "y", "z"])])
    record = workshop.test(steps={"a[0]": [OK], "a[1]": [{"status": 404}]})
    failure = record.steps[0].failure
    assert record.status is Status.ABORTED
    assert failure is not None
    assert failure["item"] == 1
    assert failure["message"] == "item 1: GET https://x.test/y answered 404"


def test_a_retry_makes_only_the_items_that_are_not_done(workshop: Workshop) -> None:
    workshop.runbook([each(for_each=["x", "y", "z"], retry={"max_attempts": 2})])
    steps = {**numbers(3), "a[1]": [BUSY, {"status": 200, "json": {"n": "late"}}]}
    record = workshop.test(steps=steps)
    assert record.status is Status.SUCCESS, record.reason
    assert record.steps[0].outputs == {"n": [0, "late", 4]}
    assert record.steps[0].attempt == 2


class _Together(BaseHTTPRequestHandler):
    barrier = threading.Barrier(3, timeout=20)

    def do_GET(self) -> None:
        self.barrier.wait()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"n": "' + self.path[1:].encode() + b'"}')

    def log_message(self, *_: Any) -> None:
        pass


def test_live_items_run_together_and_stay_in_order(workshop: Workshop) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Together) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        step = each(for_each=list("abcdef"), max_parallel=3)
        step["inputs"] = {"source_url": f"http://127.0.0.1:{server.server_port}/${{item}}"}
        workshop.runbook([step])
        record = workshop.live()
        server.shutdown()
    assert record.status is Status.SUCCESS, record.reason
    assert record.steps[0].outputs == {"n": list("abcdef")}


# timeout_seconds


def test_a_step_over_its_timeout_fails_and_may_be_tried_again(workshop: Workshop) -> None:
    workshop.runbook([fetch(timeout_seconds=10, retry={"max_attempts": 2})])
    record = workshop.test(steps={"a": [{**OK, "takes_seconds": 11}, {**OK, "takes_seconds": 9}]})
    assert record.status is Status.SUCCESS
    first, second = stored(workshop, record).steps
    assert first.failure is not None
    assert first.failure["type"] == "timeout"
    assert "longer than its timeout of 10 s" in first.failure["message"]
    assert second.attempt == 2


def test_a_live_step_does_not_wait_longer_than_its_timeout(workshop: Workshop) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        workshop.runbook([fetch(timeout_seconds=0.3, inputs={"source_url": url})])
        record = workshop.live()
    failure = record.steps[0].failure
    assert failure is not None
    assert failure["type"] == "timeout"
    assert record.steps[0].seconds < 10


def test_every_attempt_is_told_to_whoever_listens(workshop: Workshop) -> None:
    workshop.runbook([fetch(retry={"max_attempts": 2})])
    workshop.test(steps={"a": [BUSY, OK]})
    told = [event.record.status.value for event in workshop.events if isinstance(event, StepFinished)]
    assert told == ["failed", "success"]
