"""`schema_check`: holds each record against a JSON Schema and parts the valid from the rest."""

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from step_ops.errors import ErrorType, StepError
from step_ops.step_type import Effect, FileName, Records, Result, StepConfig, StepType

if TYPE_CHECKING:
    from step_ops.gate import Gate

MAX_ERRORS_PER_RECORD = 10


class Config(StepConfig):
    """Inputs of `schema_check`."""

    entities: list[Any]
    schema_: Annotated[FileName, Field(alias="schema")]
    max_invalid_ratio: Annotated[float, Field(ge=0, le=1)] | None = None


def run(config: Config, gate: "Gate") -> Result:
    """The valid records, and each error with the record's index, the path in it, and a sentence."""
    validator = _validator(gate.file(config.schema_), config.schema_)
    valid: list[Any] = []
    errors: list[dict[str, Any]] = []
    for index, record in enumerate(config.entities):
        found = _errors(validator, record, index, gate)
        errors.extend(found)
        if not found:
            valid.append(record)
    checked = len(config.entities)
    failed = checked - len(valid)
    limit = config.max_invalid_ratio
    if limit is not None and checked and failed / checked > limit:
        raise StepError(
            ErrorType.SCHEMA_VALIDATION,
            f"{failed} of {checked} records are invalid, more than the share of {limit} allowed",
            details={"errors": errors[:20]},
        )
    return Result(
        value={"valid": valid, "errors": errors},
        records=Records(checked=checked, passed=len(valid), failed=failed),
        errors=tuple(errors),
    )


def _errors(validator: Any, record: Any, index: int, gate: "Gate") -> list[dict[str, Any]]:
    from referencing.exceptions import Unresolvable

    found = islice(validator.iter_errors(record), MAX_ERRORS_PER_RECORD)
    try:
        return [
            {
                "type": ErrorType.SCHEMA_VALIDATION.value,
                "record": index,
                "path": error.json_path,
                "message": gate.masked(error.message)[:500],
            }
            for error in found
        ]
    except Unresolvable as error:
        message = f"the schema refers to {error.ref}, which is not in the file"
        raise StepError(ErrorType.FILE, message, hint="copy that schema into `$defs`") from None
    except RecursionError:
        raise StepError(ErrorType.DATA, f"record {index} is nested too deeply to be checked") from None


@lru_cache(maxsize=64)  # to make one costs as much as to check some hundred records
def _validator(raw: bytes, name: str) -> Any:
    # Imported here: the library costs more than all that `rb validate` needs besides.
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    try:
        schema = json.loads(raw)
        kind = validator_for(schema)
        kind.check_schema(schema)
    except (ValueError, RecursionError) as error:
        raise StepError(ErrorType.FILE, f"{name} is not JSON: {error}") from None
    except SchemaError as error:
        raise StepError(ErrorType.FILE, f"{name} is not a JSON Schema: {error.message}") from None
    # An empty registry: a `$ref` to another place is an error, never a download.
    return kind(schema, registry=Registry(), format_checker=kind.FORMAT_CHECKER)


def summary(result: Result, outputs: Mapping[str, Any]) -> str:
    """Such as `195 valid, 5 errors`."""
    return f"{len(result.value['valid'])} valid, {len(result.value['errors'])} errors"


STEP = StepType(
    name="schema_check",
    config=Config,
    run=run,
    effect=Effect.READ,
    summary=summary,
    reports=("$.valid", "$.errors"),
)
