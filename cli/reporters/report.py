"""`rb test --report DIR`: the outcome as files, `junit.xml`, `report.json` and the pictures."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import Stop
from cli.reporters.junit import as_junit
from cli.reporters.outcome import Broken, Outcome
from cli.reporters.problems import shown_path

if TYPE_CHECKING:
    from runbook_defs.execution import StepRecord
    from runbook_factory.acceptance import CaseFinished

FORMAT = 1


def make_folder(folder: Path) -> None:
    """Makes the report's folder; raises `Stop` when that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Stop(f"cannot make the folder {folder}: {reason}", hint="name another with --report") from None


def write_report(folder: Path, outcome: Outcome) -> None:
    """Writes the report; raises `Stop` when that cannot be."""
    try:
        shutil.rmtree(folder / "pictures", ignore_errors=True)  # those of an earlier report
        data = _as_data(folder, outcome)
        text = json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n"
        (folder / "report.json").write_bytes(text.encode("utf-8", "replace"))
        (folder / "junit.xml").write_bytes(as_junit(outcome))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Stop(f"cannot write the report to {folder}: {reason}") from None


def _as_data(folder: Path, outcome: Outcome) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "started_at": outcome.started_at.isoformat(),
        "seconds": round(outcome.seconds, 3),
        "passed": outcome.passed,
        "failed": outcome.failed,
        "broken": [_broken(item) for item in outcome.broken],
        "cases": [_case(folder, number, item) for number, item in enumerate(outcome.finished, 1)],
        "not_run": [{"runbook": case.runbook.id, "scenario": case.name} for case in outcome.not_run],
    }


def _broken(broken: Broken) -> dict[str, Any]:
    problems = [
        {
            "line": problem.line,
            "column": problem.column,
            "code": problem.code.value,
            "severity": problem.severity.value,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in broken.problems
    ]
    return {"runbook": broken.runbook_id, "path": shown_path(broken.path), "problems": problems}


def _case(folder: Path, number: int, finished: "CaseFinished") -> dict[str, Any]:
    case, record = finished.case, finished.record
    slug = re.sub(r"[^a-z0-9]+", "-", case.name.lower()).strip("-")[:40]
    pictures = folder / "pictures" / f"{number:03}-{slug}".rstrip("-")
    return {
        "runbook": case.runbook.id,
        "version": record.runbook_version,
        "scenario": case.name,
        "fixture": shown_path(case.path),
        "passed": finished.passed,
        "seconds": round(finished.seconds, 3),
        "execution": record.id,
        "status": record.status.value,
        "expected_status": case.expected.status,
        "reason": record.reason,
        "duration_seconds": record.duration_seconds,
        "findings": [{"what": item.what, "details": list(item.details)} for item in finished.findings],
        "assumptions": [vars(item) for item in record.assumptions],
        "steps": [_step(step) for step in record.steps],
        "kpis": [vars(kpi) for kpi in record.kpis],
        "measures": dict(record.measures),
        "pictures": [
            _picture(folder, pictures, step, picture, finished)
            for step in record.steps
            for picture in step.pictures
        ],
    }


def _step(step: "StepRecord") -> dict[str, Any]:
    return {
        "id": step.step_id,
        "type": step.type,
        "status": step.status.value,
        "attempts": step.attempt,
        "started_virtual": step.started_virtual,
        "seconds": step.seconds,
        "summary": step.summary,
        "errors": list(step.errors),
        "records": step.records,
    }


def _picture(
    folder: Path, place: Path, step: "StepRecord", picture: Mapping[str, Any], finished: "CaseFinished"
) -> dict[str, Any]:
    copied: dict[str, str | None] = {"file": None, "expected": None, "diff": None}
    for kind, source in _sources(picture, finished):
        if source.is_file():
            ending = "" if kind == "file" else f"-{kind}"
            # A step name in front: two steps may call their pictures alike.
            target = place / f"{step.step_id}-{picture['name']}{ending}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            copied[kind] = target.relative_to(folder).as_posix()
    figures = ("name", "verdict", "ratio", "allowed", "changed", "boxes")
    return {"step": step.step_id, **{name: picture[name] for name in figures}, **copied}


def _sources(picture: Mapping[str, Any], finished: "CaseFinished") -> Iterator[tuple[str, Path]]:
    case, name = finished.case, picture["name"]
    root = case.runbook.project.root
    yield "file", root / picture["path"]
    baseline = case.expected.screenshots.get(name, f"screenshots/baseline-{name}.png")
    yield "expected", case.pack / baseline
    if picture.get("diff_path"):
        yield "diff", root / picture["diff_path"]
