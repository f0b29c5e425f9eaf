"""Secrets from entries of KV version 2 in HashiCorp Vault or OpenBao."""

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, TypeAdapter

from step_ops.deployment import checked, filled
from step_ops.errors import ErrorType, StepError
from step_ops.secret_providers.source import MAX_BYTES, NAME, Missing, failed
from step_ops.secret_providers.vault_settings import VaultSettings

if TYPE_CHECKING:
    from step_ops.secret_providers.vault_session import VaultSession

_SETTINGS = TypeAdapter(VaultSettings)

Model = TypeVar("Model", bound=BaseModel)


class Vault:
    """The entries that the settings name. No value is kept; a login is, until it is refused."""

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings

    @staticmethod
    def from_settings(settings: Any, *, place: str) -> "Vault":
        """The source that stands under `vault:`; raises `StepError`."""
        return Vault(checked(_SETTINGS, settings, place=place))

    @property
    def place(self) -> str:
        """The entry, as `mount/path`."""
        return f"vault {self._settings.mount}/{self._settings.path}"

    def find(self, name: str) -> str | Missing:
        """The field's text; an empty one counts as missing."""
        from step_ops.drivers.vault import VaultError  # loads hvac

        own = self._settings.own_entries
        if own and not NAME.fullmatch(name):
            hint = "use letters, digits, '_', '-' and '.' in names of secrets"
            return Missing(reason="has a name that no entry of the vault may have", hint=hint)
        settings = _filled(self._settings)
        path = settings.path.replace("{name}", name)
        try:
            fields = _session(settings).read(settings.mount, path)
        except VaultError as error:
            reason = f"cannot be read from {settings.mount}/{path}: the vault {error.reason}"
            raise failed(name, reason, hint=error.hint) from None
        field = (settings.field or "value") if own else name
        return _found(name, fields, field=field, entry=f"{settings.mount}/{path}")

    def check(self) -> str:
        """That the vault answers, and accepts the login."""
        from step_ops.drivers.vault import VaultError

        try:
            _session(_filled(self._settings)).check()
        except VaultError as error:
            raise StepError(ErrorType.SECRET, f"the vault {error.reason}", hint=error.hint) from None
        return "reachable, login accepted"


def _found(name: str, fields: dict[str, Any] | None, *, field: str, entry: str) -> str | Missing:
    if fields is None:
        return Missing(reason=f"has no entry {entry} in the vault", hint=f"write the entry {entry}")
    value = fields.get(field)
    if value is None or value == "":
        hint = f"add the field {field!r} to {entry}"
        return Missing(reason=f"is no field of {entry} in the vault", hint=hint)
    if not isinstance(value, str):
        raise failed(name, f"in {entry} in the vault is not text", hint="write it as a string")
    if len(value.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        hint = "a secret is a key or a password"
        raise failed(name, f"in {entry} in the vault is larger than {MAX_BYTES // 1024} KiB", hint=hint)
    return value


def _session(settings: VaultSettings) -> "VaultSession":
    from step_ops.drivers.vault import VaultServer
    from step_ops.secret_providers.vault_session import session

    server = VaultServer(
        url=settings.url,
        namespace=settings.namespace,
        ca_file=settings.ca_file,
        timeout=settings.timeout_seconds,
    )
    return session(server, settings.auth)


def _filled(settings: Model) -> Model:
    """The settings with what their variables stand for now."""
    values: dict[str, Any] = {}
    for key, value in settings:
        if isinstance(value, str):
            values[key] = filled(value, _unset)
        elif isinstance(value, BaseModel):
            values[key] = _filled(value)
    return settings.model_copy(update=values)


def _unset(variable: str) -> StepError:
    message = f"the vault with the secrets needs the environment variable {variable}"
    return StepError(ErrorType.SECRET, message, hint=f"export {variable}=...")
