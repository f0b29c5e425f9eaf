"""The files that an acceptance pack names: inside it, there, and readable."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runbook_defs.checks.steps import resolve_inside
from runbook_defs.pack import EXPECTED_FOLDER, Scenario, is_file, output_specs, problem_at
from runbook_defs.problems import Code, Problem, did_you_mean, listed
from runbook_defs.source import Document, Location

MAX_BYTES = 20 * 1024 * 1024
# Scenarios with their places in the pack, from 0.
Numbered = Sequence[tuple[int, Scenario]]

_PNG = b"\x89PNG\r\n\x1a\n"


class ExpectedFileError(Exception):
    """A file under `expected/` that cannot be read as JSON."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def read_expected(path: Path) -> Any:
    """The JSON value in the file at `path`; raises `ExpectedFileError`, or `FileNotFoundError`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ExpectedFileError(f"cannot read {path.name}: {reason}") from None
    if len(raw) > MAX_BYTES:
        raise ExpectedFileError(f"{path.name} is larger than {MAX_BYTES // 1024**2} MiB")
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ExpectedFileError(f"{path.name} is not JSON at {where}: {error.msg.lower()}") from None
    except UnicodeDecodeError as error:
        raise ExpectedFileError(f"{path.name} is not UTF-8 at byte {error.start}") from None
    except (RecursionError, ValueError) as error:
        raise ExpectedFileError(f"{path.name} cannot be read: {error}") from None


def check_files(document: Document, scenarios: Numbered) -> Iterator[Problem]:
    """What is wrong with fixtures, expected files and pictures, but for what is in a fixture."""
    folder = document.path.parent
    for index, scenario in scenarios:
        for place, name in _named(scenario):
            path = resolve_inside(
                folder / EXPECTED_FOLDER if "outputs" in place else folder, _inner(place, name)
            )
            code, message, hint = _fault(place, name, path)
            if code is not None:
                yield problem_at(document, code, ("scenarios", index, *place), message, hint=hint)


def check_steps(
    document: Document, scenarios: Numbered, outputs: Mapping[str, Collection[str]]
) -> Iterator[Problem]:
    """Steps and outputs that the runbook does not have; `outputs` has its steps with theirs."""
    for index, scenario in scenarios:
        for place, name in _steps_named(scenario):
            if name not in outputs:
                where: Location = ("scenarios", index, "expected", *place)
                hint = did_you_mean(name, outputs) or f"there are: {listed(outputs)}"
                message = f"the runbook has no step {name!r}"
                yield problem_at(document, Code.UNKNOWN_STEP, where, message, hint=hint, key=True)
        for (step, *rest), _ in output_specs(scenario):
            if rest and str(step) in outputs and rest[0] not in outputs[str(step)]:
                where = ("scenarios", index, "expected", "outputs", step, *rest)
                known = outputs[str(step)]
                hint = did_you_mean(str(rest[0]), known) or f"it has: {listed(known) or 'none'}"
                message = f"step {step!r} has no output {rest[0]!r}"
                yield problem_at(document, Code.UNDECLARED_OUTPUT, where, message, hint=hint, key=True)


def _named(scenario: Scenario) -> Iterator[tuple[Location, str]]:
    """Every file name in a scenario, with its place."""
    yield ("fixture",), scenario.fixture
    for place, spec in output_specs(scenario):
        if is_file(spec) and spec.endswith(".json"):
            yield ("expected", "outputs", *place), spec
    for name, file in scenario.expected.screenshots.items():
        yield ("expected", "screenshots", name), file


def _steps_named(scenario: Scenario) -> Iterator[tuple[Location, str]]:
    yield from ((("outputs", step), step) for step in scenario.expected.outputs)
    if scenario.expected.path is not None:
        for kind, names in scenario.expected.path:
            for index, name in enumerate(names or ()):
                yield ("path", kind, name if isinstance(names, dict) else index), name


def _inner(place: Location, name: str) -> str:
    # An expected file is written to, so it lies in a folder where nothing else does.
    return name.removeprefix(EXPECTED_FOLDER) if "outputs" in place else name


def _fault(place: Location, name: str, path: Path | None) -> tuple[Code | None, str, str]:
    if path is None:
        folder = EXPECTED_FOLDER if "outputs" in place else "the pack's folder"
        return Code.FILE_OUTSIDE, f"{name!r} leads out of {folder}", "copy the file there"
    if not path.exists():
        if place[0] == "fixture":
            return Code.MISSING_FILE, f"there is no fixture {name!r}", _near(path, name)
        return Code.NOT_MADE, f"there is no file {name!r} yet", "`rb test ID --update` makes it"
    if not path.is_file():
        return Code.BROKEN_FILE, f"{name!r} is no file", ""
    if "outputs" in place:
        return _expected_fault(place, name, path)
    if "screenshots" in place and _start(path) != _PNG:
        return Code.BROKEN_FILE, f"{name!r} is not a PNG picture", "take it with `rb test ID --update`"
    return None, "", ""


def _expected_fault(place: Location, name: str, path: Path) -> tuple[Code | None, str, str]:
    try:
        value = read_expected(path)
    except ExpectedFileError as error:
        return Code.BROKEN_FILE, error.message, "mend it, or delete it and run `rb test ID --update`"
    except FileNotFoundError:
        return Code.NOT_MADE, f"there is no file {name!r} yet", "`rb test ID --update` makes it"
    if place[-2] == "outputs" and not isinstance(value, dict):
        message = f"{name!r} stands for all outputs of step {place[-1]!r}, so it should hold a mapping"
        return Code.BROKEN_FILE, message, "name the file under the one output that it holds"
    return None, "", ""


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_PNG))
    except OSError:
        return b""


def _near(path: Path, name: str) -> str:
    try:
        files = [item.name for item in path.parent.iterdir() if item.is_file()]
    except OSError:
        return ""
    near = did_you_mean(Path(name).name, files)
    return near or (f"there are: {listed(sorted(files))}" if files else "")
