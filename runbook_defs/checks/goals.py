"""Inputs, assumptions and KPIs: do they make sense?"""

from typing import Any, TypeGuard

from runbook_defs.checks.references import RESERVED
from runbook_defs.checks.subject import Subject, as_meant
from runbook_defs.model import Assumption, OwnKpi
from runbook_defs.problems import Code, Severity
from runbook_defs.source import Location

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}


def check_goals(subject: Subject) -> None:
    """Notes inputs, assumptions and KPIs that cannot mean what they say."""
    _inputs(subject)
    _assumptions(subject)
    kpis = subject.data.get("kpis")
    for name, value in (kpis if isinstance(kpis, dict) else {}).items():
        if name in {"min_success_rate", "max_error_rate"}:
            _rate(subject, name, value)
        elif name == "max_duration_seconds":
            if _is_number(value) and value <= 0:
                message = f"{name} is {value}: no execution can meet it"
                subject.add(Code.KPI, ("kpis", name), message, hint="give a number above 0")
        elif isinstance(value, dict):
            _own(subject, name, value)


def _rate(subject: Subject, name: str, value: Any) -> None:
    if _is_number(value) and not 0 <= value <= 1:
        percent = 1 < value <= 100
        hint = f"did you mean {value / 100:g}?" if percent else "give a share, such as 0.95"
        message = f"{name} is {value}, but a rate lies between 0 and 1"
        subject.add(Code.KPI, ("kpis", name), message, hint=hint)


def _own(subject: Subject, name: str, kpi: dict[str, Any]) -> None:
    location: Location = ("kpis", name)
    kpi = as_meant(kpi, OwnKpi.model_fields)
    low, high = kpi.get("min"), kpi.get("max")
    if low is None and high is None and kpi.get("equals") is None:
        message = f"KPI {name!r} has no limit, so it cannot be missed"
        subject.add(Code.KPI, location, message, hint="add min, max or equals", key=True)
    if _is_number(low) and _is_number(high) and low > high:
        message = f"KPI {name!r} has min {low} above max {high}: nothing can meet it"
        subject.add(Code.KPI, (*location, "min"), message, hint="swap them")


def _assumptions(subject: Subject) -> None:
    items = subject.data.get("assumptions")
    seen: dict[str, int] = {}
    for index, item in enumerate(items if isinstance(items, list) else []):
        location: Location = ("assumptions", index)
        if not isinstance(item, dict):
            continue
        name = item["id"] if "id" in item else next(iter(item), None)
        if not isinstance(name, str):
            continue
        if name in seen:
            message = f"assumption {name!r} is already stated as number {seen[name] + 1}"
            subject.add(Code.ASSUMPTION, location, message, hint="remove one of the two")
        seen.setdefault(name, index)
        if "id" not in item and len(item) == 1 and item[name] is False:
            message = f"assumption {name!r} is stated as false, so no run could ever start"
            subject.add(Code.ASSUMPTION, (*location, name), message, hint="state what must be true")
        meant = as_meant(item, Assumption.model_fields)
        kinds = [key for key in ("attested", "check", "probe") if meant.get(key) is not None]
        if "id" in item and len(kinds) > 1:
            message = f"assumption {name!r} has {' and '.join(kinds)}, but can be of one kind only"
            subject.add(Code.ASSUMPTION, location, message, hint="keep one, or make it two assumptions")
        if "id" in item and not {"check", "probe", "attested"} & meant.keys():
            message = f"assumption {name!r} says neither how it is checked nor that it is attested"
            hint = 'add check: "${...}", or write it as `- ' + name + ": true`"
            subject.add(Code.ASSUMPTION, location, message, hint=hint)


def _inputs(subject: Subject) -> None:
    for name, spec in subject.inputs.items():
        location: Location = ("inputs", name)
        if name in RESERVED:
            message = f"input {name!r} has a name that expressions keep for themselves"
            subject.add(Code.INPUT, location, message, hint="give it another name", key=True)
        if not isinstance(spec, dict) or spec.get("default") is None:
            continue
        expected = spec.get("type", "string")
        allowed = _TYPES.get(expected) if isinstance(expected, str) else None
        if allowed and not input_fits(expected, spec["default"]):
            message = f"the default of input {name!r} is not of type {expected}"
            subject.add(Code.INPUT, (*location, "default"), message, hint="change one of the two")
        if spec.get("sensitive") is True:
            message = f"input {name!r} is sensitive, but everyone who reads this file can read its default"
            hint = f"remove the default; export {name}, or give it with the run"
            subject.add(Code.INPUT, (*location, "default"), message, hint=hint)
        if spec.get("required") is True:
            message = f"input {name!r} is required, so its default is never used"
            subject.add(
                Code.INPUT, (*location, "default"), message, hint="remove one of the two",
                severity=Severity.WARNING,
            )  # fmt: skip


def input_fits(expected: str, value: Any) -> bool:
    """Whether `value` is of the input type `expected`; a number written for a text field fits."""
    if expected == "string" and hasattr(value, "text"):
        return True
    if isinstance(value, bool):
        return expected == "boolean"
    return isinstance(value, _TYPES[expected])


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
