"""The values of sensitive inputs, sealed in the database beside the execution that has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, text

from runbook_factory import schema
from runbook_factory.catalog import LoadedRunbook
from runbook_factory.inputs import InputError
from runbook_factory.keys import deployment_key, previous_keys
from runbook_factory.project import Project
from runbook_factory.sealing import Place, Sealed, SealingError, SealingKey, rewrap, seal, unseal
from step_ops.redaction import SHORTEST, Redactor
from step_ops.secrets import Secret

_PUT = text(
    """
    INSERT INTO runbook.sealed_inputs (execution_id, name, key_version, wrapped_key, nonce, ciphertext)
    VALUES (:execution, :name, :key_version, :wrapped_key, :nonce, :ciphertext)
    ON CONFLICT (execution_id, name) DO NOTHING
    """
)
_OF_ONE = text("SELECT * FROM runbook.sealed_inputs WHERE execution_id = :execution ORDER BY name")
_OF_OTHER_KEYS = text(
    """
    SELECT * FROM runbook.sealed_inputs WHERE key_version <> :version
        AND (execution_id, name) > (CAST(:execution AS UUID), :name)
    ORDER BY execution_id, name LIMIT :most FOR UPDATE
    """
)
_REWRAP = text(
    """
    UPDATE runbook.sealed_inputs SET key_version = :key_version, wrapped_key = :wrapped_key
    WHERE execution_id = :execution AND name = :name
    """
)
_ERASE = text("DELETE FROM runbook.sealed_inputs WHERE execution_id = :execution")
_AT_ONCE = 500  # rows that are locked together while they are wrapped again
_NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """How many values are under the new key now, and what kept the others from it."""

    rewrapped: int
    problems: tuple[SealingError, ...]


def sensitive_names(runbook: LoadedRunbook) -> frozenset[str]:
    """The inputs whose values are kept from everyone who reads the record."""
    return frozenset(name for name, spec in runbook.runbook.inputs.items() if spec.sensitive)


def split_inputs(runbook: LoadedRunbook, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The inputs that may stand in a run config, and those that have to be sealed; raises `InputError`."""
    hidden = {name: inputs[name] for name in sensitive_names(runbook) & inputs.keys()}
    for name, value in hidden.items():
        if not isinstance(value, str):
            raise InputError(f"input {name!r} is not a string")
    return {name: value for name, value in inputs.items() if name not in hidden}, hidden


def tainted(runbook: LoadedRunbook, inputs: Mapping[str, Any], *, redactor: Redactor) -> dict[str, Any]:
    """The inputs with the sensitive ones as secrets, masked from now on; raises `InputError`."""
    values = dict(inputs)
    for name in sensitive_names(runbook):
        value = values.get(name)
        if value is None:
            continue
        if not redactor.register(name, value):
            hint = f"use one of at least {SHORTEST} characters"
            raise InputError(f"sensitive input {name!r} is too short to be masked safely", hint=hint)
        values[name] = Secret(name, value)
    return values


def seal_inputs(engine: Engine, project: Project, execution_id: str, values: Mapping[str, str]) -> None:
    """Stores the values for this execution; one that is stored already stays as it is."""
    if not values:
        return
    key = SealingKey(deployment_key(project))
    rows = [
        {"execution": execution_id, "name": name, **vars(seal(value, key, _place(execution_id, name)))}
        for name, value in values.items()
    ]
    schema.ensure(engine)
    with engine.connect() as connection:
        connection.execute(_PUT, rows)


def unseal_inputs(engine: Engine, project: Project, execution_id: str) -> dict[str, str]:
    """The values that are stored for this execution; raises `SealingError`."""
    with engine.connect() as connection:
        rows = connection.execute(_OF_ONE, {"execution": execution_id}).all()
    keys = _keys(project) if rows else []
    return {row.name: unseal(_sealed(row), keys, _place(execution_id, row.name)) for row in rows}


def erase_inputs(engine: Engine, execution_id: str) -> int:
    """Forgets the values of this execution for good; gives how many there were."""
    with engine.connect() as connection:
        return connection.execute(_ERASE, {"execution": execution_id}).rowcount


def rotate_inputs(engine: Engine, project: Project) -> Rotation:
    """Puts every value under the key that the deployment has now. May be repeated after an interruption."""
    current, *previous = _keys(project)
    done, problems = 0, []
    last = {"execution": _NOBODY, "name": ""}
    while True:
        with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
            rows = connection.execute(_OF_OTHER_KEYS, {**last, "version": current.version, "most": _AT_ONCE})
            found = rows.all()
            fresh, failed = _rewrapped(found, previous, to=current)
            if fresh:
                connection.execute(_REWRAP, fresh)
        done += len(fresh)
        problems += failed
        if not found:
            return Rotation(rewrapped=done, problems=tuple(problems))
        last = {"execution": str(found[-1].execution_id), "name": found[-1].name}


def _rewrapped(
    rows: Iterable[Row[Any]], keys: Iterable[SealingKey], *, to: SealingKey
) -> tuple[list[dict[str, Any]], list[SealingError]]:
    known, fresh, failed = list(keys), [], []
    for row in rows:
        place = _place(str(row.execution_id), row.name)
        try:
            sealed = rewrap(_sealed(row), known, place, to=to)
        except SealingError as error:
            failed.append(error)
            continue
        fresh.append({"execution": place.execution, "name": place.name, **vars(sealed)})
    return fresh, failed


def _keys(project: Project) -> list[SealingKey]:
    return [SealingKey(key) for key in (deployment_key(project), *previous_keys())]


def _place(execution_id: str, name: str) -> Place:
    return Place(execution=execution_id.lower(), name=name)


def _sealed(row: Row[Any]) -> Sealed:
    return Sealed(
        key_version=row.key_version,
        wrapped_key=bytes(row.wrapped_key),
        nonce=bytes(row.nonce),
        ciphertext=bytes(row.ciphertext),
    )
