"""An acceptance pack: scenarios, each a fixture and what is expected of the run on it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runbook_defs.comparisons import ComparisonError, compile_comparison
from runbook_defs.execution import Status
from runbook_defs.problems import Code, Problem
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
        raise InvalidPack(path, tuple(problems))
    return pack


def _shape(document: Document, item: Any) -> Problem:
    location: Location = tuple(item["loc"])
    unknown = item["type"] == "extra_forbidden"
    message = f"unknown key {location[-1]!r}" if unknown else f"{'.'.join(map(str, location))}: {item['msg']}"
    code = Code.UNKNOWN_KEY if unknown else Code.WRONG_VALUE
    return _problem(document, code, location, message, key=unknown)


def _sense(document: Document, pack: Pack) -> list[Problem]:
    problems: list[Problem] = []
    names: set[str] = set()
    for index, scenario in enumerate(pack.scenarios):
        location: Location = ("scenarios", index)
        if scenario.name in names:
            message = f"two scenarios are called {scenario.name!r}"
            problems.append(_problem(document, Code.PACK, (*location, "name"), message))
        names.add(scenario.name)
        comparisons = [(("kpis", name), spec) for name, spec in scenario.expected.kpis.items()]
        if scenario.expected.errors is not None:
            comparisons.append((("errors", "count"), scenario.expected.errors.count))
        for place, spec in comparisons:
            try:
                compile_comparison(spec)
            except ComparisonError as error:
                where = (*location, "expected", *place)
                problems.append(_problem(document, Code.PACK, where, str(error)))
    return problems


def _problem(
    document: Document, code: Code, location: Location, message: str, *, key: bool = False
) -> Problem:
    place = document.place(location, key=key)
    return Problem(
        code=code, message=message, path=document.path, line=place.line, column=place.column
    )
