"""Every record that was ever stored still replays, or says why no record could."""

from pathlib import Path

import pytest

from runbook_defs.replay import Verdict
from runbook_factory import database
from runbook_factory.replay.recording import NotReplayable
from step_ops.drivers.find_browser import find_browser
from tests.records.stored import load
from tests.workshop import Workshop

FOLDER = Path(__file__).parent
NOT_REPLAYABLE = {
    "format-1/cancelled-live": "it was cancelled from outside",
    "format-1/lost-live": "its process was lost",
    "format-1/truncated-live": "was cut when it was recorded",
    "format-1/rb-001-live": "the record holds the picture of its page, and not what the page was made of",
    "format-1/rb-001-test": "the record holds the picture of its page, and not what the page was made of",
}
# Drawn by the browser of the machine that recorded them: another one draws other pixels.
DRAWN = {"format-2/rb-001-live", "format-2/rb-001-test"}


def stored() -> list[str]:
    files = sorted(FOLDER.glob("format-*/*.json"))
    return [f"{path.parent.name}/{path.stem}" for path in files]


@pytest.mark.parametrize("name", stored())
def test_a_stored_record_replays(name: str, workshop: Workshop) -> None:
    if name in DRAWN and find_browser() is None:
        pytest.skip("no browser: apt-get install chromium-headless-shell")
    execution = load(database.engine(workshop.project), FOLDER / f"{name}.json")
    if name in NOT_REPLAYABLE:
        said = ""
        try:
            said = workshop.replay(execution).reason
        except NotReplayable as error:
            said = error.message
        assert NOT_REPLAYABLE[name] in said
        return
    report = workshop.replay(execution)
    by_step = {step.step: step for step in report.steps if step.deviations}
    if name in DRAWN and by_step.keys() == {"screenshot_ui"}:
        # Whether it is the same browser is the record's to say; the rest must be the same anywhere.
        assert report.steps[-1].cause == "environment"
        return
    assert report.verdict is Verdict.VERIFIED, [step.deviations for step in by_step.values()]


def test_there_is_a_record_of_every_format() -> None:
    from runbook_factory.schema import FORMAT_VERSION

    assert {path.name for path in FOLDER.glob("format-*")} == {
        f"format-{number}" for number in range(1, FORMAT_VERSION + 1)
    }
