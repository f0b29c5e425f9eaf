"""The chain without a database: what its verification finds, and what it cannot."""

from dataclasses import replace
from typing import Any

import pytest

from runbook_factory.audit.chain import (
    MOST_FINDINGS,
    START,
    Fault,
    Head,
    HeadError,
    StoredEntry,
    canonical,
    digest,
    verify,
)

ENTRY = StoredEntry(
    seq=0,
    micros=1_764_406_800_000_000,
    actor_id="0b0e8f58-0000-4000-8000-000000000001",
    actor_name="ann",
    actor_kind="user",
    action="execution_started",
    subject="an execution",
    outcome="allowed",
    details=b'{"runbook":"rb-test"}',
    previous=START,
    hash=START,
)


def hashed(entry: StoredEntry) -> StoredEntry:
    return replace(entry, hash=digest(entry))


def chain(length: int, *, first: int = 1, previous: bytes = START, **more: Any) -> list[StoredEntry]:
    entries: list[StoredEntry] = []
    for seq in range(first, first + length):
        entry = hashed(replace(ENTRY, seq=seq, previous=previous, **more))
        entries.append(entry)
        previous = entry.hash
    return entries


def head_at(entries: list[StoredEntry]) -> Head:
    return verify(entries).head


def faults(entries: list[StoredEntry], head: Head | None = None) -> list[tuple[int, Fault]]:
    return [(found.seq, found.fault) for found in verify(entries, head=head).findings]


def test_a_chain_as_it_was_written_is_whole() -> None:
    verdict = verify(chain(20))
    assert verdict.is_whole
    assert (verdict.head.seq, verdict.head.count) == (20, 20)
    assert verify([]).head == Head()


CHANGES = {
    "micros": ENTRY.micros + 1,
    "actor_id": None,
    "actor_name": "bob",
    "actor_kind": "token",
    "action": "execution_finished",
    "subject": "another execution",
    "outcome": "refused",
    "details": b'{"runbook": "rb-test"}',
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_entry_with_another_value_is_found_whichever_it_is(name: str) -> None:
    entries = chain(9)
    entries[4] = replace(entries[4], **{name: CHANGES[name]})
    assert faults(entries) == [(5, Fault.ALTERED)]


def test_an_entry_with_another_hash_is_found_once() -> None:
    entries = chain(9)
    entries[4] = replace(entries[4], hash=bytes(range(32)))
    assert faults(entries) == [(5, Fault.ALTERED)]


def test_a_value_cannot_move_from_one_field_to_its_neighbour() -> None:
    moved = replace(ENTRY, actor_name=ENTRY.actor_name + "u", actor_kind=ENTRY.actor_kind[1:])
    assert moved.actor_name + moved.actor_kind == ENTRY.actor_name + ENTRY.actor_kind
    assert digest(moved) != digest(ENTRY)


def test_an_entry_that_was_exchanged_together_with_its_hash_breaks_the_link() -> None:
    entries = chain(9)
    entries[4] = hashed(replace(entries[4], actor_name="bob"))
    assert faults(entries) == [(6, Fault.BROKEN)]


@pytest.mark.parametrize(
    ("gone", "message"),
    [(slice(0, 1), "entry 1 is missing"), (slice(3, 5), "entries 4 to 5 are missing")],
)
def test_numbers_that_are_missing_are_found(gone: slice, message: str) -> None:
    entries = chain(9)
    del entries[gone]
    (finding,) = verify(entries).findings
    assert finding.message == message


def test_a_number_that_is_never_given_is_found() -> None:
    stray = hashed(replace(ENTRY, seq=-3))
    assert faults([stray, *chain(3)]) == [(-3, Fault.STRANGE)]


def test_a_cut_tail_is_found_by_a_head_and_not_without() -> None:
    entries = chain(9)
    head = head_at(entries)
    assert faults(entries[:6]) == []
    assert faults(entries[:6], head) == [(7, Fault.CUT)]
    assert faults([], head) == [(1, Fault.CUT)]


def test_a_log_that_was_written_anew_is_found_by_a_head_and_not_without() -> None:
    entries = chain(9)
    head = head_at(entries)
    fork = [*entries[:6], *chain(9, first=7, previous=entries[5].hash, actor_name="bob")]
    assert faults(fork) == []
    assert faults(fork, head) == [(9, Fault.FORKED)]


def test_a_log_that_went_on_has_its_earlier_heads() -> None:
    entries = chain(9)
    for length in range(10):
        assert faults(entries, head_at(entries[:length])) == []


def test_of_very_many_findings_the_first_are_told_and_the_rest_counted() -> None:
    entries = [replace(entry, actor_name="bob") for entry in chain(MOST_FINDINGS + 20)]
    verdict = verify(entries)
    assert (len(verdict.findings), verdict.more) == (MOST_FINDINGS, 20)


def test_a_head_comes_back_from_its_text() -> None:
    for head in (head_at(chain(3)), Head()):
        assert Head.from_json(head.as_json()) == head


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '"x"', "null", '{"seq": 1, "hash": "zz", "count": 1, "at": null}', "[" * 100_000],
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(HeadError):
        Head.from_json(text)


def test_details_come_back_as_data_unless_somebody_changed_their_bytes() -> None:
    details = {"b": [1, 2.5, None], "a": "é\ud800"}
    assert replace(ENTRY, details=canonical(details)).as_json()["details"] == details
    assert replace(ENTRY, details=b'{"a": 1}').as_json()["details"] == '{"a": 1}'
    assert replace(ENTRY, details=b"\xff{").as_json()["details"] == "\\xff{"


def test_a_time_that_no_calendar_has_is_shown_all_the_same() -> None:
    assert replace(ENTRY, micros=2**62).as_json()["at"].startswith("9999-12-31")
