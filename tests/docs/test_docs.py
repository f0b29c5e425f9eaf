"""The documentation is held against the code, from both sides."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import text
from typer.main import get_command

from cli.main import app
from runbook_defs.comparisons import compile_comparison
from runbook_defs.cron import CronError, parse_cron
from runbook_defs.execution import Status, StepStatus
from runbook_defs.expressions import FUNCTIONS, ExpressionError, compile_expression
from runbook_defs.model import (
    Assumption,
    Compared,
    Input,
    Kpis,
    Numeric,
    OwnKpi,
    Retry,
    Runbook,
    Schedule,
    Step,
    Tolerance,
)
from runbook_defs.pack import Expected, ExpectedErrors, ExpectedPath, load_pack
from runbook_defs.problems import Code, Severity
from runbook_defs.source import parse_document
from runbook_defs.tolerances import Tolerances
from runbook_factory import database
from runbook_factory.catalog import check_file, load_runbook
from runbook_factory.execution_log import list_executions
from runbook_factory.project import Project
from step_ops.cassette import Entry, Expectation, Fixture, load_fixtures
from step_ops.drivers.find_browser import find_browser
from step_ops.errors import ErrorType
from step_ops.registry import step_types
from step_ops.step_type import Effect
from tests.docs.pages import ROOT, Block, Page, as_pattern, code, conversation, page, pages, rows

# The blocks of this page need a package of its own: test_own_step_types.py builds it.
APART = "docs/own-step-types.md"
BLOCKS = [block for item in pages() if item.name != APART for block in item.blocks]
CONSOLES = [block for block in BLOCKS if block.language == "console" and "run" in block.words]
PACKAGES = ("cli", "step_ops", "runbook_defs", "runbook_factory", "runbook_service")


def ids(block: Block) -> str:
    return str(block)


def known_keys(model: Any) -> set[str]:
    fields = model.model_fields.items()
    return {field.alias or name for name, field in fields if not name.startswith("__")}


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """The shipped runbooks, and every file that the pages show, with a database of its own."""
    # Not pytest's folder: each session that starts closes it to the user the database runs as.
    with (
        tempfile.TemporaryDirectory(prefix="docs-") as folder,
        pytest.MonkeyPatch.context() as environment,
    ):
        project = Project(Path(folder).resolve())
        _fill(project.root)
        environment.setenv(database.VARIABLE, _embedded("start", project))
        yield project
        database.engine(project).dispose()
        _embedded("stop", project)


def _embedded(verb: str, project: Project) -> str:
    """Starts or stops the server in a process of its own, which leaves no file behind."""
    code = f"from runbook_factory.embedded import {verb}; from pathlib import Path; import sys"
    command = [sys.executable, "-c", f"{code}; print({verb}(Path(sys.argv[1])))"]
    done = subprocess.run(
        [*command, str(project.state_folder())],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


def _fill(root: Path) -> None:
    for name in ("runbooks", "acceptance"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("connections.yaml", "dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, root)
    for block in BLOCKS:
        if block.file:
            path = root / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project as the current one of this test."""
    for name in ("DAGSTER_HOME", "RUNBOOK_PROJECT", "RUNBOOK_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(project.root)
    return project


# What is shown runs


@pytest.mark.parametrize("block", CONSOLES, ids=ids)
def test_a_console_block_prints_what_it_shows(block: Block, here: Project, rb: Callable[..., Any]) -> None:
    if "Screenshot" in block.body and find_browser() is None:
        pytest.skip("no browser")
    for command, lines in conversation(block.body):
        program, *arguments = shlex.split(command)
        assert program == "rb"
        answer = rb(*arguments)
        printed = answer.out + answer.err
        assert re.fullmatch(as_pattern(lines), printed), f"$ {command}\n{printed}"


def test_there_are_console_blocks_that_run() -> None:
    commands = {command.split()[1] for block in CONSOLES for command, _ in conversation(block.body)}
    assert {"validate", "test"} <= commands


def test_a_wildcard_line_stands_for_lines_and_no_more() -> None:
    pattern = as_pattern(["first", "...", "exec-... done"])
    assert re.fullmatch(pattern, "first\nx\ny\nexec-1 done\n")
    assert not re.fullmatch(pattern, "first\nx\n")
    assert not re.fullmatch(pattern, "zeroth\nexec-1 done\n")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml"], ids=ids)
def test_yaml_blocks_mean_what_they_say(block: Block, project: Project, tmp_path: Path) -> None:
    data = parse_document(block.body.encode(), path=tmp_path).data
    if block.body.startswith("id:"):
        path = project.runbook_file(data["id"])
        assert path.read_text(encoding="utf-8") == block.body, (
            "give the block file=runbooks/<id>/runbook.yaml"
        )
        problems = check_file(path).problems
        assert not problems, [f"{item.line}: {item.message}" for item in problems]
    elif "scenarios" in data:
        (tmp_path / "acceptance.yml").write_text(block.body, encoding="utf-8")
        assert load_pack(tmp_path).scenarios
    elif "run-config" in block.words:
        from dagster import validate_run_config

        from runbook_factory.jobs import build_job

        job = build_job(load_runbook(project, "rb-001-entity-enrichment"))
        assert validate_run_config(job, data)
    elif "retry" in data:
        Retry.model_validate(data["retry"])
    elif "schedule" in data:
        assert parse_cron(Schedule.model_validate(data["schedule"]).cron)
    elif "tolerances" in data:
        rules = TypeAdapter(list[Tolerance]).validate_python(data["tolerances"])
        assert Tolerances(rules).differences({"generated_at": 1}, {}, step="fetch", part="request")
    else:
        assert data.keys() == {"inputs"}
        TypeAdapter(dict[str, Input]).validate_python(data["inputs"])


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "json"], ids=ids)
def test_json_blocks_load(block: Block, tmp_path: Path) -> None:
    data = json.loads(block.body)
    if "runbook" in data and "format" in data:
        path = tmp_path / "fixture.json"
        path.write_text(block.body, encoding="utf-8")
        assert load_fixtures(path)


def test_the_graphql_that_starts_a_run_fits_dagsters_schema() -> None:
    from dagster_graphql.schema import create_schema
    from graphql import parse, validate

    (block,) = [b for b in BLOCKS if b.language == "graphql"]
    assert validate(create_schema().graphql_schema, parse(block.body)) == []


# Step types


@pytest.mark.parametrize("name", list(step_types()))
def test_a_step_type_has_a_section_with_all_its_inputs(name: str) -> None:
    step_type = step_types()[name]
    table = rows(page("step-types.md").section(name), "input")
    assert [code(row[0])[0] for row in table] == list(step_type.input_names)
    for row, field in zip(table, step_type.config.model_fields.values(), strict=True):
        assert (row[1] == "required") == field.is_required(), row[0]
        if not field.is_required() and type(field.default) in (str, int, float):
            assert row[1].strip("`") == str(field.default), row[0]


@pytest.mark.parametrize("name", list(step_types()))
def test_a_step_type_has_its_result_effect_and_summary_told(name: str) -> None:
    section = page("step-types.md").section(name)
    told = dict(re.findall(r"^- (Result|Effect|Default summary): (.+)$", section, re.MULTILINE))
    assert set(told) == {"Result", "Effect", "Default summary"}
    effect = step_types()[name].effect
    if isinstance(effect, Effect):
        assert told["Effect"].startswith(effect.value)
    else:
        assert {"read", "write"} <= set(re.findall(r"\w+", told["Effect"]))


def test_there_is_no_section_for_a_step_type_that_is_not_there() -> None:
    told = {name for name in page("step-types.md").headings if re.fullmatch(r"[a-z]+(_[a-z]+)*", name)}
    assert told == set(step_types())


# Commands


def commands() -> dict[str, Any]:
    """Every command that does something, by its words."""
    found: dict[str, Any] = {}

    def walk(name: str, command: Any) -> None:
        below = getattr(command, "commands", None)
        if below is None or name == "rb":
            found[name] = command
        for word, inner in (below or {}).items():
            walk(f"{name} {word}", inner)

    walk("rb", get_command(app))
    return found


@pytest.mark.parametrize("name", list(commands()))
def test_a_command_has_a_section_with_all_its_options(name: str) -> None:
    section = page("commands.md").section(name)
    told = {option for row in rows(section, "option") for option in code(row[0])}
    params = [item for item in commands()[name].params if item.param_type_name == "option"]
    there = {option for item in params for option in item.opts}
    assert told - {"-h", "--help"} == there - {"-h", "--help"}


def test_every_section_of_a_command_is_about_one_there_is() -> None:
    told = {name for name in page("commands.md").headings if name.split()[0] == "rb"}
    assert told == set(commands())


def variables_read(path: Path) -> Iterator[str]:
    """The names of environment variables that a source file reads by a name written out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Constant(value=str(name))):
                if target.endswith("VARIABLE"):
                    yield name
            case (
                ast.Call(
                    func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"),
                    args=[ast.Constant(value=str(name)), *_],
                )
                | ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=str(name)), *_])
                | ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name)))
            ):
                yield name


def test_every_environment_variable_is_told_of() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    read = {name for path in sources for name in variables_read(path)}
    assert {
        "RUNBOOK_DATABASE_URL",
        "RUNBOOK_PROJECT",
        "RUNBOOK_KEY",
        "RB_BROWSER",
        "NO_COLOR",
    } <= read
    table = rows(page("commands.md").section("Environment variables"), "variable")
    assert read == {name for row in table for name in code(row[0])}


# Expressions and comparisons


def scope() -> Any:
    (block,) = [b for b in page("expressions.md").blocks if "scope" in b.words]
    data = json.loads(block.body)
    return {**data, "inputs": {"day": data["day"], "limit": data["limit"]}}


def test_every_expression_gives_what_the_page_says() -> None:
    table = rows(page("expressions.md").prose, "expression")
    assert len(table) > 20
    for row in table:
        for expression, gives in zip(code(row[0]), code(row[1]), strict=True):
            assert compile_expression(expression).evaluate(scope()) == json.loads(gives), expression


def test_every_function_is_shown() -> None:
    section = page("expressions.md").section("Functions")
    called = {match for row in rows(section, "expression") for match in re.findall(r"^`(\w+)\(", row[0])}
    assert called == {*FUNCTIONS, "default"}


def test_what_the_page_calls_refused_is_refused() -> None:
    table = rows(page("expressions.md").section("What is refused"), "refused")
    assert table
    for row in table:
        with pytest.raises(ExpressionError):
            compile_expression(code(row[0])[0])


def test_comparisons_hold_for_what_the_page_says_and_not_for_the_rest() -> None:
    table = rows(page("fixtures.md").section("Comparisons"), "comparison")
    assert table
    for row in table:
        spec, good, bad = (json.loads(code(cell)[0]) for cell in row)
        comparison = compile_comparison(spec)
        assert comparison.holds(good), row
        assert not comparison.holds(bad), row


def test_tolerances_allow_what_the_page_says_and_nothing_else() -> None:
    table = rows(page("authoring.md").section("Tolerances"), "rule")
    assert table
    for rule, _, before, allowed, refused in table:
        stated = parse_document(f"path: $\n{code(rule)[0]}".encode(), path=ROOT).data
        tolerance = Tolerance.model_validate(stated)
        (was,) = map(json.loads, code(before))
        for cell, good in ((allowed, True), (refused, False)):
            for now in map(json.loads, code(cell)):
                found = Tolerances([tolerance]).differences(was, now, step="fetch", part="outputs")
                assert (not found) is good, rule


def test_every_part_that_is_compared_is_told_of() -> None:
    table = rows(page("authoring.md").section("Tolerances"), "part")
    assert [code(row[0])[0] for row in table] == list(Compared)


def test_times_of_a_schedule_are_what_the_page_says() -> None:
    table = rows(page("authoring.md").section("Schedule"), "cron")
    assert table
    for row in table:
        for good in code(row[0]):
            assert parse_cron(good)
        for bad in code(row[2]):
            with pytest.raises(CronError):
                parse_cron(bad)


# Formats


def test_every_error_type_is_told_of() -> None:
    table = rows(page("fixtures.md").section("Error types"), "type")
    assert [code(row[0])[0] for row in table] == sorted(ErrorType)


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Fixture", Fixture),
        ("Exchanges", Expectation),
        ("Acceptance pack", Expected),
        ("Acceptance pack", ExpectedErrors),
        ("Path", ExpectedPath),
    ],
)
def test_every_key_of_a_fixture_or_pack_is_told_of(heading: str, model: Any) -> None:
    assert known_keys(model) <= set(code(page("fixtures.md").section(heading)))


def test_every_key_of_an_exchange_is_told_of() -> None:
    of_records = {"request", "body_digest", "picture_digest"}
    assert known_keys(Entry) - of_records <= set(code(page("fixtures.md").section("Exchanges")))


NOT_BUILT = Page(ROOT / "README.md").section("Not built yet").splitlines()


def not_built(start: str) -> list[str]:
    """The names in the line of the readme's list that begins so."""
    (line,) = [line for line in NOT_BUILT if line.startswith(start)]
    return code(line)


@pytest.mark.parametrize(
    ("heading", "model", "missing"),
    [
        ("Top-level keys", Runbook, []),
        ("Step keys", Step, not_built("- step keys")),
    ],
)
def test_every_key_of_a_runbook_is_told_of_or_on_the_list(
    heading: str, model: Any, missing: list[str]
) -> None:
    built = {
        code(row[0])[0] for row in rows(page("authoring.md").section(heading).partition("\n###")[0], "key")
    }
    assert built | (set(missing) & known_keys(model)) == known_keys(model)
    assert not built & set(missing)


@pytest.mark.parametrize("model", [Input, Assumption, Kpis, OwnKpi, Schedule, Tolerance, Numeric])
def test_every_key_of_the_parts_of_a_runbook_is_told_of(model: Any) -> None:
    told = {word for snippet in code(page("authoring.md").prose) for word in re.findall(r"\w+", snippet)}
    assert known_keys(model) <= told


VALUES = {
    "for_each": [1],
    "max_parallel": 2,
    "retry": {"max_attempts": 2},
    "timeout_seconds": 5,
    "rollback": {"type": "api_call"},
    "on_failure: rollback": "rollback",
    "defaults": {},
    "overlap: queue": {"cron": "0 6 * * *", "overlap": "queue"},
    "probe": {"type": "data_fetch"},
}


@pytest.mark.parametrize("name", not_built("- step keys"))
def test_what_is_not_built_is_refused_with_its_code(name: str, tmp_path: Path) -> None:
    key, value = name.partition(":")[0], VALUES[name]
    data: dict[str, Any] = {
        "id": "x",
        "name": "x",
        "version": "1.0.0",
        "owner": "x",
        "legal_basis": "x",
        "steps": [{"id": "a", "type": "data_fetch", "inputs": {"source_url": "http://localhost"}}],
    }
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert not check_file(path).problems
    if key == "probe":
        data["assumptions"] = [{"id": "up", key: value}]
    elif key in known_keys(Step):
        data["steps"][0][key] = value
    else:
        data["schedule"] = value
    path.write_text(json.dumps(data), encoding="utf-8")
    assert Code.NOT_BUILT in {
        item.code for item in check_file(path).problems if item.severity is Severity.ERROR
    }


def test_commands_on_the_list_are_not_there() -> None:
    told = {name for line in NOT_BUILT if line.startswith("- `rb ") for name in code(line)}
    assert not told & set(commands())


# The record and Dagster


def test_every_table_and_column_of_the_record_is_told_of(here: Project) -> None:
    engine = database.engine(here)
    list_executions(engine)  # makes the tables
    with engine.connect() as connection:
        query = text(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'runbook'"
        )
        there = {(row[0], row[1]) for row in connection.execute(query)}
    record = page("record.md")
    tables = {table for table, _ in there}
    told = {
        (table, column)
        for table in tables
        for row in rows(record.section(table), "column")
        for column in code(row[0])
    }
    assert told == there
    assert {name for name in record.headings if name.islower()} == tables


def test_every_status_is_told_of() -> None:
    record = page("record.md")
    assert set(Status) <= set(code(record.section("runbook_executions")))
    assert set(StepStatus) <= set(code(record.section("runbook_step_logs")))


def test_metadata_and_tags_of_a_job_are_told_of(project: Project) -> None:
    from runbook_factory.jobs import build_job

    job = build_job(load_runbook(project, "rb-001-entity-enrichment"))
    told = {
        row[0]: set(code(row[1])) for row in rows(page("dagster.md").section("Metadata and tags"), "where")
    }
    assert told["job, metadata"] == set(job.metadata)
    assert told["job, tags"] == {key for key in job.tags if key.startswith("runbook/")}
    assert told["op, tags"] == {key for op in job.graph.node_defs for key in op.tags}
    assert all(f"rb_001_entity_enrichment__{node.name}" == node.definition.name for node in job.graph.nodes)


# Links


@pytest.mark.parametrize("item", pages(), ids=lambda item: item.name)
def test_every_link_leads_somewhere(item: Page) -> None:
    for link in item.links:
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = (item.path.parent / file).resolve() if file else item.path
        assert target.exists(), f"{item.name} links to {link}"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in Page(target).anchors, f"{item.name} links to {link}"


def test_the_index_links_to_every_page() -> None:
    index = page("index.md")
    linked = {(index.path.parent / link.partition("#")[0]).resolve() for link in index.links}
    there = {item.path for item in pages() if item.path.is_relative_to(index.path.parent)}
    assert there - {index.path} <= linked


def test_decision_records_are_short_and_numbered() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    for number, path in enumerate(records, 1):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert path.name.startswith(f"{number:04}-")
        assert lines[0].startswith(f"# {number}. ")
        assert len(lines) <= 25
        for part in ("**Context.**", "**Decision.**", "**Consequence.**"):
            assert any(line.startswith(part) for line in lines), f"{path.name} has no {part}"
