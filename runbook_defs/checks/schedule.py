"""The schedule: does it name a time that comes, and give the runbook what a caller would give?"""

from functools import cache
from typing import Any, get_args
from zoneinfo import available_timezones

from runbook_defs.checks.goals import input_fits
from runbook_defs.checks.references import Uses
from runbook_defs.checks.subject import Subject, as_meant, known_keys
from runbook_defs.cron import CronError, parse_cron
from runbook_defs.model import Input, Schedule, as_written
from runbook_defs.problems import Code, Severity, listed
from runbook_defs.source import Location
from runbook_defs.templates import compile_template

_TYPES = get_args(Input.model_fields["type"].annotation)


def check_schedule(subject: Subject, uses: Uses) -> None:
    """Notes times that never come, and inputs that a run would be refused for."""
    schedule = subject.data.get("schedule")
    if not isinstance(schedule, dict):
        return
    meant = as_meant(schedule, known_keys(Schedule))
    _cron(subject, as_written(meant.get("cron")))
    _timezone(subject, as_written(meant.get("timezone")))
    inputs = meant.get("inputs", {})
    if isinstance(inputs, dict):
        for name, value in inputs.items():
            _input(subject, uses, name, value)
        _missing(subject, inputs)


def _cron(subject: Subject, cron: Any) -> None:
    if not isinstance(cron, str) or not cron.strip():
        return
    try:
        parse_cron(cron)
    except CronError as error:
        message = f"'cron' cannot be followed: {error.message}"
        subject.add(Code.CRON, ("schedule", "cron"), message, hint=error.hint, offset=error.offset)


def _timezone(subject: Subject, timezone: Any) -> None:
    if not isinstance(timezone, str) or not timezone.strip() or timezone.strip() in _timezones():
        return
    message = f"there is no time zone {timezone!r}"
    near = subject.did_you_mean(timezone.strip(), _timezones())
    hint = near or "give a name such as Europe/Berlin, or leave it out for UTC"
    subject.add(Code.SCHEDULE, ("schedule", "timezone"), message, hint=hint)


@cache
def _timezones() -> frozenset[str]:
    # Not `ZoneInfo(name)`: it takes files that are no time zone of anybody's, such as posixrules.
    return frozenset(available_timezones())


def _input(subject: Subject, uses: Uses, name: str, value: Any) -> None:
    location: Location = ("schedule", "inputs", name)
    known = [*subject.inputs, *uses.implicit]
    if name not in known:
        hint = subject.did_you_mean(name, known) or f"inputs are: {listed(known) or 'none'}"
        if name in uses.secrets:
            hint = "it is a secret: it is looked up when the step runs, and never an input"
        message = f"the schedule gives {name!r}, which is not an input of this runbook"
        subject.add(Code.UNDEFINED_NAME, location, message, hint=hint, key=True)
        return
    declared = subject.inputs.get(name)
    spec = as_meant(declared, Input.model_fields) if isinstance(declared, dict) else {}
    expected = spec.get("type", "string")
    if not compile_template(value).is_literal:
        message = f"the schedule gives input {name!r} an expression, but evaluates nothing"
        hint = "give the value itself; the steps can use ${execution.started_at}"
        subject.add(Code.SCHEDULE, location, message, hint=hint)
    elif spec.get("sensitive") is True:
        message = f"input {name!r} is sensitive, but everyone who reads the schedule can read its value"
        subject.add(Code.SCHEDULE, location, message, hint=f"export {name} where scheduled runs are done")
    elif expected in _TYPES and not input_fits(expected, value):
        message = f"the schedule gives input {name!r} a value that is not of type {expected}"
        subject.add(Code.SCHEDULE, location, message, hint="change one of the two")


def _missing(subject: Subject, given: dict[str, Any]) -> None:
    """Notes declared inputs without a value. UPPER_CASE names are the environment's as a rule."""
    missing = [name for name, spec in subject.inputs.items() if name not in given and _is_required(spec)]
    if not missing:
        return
    names = listed(repr(name) for name in missing)
    message = f"scheduled runs start without {names}, unless their environment has a value"
    hint = "give them under `inputs:` of the schedule, or give them a default"
    subject.add(Code.SCHEDULE, ("schedule",), message, hint=hint, key=True, severity=Severity.WARNING)


def _is_required(spec: Any) -> bool:
    if not isinstance(spec, dict):
        return False
    meant = as_meant(spec, Input.model_fields)
    required = meant.get("required")
    return required if isinstance(required, bool) else "default" not in meant
