"""What `rb validate` says of a schedule, beyond the corpus."""

import json
from pathlib import Path
from typing import Any

import pytest

from runbook_defs.check import check_document
from runbook_defs.source import parse_document
from step_ops.registry import step_types


def told(schedule: dict[str, Any], inputs: dict[str, Any]) -> list[str]:
    """Codes and messages about a runbook that uses all of its inputs, and one of the environment's."""
    params = {name: f"${{{name}}}" for name in inputs}
    data = {
        "id": "night",
        "name": "Night",
        "version": "1.0.0",
        "owner": "night-team",
        "legal_basis": "Policy 4.2",
        "inputs": inputs,
        "schedule": {"cron": "@daily", **schedule},
        "steps": [
            {"id": "a", "type": "data_fetch", "inputs": {"source_url": "${SOURCE_URL}", "params": params}}
        ],
    }
    document = parse_document(json.dumps(data).encode(), path=Path("night.yaml"))
    problems = check_document(document, step_types=step_types()).problems
    return [f"{item.code} {item.message}" for item in problems]


@pytest.mark.parametrize(
    ("spec", "warned"),
    [
        ({"type": "string"}, True),
        ({"type": "string", "default": "x"}, False),
        ({"type": "string", "default": None}, False),
        ({"type": "string", "required": False}, False),
    ],
)
def test_an_input_that_nothing_gives_is_warned_of(spec: dict[str, Any], warned: bool) -> None:
    message = "RB505 scheduled runs start without 'day', unless their environment has a value"
    assert told({}, {"day": spec}) == ([message] if warned else [])
    assert told({"inputs": {"day": "today"}}, {"day": spec}) == []


def test_several_inputs_that_nothing_gives_are_one_warning() -> None:
    (message,) = told({}, {"day": {}, "night": {}})
    assert "without 'day', 'night'," in message


def test_a_name_of_the_environments_may_be_given_or_not() -> None:
    assert told({}, {}) == []
    assert told({"inputs": {"SOURCE_URL": "http://localhost"}}, {}) == []


def test_a_sensitive_input_is_not_written_into_a_file() -> None:
    spec = {"pin": {"type": "string", "sensitive": True}}
    message = "RB505 input 'pin' is sensitive, but everyone who reads the schedule can read its value"
    assert message in told({"inputs": {"pin": "1234"}}, spec)
    assert not [line for line in told({}, spec) if "can read its value" in line]


@pytest.mark.parametrize("value", [None, True, 1.5, "1", [1], {"a": 1}])
def test_a_value_of_another_type_is_refused(value: Any) -> None:
    spec = {"limit": {"type": "integer"}}
    message = "RB505 the schedule gives input 'limit' a value that is not of type integer"
    assert told({"inputs": {"limit": value}}, spec) == [message]


@pytest.mark.parametrize("value", ["${now}", ["a", "${", {"b": "${c}"}]])
def test_an_expression_is_refused_wherever_it_stands(value: Any) -> None:
    spec = {"days": {"type": "string" if isinstance(value, str) else "list"}}
    assert told({"inputs": {"days": value}}, spec) == [
        "RB505 the schedule gives input 'days' an expression, but evaluates nothing"
    ]


@pytest.mark.parametrize("cron", [5, 1.5])
def test_a_number_is_no_cron(cron: float) -> None:
    (message,) = told({"cron": cron}, {})
    assert message.startswith("RB403 'cron' cannot be followed: it has 1 field instead of five")


@pytest.mark.parametrize("name", ["utc", "Europe", "../etc/passwd", "GMT+1h", "x" * 5000, 7])
def test_a_time_zone_is_one_that_there_is(name: str | int) -> None:
    (message,) = told({"timezone": name}, {})
    assert message.startswith("RB505 there is no time zone")


@pytest.mark.parametrize("name", ["UTC", " Europe/Berlin ", "Etc/GMT-1"])
def test_a_time_zone_is_named_as_everywhere(name: str) -> None:
    assert told({"timezone": name}, {}) == []
