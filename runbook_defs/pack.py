"""An acceptance pack: scenarios, each a fixture and what is expected of the run on it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runbook_defs.checks.shape import wrong_value
from runbook_defs.comparisons import ComparisonError, compile_comparison
from runbook_defs.execution import Status
from runbook_defs.problems import Code, Problem, did_you_mean
from runbook_defs.source import Document, Location, load_document


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpectedErrors(_Part):
    """How many errors steps noted, and of which type."""

    count: Any = None
    type: str | None = None


class Expected(_Part):
    """What a scenario expects; what is not stated is not checked, but the status always is."""

    status: Status = Status.SUCCESS
    kpis: dict[str, Any] = {}
    errors: ExpectedErrors | None = None
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
    """The pack in `folder`, empty when it has no `acceptance.yml`; raises `InvalidPack`."""
    path = folder / "acceptance.yml"
    if not path.is_file():
        return Pack()
    document = load_document(path)
    problems = list(document.problems)
    pack: Pack | None = None
    if document.readable:
        try:
            pack = Pack.model_validate(document.data)
        except ValidationError as error:
            problems.extend(_shape(document, item) for item in error.errors(include_url=False))
    if pack is not None:
        problems.extend(_sense(document, pack))
    if problems or pack is None:
        problems.sort(key=lambda item: (item.line, item.column, item.code))
        raise InvalidPack(path, tuple(problems))
    return pack


def _shape(document: Document, item: Any) -> Problem:
    location: Location = tuple(item["loc"])
    match item["type"]:
        case "extra_forbidden":
            known = _known_keys(location[:-1])
            hint = did_you_mean(str(location[-1]), known) or f"known: {', '.join(known)}"
            message = f"unknown key {location[-1]!r}"
            return _problem(document, Code.UNKNOWN_KEY, location, message, hint=hint, key=True)
        case "missing":
            title = f"scenario number {int(location[1]) + 1}"
            message, hint = f"{title} has no {location[-1]!r}", f"add `{location[-1]}:`"
            return _problem(document, Code.MISSING_KEY, location[:-1], message, hint=hint)
        case _:
            message, hint = wrong_value(item, location)
            return _problem(document, Code.WRONG_VALUE, location, message, hint=hint)


def _known_keys(location: Location) -> list[str]:
    model: type[BaseModel]
    match location:
        case ("scenarios", _):
            model = Scenario
        case ("scenarios", _, "expected"):
            model = Expected
        case ("scenarios", _, "expected", "errors"):
            model = ExpectedErrors
        case _:
            model = Pack
    return list(model.model_fields)


def _sense(document: Document, pack: Pack) -> list[Problem]:
    problems: list[Problem] = []
    names: set[str] = set()
    for index, scenario in enumerate(pack.scenarios):
        location: Location = ("scenarios", index)
        if scenario.name in names:
            message = f"two scenarios are called {scenario.name!r}"
            where = (*location, "name")
            problems.append(
                _problem(document, Code.PACK, where, message, hint="give one of them another name")
            )
        names.add(scenario.name)
        comparisons = [(("kpis", name), spec) for name, spec in scenario.expected.kpis.items()]
        if scenario.expected.errors is not None:
            comparisons.append((("errors", "count"), scenario.expected.errors.count))
        for place, spec in comparisons:
            try:
                compile_comparison(spec)
            except ComparisonError as error:
                where = (*location, "expected", *place)
                hint = "for example 195, `<= 300`, `~= 0.97 +- 0.01` or `matches ^a`"
                problems.append(_problem(document, Code.PACK, where, str(error), hint=hint))
    return problems


def _problem(
    document: Document,
    code: Code,
    location: Location,
    message: str,
    *,
    hint: str,
    key: bool = False,
) -> Problem:
    place = document.place(location, key=key)
    return Problem(
        code=code,
        message=message,
        path=document.path,
        line=place.line,
        column=place.column,
        hint=hint,
    )
