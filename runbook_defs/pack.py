"""An acceptance pack: scenarios, each a fixture and what is expected of the run on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from runbook_defs.checks.shape import wrong_value
from runbook_defs.comparisons import ComparisonError, compile_comparison, is_number
from runbook_defs.error_types import ERROR_TYPES
from runbook_defs.problems import Code, Problem, did_you_mean
from runbook_defs.source import Document, Location, load_document

FILE_NAME = "acceptance.yml"
EXPECTED_FOLDER = "expected/"


def _stated(value: Any) -> Any:
    # An empty key reads as if something were expected, and would check nothing.
    if value is None:
        raise PydanticCustomError("nothing", "should say what is expected")
    return value


_Stated = BeforeValidator(_stated)
_Names = Annotated[list[str] | None, _Stated]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpectedErrors(_Part):
    """How many errors steps noted, and of which type."""

    count: Annotated[Any, _Stated] = None
    type: Annotated[str | None, _Stated] = None


class ExpectedPath(_Part):
    """The way taken through the graph; a list that is not given is not checked.

    `ran` has the steps that began, to the end or to a failure, in the order they began on the virtual
    clock; `retried` has the number of attempts of each step that needed more than one.
    """

    ran: _Names = None
    failed: _Names = None
    skipped: _Names = None
    not_run: _Names = None
    retried: Annotated[dict[str, Any] | None, _Stated] = None


class Expected(_Part):
    """What a scenario expects; what is not stated is not checked, but the status always is."""

    status: Literal["success", "failure", "aborted"] = "success"
    kpis: dict[str, Any] = {}
    errors: Annotated[ExpectedErrors | None, _Stated] = None
    outputs: dict[str, Any] = {}
    path: Annotated[ExpectedPath | None, _Stated] = None
    screenshots: dict[str, str] = {}


class Scenario(_Part):
    """One test: a name, a fixture relative to the pack, and expectations."""

    name: Annotated[str, Field(min_length=1)]
    fixture: str
    expected: Expected = Expected()


class Pack(_Part):
    """All scenarios of a runbook."""

    scenarios: list[Scenario] = []


class InvalidPack(Exception):
    """An acceptance pack that cannot be used; `problems` say why."""

    def __init__(self, path: Path, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{path} has {len(problems)} problem(s)")
        self.path, self.problems = path, problems


def load_pack(folder: Path) -> Pack:
    """The pack in `folder`, empty when it has no `acceptance.yml`; raises `InvalidPack`.

    Looks at this one file only, not at those that it names.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return Pack()
    pack, problems = parse_pack(load_document(path))
    if problems or pack is None:
        raise InvalidPack(path, tuple(in_order(problems)))
    return pack


def parse_pack(document: Document) -> tuple[Pack | None, list[Problem]]:
    """The pack that `document` holds, if it has the shape of one, and what is wrong with it."""
    problems = list(document.problems)
    if not document.readable:
        return None, problems
    try:
        pack = Pack.model_validate(document.data)
    except ValidationError as error:
        return None, problems + [_shape(document, item) for item in error.errors(include_url=False)]
    return pack, [*problems, *_names(document, pack), *_comparisons(document, pack)]


def is_file(spec: Any) -> bool:
    """Whether an expected output is the name of a file under `expected/` that holds it."""
    return isinstance(spec, str) and spec.startswith(EXPECTED_FOLDER)


def output_specs(scenario: Scenario) -> Iterator[tuple[Location, Any]]:
    """What is expected of outputs, a file or a value, with its place under `outputs`."""
    for step, spec in scenario.expected.outputs.items():
        if isinstance(spec, dict):
            yield from (((step, name), value) for name, value in spec.items())
        else:
            yield (step,), spec


def in_order(problems: list[Problem]) -> list[Problem]:
    """The problems, each once, in the order of the file."""
    return sorted(set(problems), key=lambda item: (item.line, item.column, item.code))


def problem_at(
    document: Document,
    code: Code,
    location: Location,
    message: str,
    *,
    hint: str = "",
    key: bool = False,
) -> Problem:
    """A problem at a place in the pack."""
    place = document.place(location, key=key)
    return Problem(
        code=code,
        message=message,
        path=document.path,
        line=place.line,
        column=place.column,
        hint=hint,
    )


def _shape(document: Document, item: Any) -> Problem:
    location: Location = tuple(item["loc"])
    match item["type"]:
        case "extra_forbidden":
            known = _known_keys(location[:-1])
            hint = did_you_mean(str(location[-1]), known) or f"known: {', '.join(known)}"
            message = f"unknown key {location[-1]!r}"
            return problem_at(document, Code.UNKNOWN_KEY, location, message, hint=hint, key=True)
        case "missing":
            title = f"scenario number {int(location[1]) + 1}"
            message, hint = f"{title} has no {location[-1]!r}", f"add `{location[-1]}:`"
            return problem_at(document, Code.MISSING_KEY, location[:-1], message, hint=hint)
        case _:
            message, hint = wrong_value(item, location)
            return problem_at(document, Code.WRONG_VALUE, location, message, hint=hint)


def _known_keys(location: Location) -> list[str]:
    model: type[BaseModel]
    match location:
        case ("scenarios", _):
            model = Scenario
        case ("scenarios", _, "expected"):
            model = Expected
        case ("scenarios", _, "expected", "errors"):
            model = ExpectedErrors
        case ("scenarios", _, "expected", "path"):
            model = ExpectedPath
        case _:
            model = Pack
    return list(model.model_fields)


def _names(document: Document, pack: Pack) -> Iterator[Problem]:
    names: set[str] = set()
    for index, scenario in enumerate(pack.scenarios):
        if scenario.name in names:
            where = ("scenarios", index, "name")
            message = f"two scenarios are called {scenario.name!r}"
            yield problem_at(document, Code.PACK, where, message, hint="give one of them another name")
        names.add(scenario.name)
        errors = scenario.expected.errors
        if errors is not None and errors.type is not None and errors.type not in ERROR_TYPES:
            at: Location = ("scenarios", index, "expected", "errors", "type")
            hint = did_you_mean(errors.type, ERROR_TYPES) or f"there are: {', '.join(sorted(ERROR_TYPES))}"
            yield problem_at(
                document, Code.WRONG_VALUE, at, f"there is no error type {errors.type!r}", hint=hint
            )


def _comparisons(document: Document, pack: Pack) -> Iterator[Problem]:
    for index, scenario in enumerate(pack.scenarios):
        for place, spec in _specs(scenario):
            message, hint = _senseless(place, spec)
            if message:
                at: Location = ("scenarios", index, "expected", *place)
                yield problem_at(document, Code.PACK, at, message, hint=hint)


def _specs(scenario: Scenario) -> Iterator[tuple[Location, Any]]:
    """Every comparison of a scenario with its place under `expected`."""
    expected = scenario.expected
    yield from ((("kpis", name), spec) for name, spec in expected.kpis.items())
    if expected.errors is not None and expected.errors.count is not None:
        yield ("errors", "count"), expected.errors.count
    if expected.path is not None:
        yield from ((("path", "retried", step), spec) for step, spec in (expected.path.retried or {}).items())
    yield from ((("outputs", *place), spec) for place, spec in output_specs(scenario))


def _senseless(place: Location, spec: Any) -> tuple[str, str]:
    """Why a comparison makes no sense, and what to do; empty when it does."""
    if place[0] == "outputs" and is_file(spec):
        if spec.endswith(".json"):
            return "", ""
        return f"{spec!r} is no JSON file", f"name it such as {EXPECTED_FOLDER}{place[1]}.json"
    if place[0] == "outputs" and len(place) == 2:
        message = f"the outputs of step {place[1]!r} should be a mapping or a file, not {spec!r}"
        return message, f"for example {{name: 5}} or {EXPECTED_FOLDER}{place[1]}.json"
    try:
        comparison = compile_comparison(spec)
    except ComparisonError as error:
        return str(error), "for example 195, `<= 300`, `~= 0.97 +- 0.01` or `matches ^a`"
    counted = place[0] in {"errors", "path"} or place == ("kpis", "duration_seconds")
    if counted and not comparison.of_number:
        return f"{place[-1]!r} is a number, which can never be {spec!r}", "for example 2 or `> 0`"
    if place[0] in {"errors", "path"} and is_number(spec) and (spec < 0 or spec % 1):
        return f"{place[-1]!r} is a count, which can never be {spec!r}", "for example 2 or `> 0`"
    return "", ""
