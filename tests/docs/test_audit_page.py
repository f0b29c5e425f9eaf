"""The page for auditors is held against the code."""

import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runbook_factory.audit import chain
from runbook_factory.audit.log import MOST_CHARACTERS, Action, Outcome
from runbook_factory.audit.sink import SinkSettings
from tests.docs.pages import code, page, rows
from tests.ledger import Ledger

PAGE = page("audit.md")


def test_every_action_and_outcome_is_told_of() -> None:
    section = PAGE.section("What is recorded")
    assert [code(row[0])[0] for row in rows(section, "action")] == list(Action)
    assert set(Outcome) <= set(code(section))
    assert f"after {MOST_CHARACTERS} characters" in section


def test_every_setting_of_the_audit_service_is_told_of() -> None:
    section = PAGE.section("The audit service")
    told = set(re.findall(r"^ {8}(\w+):", section, re.MULTILINE))
    assert told == set(SinkSettings.model_fields)
    assert f"; {SinkSettings.model_fields['timeout_seconds'].default:g} unless given" in section


def test_every_kind_of_finding_is_told_of_in_the_words_of_the_program() -> None:
    kinds = [row[0].partition(" (")[0] for row in rows(PAGE.section("What the chain proves"), "it says")]
    assert len(kinds) == len(chain.Fault)
    patterns = {re.sub(r"-?\d+", "N", kind) for kind in kinds}
    found = {re.sub(r"-?\d+", "N", finding.message) for finding in _findings()}
    assert found == patterns


def _findings() -> list[chain.Finding]:
    """One of each kind, from logs that were tampered with."""
    entry = chain.StoredEntry(
        seq=1,
        micros=0,
        actor_id=None,
        actor_name="",
        actor_kind="",
        action="x",
        subject="x",
        outcome="allowed",
        details=b"{}",
        previous=chain.START,
        hash=bytes(32),
    )
    log: list[chain.StoredEntry] = []
    for seq in (-3, 1, 4, 5):
        log.append(_with(entry, seq=seq))
    head = chain.Head(seq=5, hash=bytes(32), count=5)
    log[3] = _with(log[3], previous=bytes(range(32)))
    altered = chain.verify([_replaced(log[1], subject="y")]).findings
    cut = chain.verify([log[1]], head=head).findings
    return [*chain.verify(log, head=head).findings, *altered, *cut]


def _with(entry: chain.StoredEntry, **changes: object) -> chain.StoredEntry:
    changed = _replaced(entry, **changes)
    return _replaced(changed, hash=chain.digest(changed))


def _replaced(entry: chain.StoredEntry, **changes: object) -> chain.StoredEntry:
    return replace(entry, **changes)  # type: ignore[arg-type]


def test_the_head_that_is_shown_is_one() -> None:
    (block,) = [block for block in PAGE.blocks if block.language == "json"]
    head = chain.Head.from_json(block.body)
    assert head.as_json() == block.body.strip()


def test_a_hash_made_from_an_export_as_the_page_says_is_the_one_in_it(ledger: Ledger) -> None:
    ledger.append("é", runbook="rb-test", inputs=["b", "a"])
    ledger.append("second")
    lines = [json.dumps(entry.as_json()) for entry in ledger.entries()]
    assert [_by_the_page(json.loads(line)) for line in lines] == [json.loads(line)["hash"] for line in lines]


def _by_the_page(entry: dict[str, object]) -> str:
    """What an auditor would write after reading "How a hash is made", with nothing of ours."""
    since = datetime.fromisoformat(str(entry["at"])) - datetime(1970, 1, 1, tzinfo=UTC)
    actor = entry["actor"]
    assert isinstance(actor, dict)
    texts = [actor["id"] or "", actor["name"], actor["kind"], entry["action"], entry["subject"]]
    fields = [
        b"runbook audit 1",
        int(str(entry["seq"])).to_bytes(8, "big"),
        bytes.fromhex(str(entry["previous"])),
        (since // timedelta(microseconds=1)).to_bytes(8, "big"),
        *(str(text).encode() for text in [*texts, entry["outcome"]]),
        json.dumps(entry["details"], sort_keys=True, separators=(",", ":")).encode(),
    ]
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in fields)).hexdigest()
