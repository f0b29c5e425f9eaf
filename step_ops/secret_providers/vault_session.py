"""The login to a vault, kept in this process until it is refused."""

import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from step_ops.drivers.vault import (
    RefusedError,
    VaultError,
    VaultServer,
    check_token,
    log_in_as_app_role,
    log_in_as_service_account,
    read_entry,
)
from step_ops.secret_providers.vault_settings import Auth

Answer = TypeVar("Answer")


class VaultSession:
    """Asks one vault in one name. `auth` holds what its variables stand for."""

    def __init__(self, server: VaultServer, auth: Auth) -> None:
        self._server = server
        self._auth = auth
        self._token: str | None = None
        self._lock = threading.Lock()  # steps run in threads: one of them logs in

    def read(self, mount: str, path: str) -> dict[str, Any] | None:
        """The fields of an entry, as they are now; None where there is none. Raises `VaultError`."""
        return self._ask(lambda token: read_entry(self._server, token, mount=mount, path=path))

    def check(self) -> None:
        """Raises `VaultError` unless the vault answers and accepts the login."""
        if self._auth.token is not None:
            check_token(self._server, self._auth.token)
        else:
            self._log_in(instead_of=self._token)

    def _ask(self, ask: Callable[[str], Answer]) -> Answer:
        if self._auth.token is not None:
            return self._ask_with(self._auth.token, ask)
        token = self._token
        if token is not None:
            try:
                return ask(token)
            except RefusedError:  # by now it may have expired
                pass
        return ask(self._log_in(instead_of=token))

    def _ask_with(self, token: str, ask: Callable[[str], Answer]) -> Answer:
        try:
            return ask(token)
        except RefusedError:
            try:
                check_token(self._server, token)
            except RefusedError:
                hint = "make a new one: bao token create, or vault token create"
                raise RefusedError("refuses the token: it has expired or was revoked", hint=hint) from None
            raise

    def _log_in(self, *, instead_of: str | None) -> str:
        with self._lock:
            if self._token is None or self._token == instead_of:
                self._token = None
                self._token = self._new_token()
            return self._token

    def _new_token(self) -> str:
        if role := self._auth.approle:
            return log_in_as_app_role(
                self._server, role_id=role.role_id, secret_id=role.secret_id, mount=role.mount
            )
        account = self._auth.kubernetes
        if account is None:
            raise AssertionError("settings have one way to log in")
        jwt = _read(Path(account.token_file))  # anew at each login: Kubernetes replaces it
        return log_in_as_service_account(self._server, role=account.role, jwt=jwt, mount=account.mount)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "not a token").lower()
        hint = "this login is for a pod of Kubernetes with a service account; else use another"
        raise VaultError(f"needs {file}, which cannot be read: {reason}", hint=hint) from None


@lru_cache(maxsize=16)
def session(server: VaultServer, auth: Auth) -> VaultSession:
    """The one session of this process for that server and that name."""
    return VaultSession(server, auth)
