"""`sql_query`: one SQL statement on a named database, read-only unless the step says that it writes."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, Strict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import SqlRequest
from step_ops.sql_text import check_parameters, parse_statement
from step_ops.step_type import Effect, FileName, Result, StepConfig, StepType, Text

if TYPE_CHECKING:
    from step_ops.gate import Gate

MAX_QUERY = 100_000  # characters
MAX_ROWS = 1_000_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _as_it_stands(query: str, info: ValidationInfo) -> str:
    """Refuses `${...}` in the file: filled in, a value would be read as SQL."""
    if info.context and "${" in query:
        message = "a query takes no ${...}: write :name in it, and the value under `params` as `name:`"
        raise PydanticCustomError("fixed_text", message)
    return query


class Config(StepConfig):
    """Inputs of `sql_query`."""

    connection: Text
    query: Annotated[FileName, AfterValidator(_as_it_stands)]
    params: dict[str, Any] = {}
    max_rows: Annotated[int, Strict(), Field(ge=1, le=MAX_ROWS)] = 10_000
    timeout_seconds: Annotated[float, Strict(), Field(gt=0, le=86_400)] = 30

    @field_validator("params")
    @classmethod
    def _names(cls, params: dict[str, Any]) -> dict[str, Any]:
        for name in params:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be named in a query: use letters, digits and underscores")
        return params

    @model_validator(mode="after")
    def _fits_its_parameters(self) -> "Config":
        if not _is_file(self.query):
            try:
                check_parameters(parse_statement(self.query), self.params)
            except StepError as error:
                raise ValueError(f"{error.message}: {error.hint}" if error.hint else error.message) from None
        return self


class Written(Result):
    """The result of a step that writes, for its summary."""


def run(config: Config, gate: "Gate") -> Result:
    """The rows, and how many they are; of a write without rows, how many it wrote."""
    query = _text(config.query, gate)
    check_parameters(parse_statement(query), config.params)
    request = SqlRequest(
        connection=config.connection,
        query=query,
        params=config.params,
        max_rows=config.max_rows,
        timeout=config.timeout_seconds,
    )
    answer = gate.sql(request)
    kind = Written if gate.effect is Effect.WRITE else Result
    return kind(value={"rows": [dict(row) for row in answer.rows], "count": answer.count})


def _text(query: str, gate: "Gate") -> str:
    if not _is_file(query):
        return query
    try:
        text = gate.file(query).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StepError(ErrorType.FILE, f"{query} is not UTF-8 at byte {error.start}") from None
    if len(text) > MAX_QUERY:
        message = f"{query} is longer than {MAX_QUERY:,} characters"
        raise StepError(ErrorType.FILE, message, hint="give large values as params")
    return text


def _is_file(query: str) -> bool:
    return query.endswith(".sql")


def summary(result: Result, outputs: Mapping[str, Any]) -> str:
    """Such as `12 rows`, or `3 rows written`."""
    count = result.value["count"]
    rows = f"{count} row" if count == 1 else f"{count} rows"
    return f"{rows} written" if isinstance(result, Written) else rows


STEP = StepType(name="sql_query", config=Config, run=run, effect=Effect.READ, summary=summary)
