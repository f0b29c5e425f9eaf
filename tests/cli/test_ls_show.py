"""`rb ls` and `rb show` on a real record: what is listed, and what is told of an attempt."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.commands.ls import MODES
from cli.errors import Stop
from cli.reporters.executions import table
from cli.since import parse_since
from runbook_defs.execution import Actor, ExecutionRecord, Status
from tests.docs.pages import code, page, rows
from tests.scripted import Says, Server
from tests.workshop import Workshop

Rb = Callable[..., Any]
NOW = datetime(2025, 11, 29, 12, 0, tzinfo=UTC)
FETCH: dict[str, Any] = {
    "id": "fetch",
    "type": "data_fetch",
    "inputs": {"source_url": "https://a.test/items"},
    "outputs": {"items": "$.items"},
}
RETRY = {"retry": {"max_attempts": 3, "delay_seconds": 2, "jitter": 0}}
BUSY, MANY = {"status": 503, "takes_seconds": 1}, [f"item-{number}" for number in range(300)]


@pytest.fixture
def here(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """The workshop, with the current folder in its project."""
    monkeypatch.chdir(workshop.project.root)
    return workshop


@pytest.fixture
def two_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is two hours ahead of UTC."""
    with monkeypatch.context() as environment:
        environment.setenv("TZ", "EAST-2")
        time.tzset()
        yield
    time.tzset()


def tried_twice(here: Workshop, runbook_id: str = "rb-tried") -> ExecutionRecord:
    """A test run whose step got an answer at its second attempt: a long one."""
    here.runbook([FETCH | RETRY], id=runbook_id)
    good = {"status": 200, "json": {"items": MANY}, "takes_seconds": 0.25}
    return here.test(runbook_id, steps={"fetch": [BUSY, good]})


# --since


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("90s", "2025-11-29T11:58:30+00:00"),
        ("30m", "2025-11-29T11:30:00+00:00"),
        ("1h30m", "2025-11-29T10:30:00+00:00"),
        ("0.5h", "2025-11-29T11:30:00+00:00"),
        ("7d", "2025-11-22T12:00:00+00:00"),
        ("2w", "2025-11-15T12:00:00+00:00"),
        ("2025-11-29", "2025-11-28T22:00:00+00:00"),
        (" 2025-11-29T09:00 ", "2025-11-29T07:00:00+00:00"),
        ("2025-11-29 09:00:30", "2025-11-29T07:00:30+00:00"),
        ("2025-11-29T09:00Z", "2025-11-29T09:00:00+00:00"),
        ("2025-11-29T09:00:00+01:00", "2025-11-29T08:00:00+00:00"),
    ],
)
def test_since_is_a_time_back_from_now_or_a_moment_that_is_local_without_a_zone(
    two_hours_east: None, text: str, means: str
) -> None:
    assert parse_since(text, now=NOW).astimezone(UTC).isoformat() == means


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2", "2x", "-2h", "h", "2h ago", "29.11.2025", "20251129", "2025-11-29T9:00", "10:00"],
)
def test_a_since_that_means_nothing_is_refused_with_examples(text: str) -> None:
    with pytest.raises(Stop) as refused:
        parse_since(text, now=NOW)
    assert "neither a time back from now nor a date" in refused.value.message
    assert "2h" in refused.value.hint and "2025-11-29T09:00" in refused.value.hint


@pytest.mark.parametrize(
    "text", ["2025-02-30", "2025-11-29T25:00", "99999999999w", "9" * 400 + "d", "9999d" * 99]
)
def test_a_since_outside_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(Stop, match="is not in the calendar"):
        parse_since(text, now=NOW)


def test_every_form_of_since_in_the_docs_is_understood() -> None:
    told = [text for row in rows(page("commands.md").section("rb ls"), "WHEN") for text in code(row[0])]
    assert len(told) > 8
    for text in told:
        assert parse_since(text, now=NOW).tzinfo is not None


# rb ls


def test_since_leaves_out_what_started_before(here: Workshop, rb: Rb, query: Callable[..., Any]) -> None:
    here.runbook([FETCH], id="rb-since")
    old, new = (here.test("rb-since", steps={"fetch": [{"status": 500}]}) for _ in range(2))
    moved = "UPDATE runbook.runbook_executions SET started_at = now() - interval '3 hours' WHERE id = :id"
    query(f"{moved} RETURNING id", id=old.id)
    asked = ("ls", "--runbook", "rb-since", "--mode", "test")
    assert new.id[:6] in rb(*asked, "--since", "2h").out
    assert old.id[:6] not in rb(*asked, "--since", "2h").out
    assert {old.id[:6], new.id[:6]} <= {line[16:22] for line in rb(*asked, "--since", "4h").out.splitlines()}
    assert rb(*asked, "--since", "2h", "--status", "success").out == ""
    assert len(rb(*asked, "--since", "4h", "-n", "1").out.splitlines()) == 2


def test_modes_are_chosen_one_by_one_or_all_together(here: Workshop, rb: Rb, server: Server) -> None:
    server.answers = {"/items": Says({"items": []})}
    here.runbook([{**FETCH, "inputs": {"source_url": f"{server.url}/items"}}], id="rb-modes")
    here.test("rb-modes", steps={"fetch": [{"status": 500}]})
    live = here.live("rb-modes")
    assert rb("replay", live.id).code == 0

    def modes(*options: str) -> list[str]:
        answer = rb("ls", "--runbook", "rb-modes", "--json", *options)
        return [item["mode"] for item in json.loads(answer.out)]

    assert modes() == ["live"]
    assert modes("--mode", "test", "--mode", "replay") == ["replay", "test"]
    assert modes("--all") == ["replay", "live", "test"]
    assert sorted(modes("--all")) == sorted(MODES)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (["--since", "soon"], "--since 'soon' is neither a time back from now nor a date", "for example 30m"),
        (["--mode", "tset"], "--mode tset is none of live, test, replay", "did you mean 'test'?"),
        (["--status", "failed"], "--status failed is none of running, success", "did you mean 'failure'?"),
        (["--all", "--mode", "live"], "--all is every mode", ""),
    ],
)
def test_what_cannot_be_listed_is_a_sentence(
    here: Workshop, rb: Rb, options: list[str], message: str, hint: str
) -> None:
    answer = rb("ls", *options)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err and hint in answer.err


def test_when_nothing_matches_the_next_move_is_one_line_on_stderr(here: Workshop, rb: Rb) -> None:
    here.runbook([FETCH], id="rb-never")
    answer = rb("ls", "--runbook", "rb-never")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == (
        "no live execution of rb-never: `rb run rb-never` makes one; --all lists those of other modes too\n"
    )
    answer = rb("ls", "--runbook", "rb-never", "--since", "2025-11-29T09:00", "--status", "failure", "--all")
    assert answer.err.startswith("no execution of rb-never with status failure since 2025-11-29 09:00:00")
    assert answer.err.endswith(": leave out --since or --status\n")
    answer = rb("ls", "--runbook", "rb-never", "--json")
    assert (answer.code, json.loads(answer.out)) == (0, [])


def test_a_runbook_that_nobody_knows_has_its_nearest_named(here: Workshop, rb: Rb) -> None:
    here.runbook([FETCH], id="rb-nearest")
    answer = rb("ls", "--runbook", "rb-naerest")
    assert answer.code == 2
    assert "no runbook 'rb-naerest' in" in answer.err
    assert "did you mean 'rb-nearest'?" in answer.err


def test_a_runbook_that_is_gone_is_still_known_by_its_executions(here: Workshop, rb: Rb) -> None:
    here.runbook([FETCH], id="rb-departed")
    here.test("rb-departed", steps={"fetch": [{"status": 500}]})
    here.project.runbook_file("rb-departed").unlink()
    assert rb("ls", "--runbook", "rb-departed").code == 0
    assert "did you mean 'rb-departed'?" in rb("ls", "--runbook", "rb-departd").err


def test_as_json_an_execution_has_the_keys_of_show_without_its_steps(here: Workshop, rb: Rb) -> None:
    record = tried_twice(here, "rb-json")
    (listed,) = json.loads(rb("ls", "--runbook", "rb-json", "--all", "--json").out)
    shown = json.loads(rb("show", record.id, "--json").out)
    assert len(shown.pop("steps")) == 2
    assert shown.pop("probes") == []
    assert listed == shown


def test_the_table_gives_way_to_a_narrow_terminal() -> None:
    record = ExecutionRecord(
        id="abc123de-0000-0000-0000-000000000000",
        runbook_id="rb-001-entity-enrichment",
        runbook_version="1.0.0",
        mode="live",
        status=Status.SUCCESS,
        started_at=NOW,
        duration_seconds=120.04,
        actor=Actor(id="1", name="ann@laptop-of-the-night-shift"),
    )
    heading, whole = table([record])
    assert "MODE" in heading
    assert whole.split() == [
        *("exec-2025-11-29-abc123", "rb-001-entity-enrichment", "success", "live"),
        *(f"{NOW.astimezone():%Y-%m-%d %H:%M:%S}".split()),
        *("120.0", "ann@laptop-of-the-night-shift"),
    ]
    narrow = list(table([record], width=80))
    assert max(map(len, narrow)) <= 80
    assert "rb-001-entity-enrichment" in narrow[1] and "ann" not in narrow[1]
    assert "MODE" not in narrow[0]
    mixed = list(table([record, replace(record, mode="replay")], width=80))
    assert max(map(len, mixed)) <= 80
    assert "rb-001-entity-en…" in mixed[1] and "replay" in mixed[2]


# rb show


def test_the_header_names_the_definition_by_its_digest(
    here: Workshop, rb: Rb, query: Callable[..., Any]
) -> None:
    record = tried_twice(here)
    columns = "SELECT definition_digest FROM runbook.runbook_executions WHERE id = :id"
    ((digest,),) = query(columns, id=record.id)
    for options in ([], ["-v"], ["--step", "fetch"]):
        lines = rb("show", record.id, *options).out.splitlines()
        assert lines[2] == f"version   1.0.0, definition {digest[:12]}…"


def test_several_attempts_have_a_line_each_and_a_numbered_bar(here: Workshop, rb: Rb) -> None:
    record = tried_twice(here)
    lines = rb("show", record.short_name).out.splitlines()
    assert lines[0] == f"{record.short_name} rb-tried 1.0.0 test"
    assert [line for line in lines if "Step:" in line] == [
        "↻ Step: fetch (http: GET https://a.test/items answered 503; attempt 1, again in 2s)",
        "✓ Step: fetch (300 items fetched)",
    ]
    assert [line.split("|")[0].strip() for line in lines[-2:]] == ["fetch (1)", "fetch (2)"]
    assert lines[-1].endswith("3.000 s to    3.250 s")
    assert "exchanges" not in "".join(lines)


def test_a_step_is_shown_attempt_by_attempt_with_what_was_said(here: Workshop, rb: Rb) -> None:
    record = tried_twice(here)
    answer = rb("show", record.id, "--step", "fetch")
    assert answer.code == 0
    first, second = answer.out.split("✓ Step: fetch (300 items fetched)\n")
    assert "      attempt 1: failed, began 0.000 s after the start, took 1.000 s\n" in first
    assert '          "source_url": "https://a.test/items"\n' in first
    assert "        GET https://a.test/items -> 503, 0 B, 1.000 s\n" in first
    assert "      attempt 2: success, began 3.000 s after the start, took 0.250 s\n" in second
    body = json.dumps({"items": MANY}, separators=(",", ":")).encode()
    size, digest = f"{len(body) / 1000:.1f} kB", hashlib.sha256(body).hexdigest()
    line = "        GET https://a.test/items -> 200, {} (sha256 {}), 0.250 s\n"
    assert line.format(size, f"{digest[:12]}…") in second
    assert line.format(size, digest) in rb("show", record.id, "--step", "fetch", "--full").out
    assert '            "item-17",\n' in second
    assert '"item-18"' not in second
    # Braces, the key with its bracket, 300 items: 304 lines.
    assert "        … 284 more lines: --full shows all, --json too\n" in second


def test_full_cuts_nothing_and_verbose_shows_every_step(here: Workshop, rb: Rb) -> None:
    record = tried_twice(here)
    full = rb("show", record.id, "--step", "fetch", "--full").out
    assert '"item-299"' in full and "more line" not in full
    verbose = rb("show", record.id, "-v").out
    assert verbose.count("      exchanges\n") == 2
    assert "more lines" in verbose and "fetch (2) |" in verbose
    assert '"item-299"' in rb("show", record.id, "--full").out


def test_a_long_line_is_cut_and_says_by_how_much(here: Workshop, rb: Rb) -> None:
    here.runbook([FETCH], id="rb-long")
    answer = {"status": 200, "json": {"items": ["x" * 1000]}}
    record = here.test("rb-long", steps={"fetch": [answer]})
    shown = rb("show", record.id, "--step", "fetch").out
    assert "x" * 140 in shown and "x" * 161 not in shown
    assert "… 846 more characters: --full shows them" in shown
    assert "x" * 1000 in rb("show", record.id, "--step", "fetch", "--full").out


def test_what_every_kind_of_step_said_and_read_is_a_line_each(here: Workshop, rb: Rb) -> None:
    here.file("connections.yaml", "connections:\n  shop: {type: sql, url: 'sqlite:///shop.db'}\n")
    here.file("runbooks/rb-kinds/s.json", '{"type": "object"}')
    statement = (
        "SELECT id, title FROM orders WHERE title <> :no ORDER BY id, title, id, title, id, title LIMIT 9"
    )
    query = {"connection": "shop", "query": statement, "params": {"no": "${execution.id}"}}
    items = "${steps.rows.outputs.rows}"
    body = {"count": "${len(steps.rows.outputs.rows)}"}
    post = {"endpoint": "https://a.test/${item}", "method": "POST", "body": body}
    check = {"entities": items, "schema": "s.json"}
    here.runbook(
        [
            {"id": "rows", "type": "sql_query", "inputs": query, "outputs": {"rows": "$.rows"}},
            {"id": "check", "type": "schema_check", "depends_on": ["rows"], "inputs": check},
            {"id": "tell", "type": "api_call", "depends_on": ["rows"], "for_each": ["a"], "inputs": post},
        ],
        id="rb-kinds",
    )
    told = {
        "rows": [{"rows": [{"id": 1, "title": "one"}, {"id": 2, "title": "two"}]}],
        "tell[0]": [{"error": "refused"}],
    }
    record = here.test("rb-kinds", steps=told)
    shown = rb("show", record.id, "-v").out
    assert f"        sql shop: {statement[:80]}… -> 2 rows, 0.000 s\n" in shown
    assert f'        expression execution.id = "{record.id}"\n' in shown
    assert "        expression steps.rows.outputs.rows = a list of 2\n" in shown
    digest = hashlib.sha256(b'{"type": "object"}').hexdigest()
    assert f"        file s.json {digest[:12]}…\n" in shown
    assert f"        file s.json {digest}\n" in rb("show", record.id, "--full").out
    assert "        2 checked, 2 passed, 0 failed\n" in shown
    assert "        item 0: POST https://a.test/a (api) with 11 B -> connection: " in shown
    assert f"sql shop: {statement} -> 2 rows" in rb("show", record.id, "--full").out


def test_a_finding_of_a_check_has_its_record_and_place(here: Workshop, rb: Rb) -> None:
    here.file("runbooks/rb-found/s.json", '{"properties": {"n": {"type": "number"}}}')
    check = {"entities": [{"n": 1}, {"n": "x"}], "schema": "s.json"}
    here.runbook([{"id": "check", "type": "schema_check", "inputs": check}], id="rb-found")
    record = here.test("rb-found")
    shown = rb("show", record.id, "--step", "check").out
    assert "        record 1: $.n: 'x' is not of type 'number' (schema_validation)\n" in shown


def test_a_failure_has_its_hint_once_and_its_details(here: Workshop, rb: Rb) -> None:
    here.runbook([FETCH], id="rb-failure")
    record = here.test("rb-failure", steps={"fetch": [{"status": 404, "text": "no such thing"}]})
    shown = rb("show", record.id, "--step", "fetch").out
    assert shown.count("hint: ") == 1
    assert '        http: {"answer": "no such thing", "status": 404}\n' in shown


def test_what_an_assumption_asked_is_shown_with_it(here: Workshop, rb: Rb) -> None:
    probe = {
        "type": "data_fetch",
        "inputs": {"source_url": "https://a.test/up"},
        "expect": "${response.ready}",
    }
    here.runbook([FETCH], id="rb-probed", assumptions=[{"id": "up", "probe": probe}])
    told = {
        "assumptions.up": [{"status": 200, "json": {"ready": True}}],
        "fetch": [{"status": 200, "json": {"items": []}}],
    }
    record = here.test("rb-probed", steps=told)
    verbose = rb("show", record.id, "-v").out
    above, below = verbose.split("✓ Step: fetch")
    assert "✓ Assumption: up" in above
    assert "GET https://a.test/up -> 200, 14 B" in above
    assert "https://a.test/up" not in below
    alone = rb("show", record.id, "--step", "assumptions.up").out
    assert "GET https://a.test/up -> 200, 14 B" in alone
    assert "✓ Assumption: up" in alone and "Step: " not in alone


def test_only_the_wanted_steps_are_shown_also_as_json(here: Workshop, rb: Rb) -> None:
    here.runbook([FETCH, {**FETCH, "id": "again", "depends_on": ["fetch"]}], id="rb-two")
    good = {"status": 200, "json": {"items": []}}
    record = here.test("rb-two", steps={"fetch": [good], "again": [good]})
    shown = rb("show", record.id, "--step", "again").out
    assert "Step: again" in shown and "Step: fetch" not in shown
    assert rb("show", record.id, "--step", "again", "--step", "fetch").out.count("Step: ") == 2
    (step,) = json.loads(rb("show", record.id, "--step", "again", "--json").out)["steps"]
    assert step["step_id"] == "again"


def test_an_unknown_step_has_the_nearest_or_all_named(here: Workshop, rb: Rb) -> None:
    record = tried_twice(here)
    answer = rb("show", record.id, "--step", "fecth")
    assert (answer.code, answer.out) == (2, "")
    assert f"{record.short_name} has no step 'fecth'" in answer.err
    assert "did you mean 'fetch'?" in answer.err
    assert "there are: fetch" in rb("show", record.id, "--step", "zzz").err


def test_nothing_from_outside_steers_the_terminal(here: Workshop, rb: Rb) -> None:
    here.runbook([{**FETCH, "outputs": {"items": "$"}}], id="rb-steers")
    answer = {"status": 200, "json": {"\x9bitems": "\x1b[31m\x9b31m\u202e\nnext"}}
    record = here.test("rb-steers", steps={"fetch": [answer]})
    for options in (["-v"], ["--full"], ["--step", "fetch"]):
        shown = rb("show", record.id, *options).out
        assert "31m" in shown
        assert all(char.isprintable() or char == "\n" for char in shown)
        assert "\nnext" not in shown


def test_a_replay_names_its_original_and_its_verdict(here: Workshop, rb: Rb, server: Server) -> None:
    server.answers = {"/items": [Says(status=503), Says({"items": MANY})]}
    quick = {"retry": {"max_attempts": 2, "delay_seconds": 0.01}}
    here.runbook([{**FETCH, **quick, "inputs": {"source_url": f"{server.url}/items"}}], id="rb-replayed")
    live = here.live("rb-replayed")
    server.answers = {"/items": Says({"items": ["another"]})}
    assert rb("replay", live.short_name).code == 0
    assert rb("replay", live.short_name, "--live").code == 1
    listed = json.loads(rb("ls", "--runbook", "rb-replayed", "--mode", "replay", "--json").out)
    deviated, verified = (rb("show", item["id"]).out.splitlines() for item in listed)
    assert f"replay of {live.short_name}: REPLAY VERIFIED" in verified
    assert f"replay of {live.short_name}: REPLAY DEVIATED at fetch, live" in deviated
    assert "replay of" not in rb("show", live.id).out
    detail = rb("show", listed[1]["id"], "--step", "fetch").out
    assert f"GET {server.url}/items -> 503" in detail and f"GET {server.url}/items -> 200" in detail
