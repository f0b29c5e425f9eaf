"""What a user's mistake, or the world's, looks like at the command line: place, reason, next move."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.app import DEFAULT_TOKEN
from demo.world import upstream
from step_ops.drivers.find_browser import find_browser

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = "rb-001-entity-enrichment"
Rb = Callable[..., Any]


def fixture(root: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """The golden fixture, changed; its name."""
    folder = root / "acceptance" / RUNBOOK / "fixtures"
    data = json.loads((folder / "golden-scenarios.json").read_text())
    data["steps"].pop("screenshot_ui")
    change(data)
    (folder / "changed.json").write_text(json.dumps(data))
    return "changed.json"


def without_page(root: Path) -> None:
    """Takes the step that needs a browser out of the copy."""
    path = root / "runbooks" / RUNBOOK / "runbook.yaml"
    text = path.read_text()
    path.write_text(text[: text.index("  - id: screenshot_ui")])


def test_an_unknown_runbook_names_the_nearest(rb: Rb, shipped: Path) -> None:
    answer = rb("test", "rb-001-entity-enrichmen")
    assert answer.code == 2
    assert f"did you mean '{RUNBOOK}'?" in answer.err


def test_outside_a_project_the_next_move_is_named(
    rb: Rb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = rb("test", RUNBOOK)
    assert answer.code == 2
    assert "no project here" in answer.err
    assert "runbooks/" in answer.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["steps"].pop("enrich"), "the fixture has no exchanges for it"),
        (lambda data: data["steps"]["enrich"].append({"status": 200}), "1 exchange for step 'enrich'"),
        (
            lambda data: data["steps"]["ingest"][0].update(json_file="../../../../../../etc/passwd"),
            "is not a file name inside fixtures/",
        ),
        (lambda data: data["steps"]["ingest"][0].update(json_file="gone.json"), "no such file"),
        (lambda data: data["assumptions"].pop("entity_schema_v2"), "the fixture does not state it"),
        (lambda data: data["secrets"].clear(), "the fixture has no secret 'API_TOKEN'"),
        (
            lambda data: data["inputs"].clear(),
            "input 'SOURCE_API_URL' of rb-001-entity-enrichment is missing",
        ),
    ],
)
def test_a_fixture_that_does_not_fit_fails_with_its_reason(
    rb: Rb, shipped: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    without_page(shipped)
    answer = rb("test", RUNBOOK, "--fixture", fixture(shipped, change))
    assert answer.code == 1
    assert message in answer.out
    assert answer.out.endswith("FAIL\n")
    assert "Traceback" not in answer.out + answer.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON at line 1, column 2"),
        ("[" * 100_000, "nested too deeply"),
        ('{"format": 2}', "format:"),
        ('{"format": 1, "runbook": "another"}', "the fixture is for 'another'"),
        ('{"format": 1, "runbook": "x", "steps": {"a": [{}]}}', "exactly one of status, error, rows, page"),
        ("\xff", "not UTF-8"),
    ],
)
def test_a_broken_fixture_cannot_be_run(rb: Rb, shipped: Path, text: str, message: str) -> None:
    path = shipped / "broken.json"
    path.write_bytes(text.encode("latin-1"))
    answer = rb("test", RUNBOOK, "--fixture", str(path))
    assert answer.code == 2
    assert message in answer.err
    assert "broken.json" in answer.err


def test_a_broken_runbook_is_not_run_but_explained(rb: Rb, shipped: Path) -> None:
    path = shipped / "runbooks" / RUNBOOK / "runbook.yaml"
    path.write_text(path.read_text().replace("type: api_call", "type: api_cal"))
    for command in ("test", "run"):
        answer = rb(command, RUNBOOK)
        assert answer.code == 1
        assert "RB203 unknown step type 'api_cal'" in answer.out
        assert "did you mean 'api_call'?" in answer.out


@pytest.fixture(scope="module")
def upstream_url() -> Iterator[str]:
    with upstream() as url:
        yield url


@pytest.fixture
def demo(upstream_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The demo upstream, with a deployment that points at it."""
    monkeypatch.setenv("SOURCE_API_URL", f"{upstream_url}/api/entities")
    monkeypatch.setenv("API_BASE_URL", upstream_url)
    monkeypatch.setenv("API_TOKEN", DEFAULT_TOKEN)
    monkeypatch.setenv("PUSHGATEWAY_URL", "http://127.0.0.1:1")
    return upstream_url


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ({"path": "/api/entities", "status": 500}, "answered 500"),
        ({"path": "/api/entities", "answer": "html"}, "is not JSON"),
        ({"path": "/api/entities", "answer": "reset"}, "connection"),
        ({"path": "/graphql", "status": 503}, "answered 503"),
    ],
)
def test_an_upstream_that_misbehaves_ends_a_live_run_with_its_reason(
    rb: Rb, shipped: Path, demo: str, switch: dict[str, Any], message: str
) -> None:
    without_page(shipped)
    requests.put(f"{demo}/switches", json=[switch], timeout=5).raise_for_status()
    try:
        answer = rb("run", RUNBOOK)
    finally:
        requests.delete(f"{demo}/switches", timeout=5)
    assert answer.code == 1
    assert message in answer.out
    assert "ABORTED" in answer.out
    assert "Traceback" not in answer.out + answer.err
    shown = rb("show", answer.out.split()[-1])
    assert shown.code == 0
    assert message in shown.out


def test_a_wrong_token_is_a_refusal_that_does_not_show_it(
    rb: Rb, shipped: Path, demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "wrong-token-abcdef")
    answer = rb("run", RUNBOOK)
    assert answer.code == 1
    assert "answered 401" in answer.out
    assert "hint: the token is missing, wrong or expired" in answer.out
    assert "wrong-token-abcdef" not in answer.out + answer.err


def test_all_that_the_deployment_lacks_is_said_before_step_one(
    rb: Rb, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_TOKEN", "API_BASE_URL", "PUSHGATEWAY_URL"):
        monkeypatch.delenv(name, raising=False)
    answer = rb("run", RUNBOOK, "-i", "SOURCE_API_URL=http://127.0.0.1:1/")
    assert answer.code == 1
    assert "Step: ingest (not run)" in answer.out
    for name in ("API_TOKEN", "API_BASE_URL", "PUSHGATEWAY_URL"):
        assert name in answer.out


def test_a_key_that_is_too_short_is_refused_before_anything_runs(
    rb: Rb, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK_KEY", "short")
    answer = rb("test", RUNBOOK, "--fixture", "golden-scenarios.json")
    assert answer.code == 2
    assert "RUNBOOK_KEY is shorter than 32 characters" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "nope=1"], "has no input 'nope'"),
        (["-i", "SOURCE_API_URL"], "is not NAME=VALUE"),
        (["-i", "API_TOKEN=abcdefgh"], "it is a secret"),
        (["--deny", "nope"], "has no assumption 'nope'"),
        ([], "input 'SOURCE_API_URL' of rb-001-entity-enrichment is missing"),
    ],
)
def test_a_run_that_was_asked_for_wrongly_does_not_start(
    rb: Rb, shipped: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.delenv("SOURCE_API_URL", raising=False)
    answer = rb("run", RUNBOOK, *arguments)
    assert answer.code == 2
    assert message in answer.err


def test_no_database_is_one_sentence_without_its_password(
    rb: Rb, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x")
    for command in (["ls"], ["show", "abcdef"], ["run", RUNBOOK, "-i", "SOURCE_API_URL=http://x.test"]):
        answer = rb(*command)
        assert answer.code == 2
        assert "cannot reach the database" in answer.err
        assert "hunter2" not in answer.err + answer.out


def test_no_browser_fails_the_step_with_what_to_install(
    rb: Rb, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RB_BROWSER", "/nowhere/chromium")
    answer = rb("test", RUNBOOK, "--fixture", "golden-scenarios.json")
    assert answer.code == 1
    assert "RB_BROWSER" in answer.out
    assert "chromium-headless-shell" in answer.out


@pytest.mark.skipif(find_browser() is None, reason="no browser on this machine")
def test_a_changed_colour_is_flagged_with_its_ratio_and_a_diff_image(rb: Rb, shipped: Path) -> None:
    golden = ("test", RUNBOOK, "--fixture", "fixtures/golden-scenarios.json")
    before = rb(*golden)
    assert before.code == 0, before.out
    assert before.out.endswith("PASS\n")
    page = shipped / "acceptance" / RUNBOOK / "fixtures" / "pages" / "entities.html"
    text = page.read_text()
    assert "</style>" in text
    page.write_text(text.replace("</style>", "#entity-list { background: #c00 !important }</style>"))
    after = rb(*golden)
    assert after.code == 1
    assert "✗ Screenshot diff: " in after.out
    assert after.out.endswith("FAIL\n")
    (diff,) = (shipped / line.split()[-1] for line in after.out.splitlines() if line.endswith("-diff.png"))
    assert diff.read_bytes().startswith(b"\x89PNG")


def test_the_golden_numbers_are_the_specifications(rb: Rb, shipped: Path) -> None:
    without_page(shipped)
    answer = rb("test", RUNBOOK, "--fixture", fixture(shipped, lambda data: None))
    for line in (
        "✓ Assumption: source_data_validated",
        "✓ Step: ingest (200 entities fetched)",
        "✓ Step: validate (195 valid, 5 errors)",
        "✓ Step: enrich (195 enriched)",
        "✓ Step: report (metrics published)",
        "✓ KPI: max_duration_seconds (120s < 300s)",
        "✓ KPI: min_success_rate (0.975 > 0.95)",
    ):
        assert line in answer.out.splitlines()


def test_light_commands_load_nothing_heavy() -> None:
    heavy = ("dagster", "playwright", "psycopg2", "sqlalchemy", "alembic", "jsonschema", "requests")
    for arguments in (["--help"], ["validate", RUNBOOK], ["validate", "--format", "json", RUNBOOK]):
        code = (
            "import sys\nfrom cli.errors import boundary\nfrom cli.main import app\n"
            f"boundary(lambda: app({arguments!r}, standalone_mode=False))\n"
            f"print(sorted(name for name in {heavy!r} if name in sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]", arguments


def test_a_reader_that_leaves_early_is_no_error(shipped: Path) -> None:
    command = f"{sys.executable} -c 'from cli.main import main; main()' validate --format json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=shipped,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
