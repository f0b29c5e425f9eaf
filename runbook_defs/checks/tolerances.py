"""Tolerances: does each name steps and places that can be there, and say one thing about them?"""

from typing import Any

from runbook_defs.checks.subject import Subject, as_meant, known_keys
from runbook_defs.execution import PROBE
from runbook_defs.model import Numeric, Tolerance, as_written
from runbook_defs.outputs import OutputError, check_path
from runbook_defs.problems import Code, Severity, listed
from runbook_defs.source import Location

_RULES = ("ignore", "any", "numeric", "unordered")
_EVERYTHING = {"$", "$.*", "$[*]", "$..*", "$..[*]"}


def check_tolerances(subject: Subject) -> None:
    """Notes tolerances that cannot be followed, or that leave nothing to compare."""
    items = subject.data.get("tolerances")
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            meant = as_meant(item, known_keys(Tolerance))
            location: Location = ("tolerances", index)
            _step(subject, location, meant.get("step"))
            _path(subject, location, meant)
            _rule(subject, location, meant)


def _step(subject: Subject, location: Location, step: Any) -> None:
    if not isinstance(step, str) or not step.strip() or not subject.has_all_steps:
        return
    places = (probe.location for probe in subject.probes)
    asked = [f"{PROBE}{subject.document.get((*place[:-1], 'id'))}" for place in places]
    known = [*subject.edges, *asked]
    if step.strip() not in known:
        message = f"a tolerance is about step {step!r}, which does not exist"
        hint = subject.did_you_mean(step, known) or f"steps are: {listed(known)}"
        subject.add(Code.UNKNOWN_STEP, (*location, "step"), message, hint=hint)


def _path(subject: Subject, location: Location, tolerance: dict[str, Any]) -> None:
    path = as_written(tolerance.get("path"))
    if not isinstance(path, str) or not path.strip():
        return
    path = path.strip()
    if path in _EVERYTHING and tolerance.get("ignore") is True:
        message = f"{path!r} is everything: where this tolerance holds, nothing is compared"
        hint = "name the places that may differ, such as $..generated_at"
        subject.add(Code.TOLERANCE, (*location, "path"), message, hint=hint, severity=Severity.WARNING)
    try:
        if not path.startswith("$"):
            raise OutputError(
                f"{path!r} is not a JSONPath: it does not start with $", hint=f"for example $..{path}"
            )
        check_path(path)
    except OutputError as error:
        subject.add(Code.JSONPATH, (*location, "path"), error.message, hint=error.hint)


def _rule(subject: Subject, location: Location, tolerance: dict[str, Any]) -> None:
    stated = [rule for rule in _RULES if tolerance.get(rule) is not None]
    if not stated and not {"ignore", "unordered"} & tolerance.keys():
        message = f"{_title(location, tolerance)} does not say how the values may differ"
        hint = "add one of: ignore: true, any: uuid, numeric: {abs: 0.01}, unordered: true"
        subject.add(Code.TOLERANCE, location, message, hint=hint)
    elif len(stated) > 1:
        message = f"{_title(location, tolerance)} has {' and '.join(stated)}, but can have one of them only"
        subject.add(Code.TOLERANCE, location, message, hint="keep one, or make it two tolerances")
    for rule in ("ignore", "unordered"):
        if tolerance.get(rule) is False:
            message = f"'{rule}: false' tolerates nothing"
            hint = "write true, or remove the tolerance: what no tolerance names is compared"
            subject.add(Code.TOLERANCE, (*location, rule), message, hint=hint)
    numeric = tolerance.get("numeric")
    if isinstance(numeric, dict):
        limits = as_meant(numeric, known_keys(Numeric))
        if all(limits.get(key) is None for key in known_keys(Numeric)):
            message = "'numeric' does not say how far apart the numbers may be"
            subject.add(
                Code.TOLERANCE,
                (*location, "numeric"),
                message,
                hint="add `abs:` or `rel:`, or both",
                key=True,
            )


def _title(location: Location, tolerance: dict[str, Any]) -> str:
    path = as_written(tolerance.get("path"))
    return (
        f"the tolerance of {path!r}" if isinstance(path, str) else f"tolerance number {int(location[-1]) + 1}"
    )
