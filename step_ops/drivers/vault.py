"""HashiCorp Vault and OpenBao with `hvac`, over our own HTTP driver.

So every call is bounded in time and size, goes to allowed addresses only, follows no redirect, and takes
no token, address or certificate from `hvac`'s own look at the environment and the home folder.
"""

import json
from dataclasses import dataclass
from typing import Any

import hvac  # type: ignore[import-untyped]
from hvac import adapters, exceptions, utils

from step_ops.drivers.http import Limits, send
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest, HttpResponse
from step_ops.secrets import Secret

MAX_BYTES = 1024 * 1024  # the most that Vault itself keeps in one entry


@dataclass(frozen=True, kw_only=True)
class VaultServer:
    """Where the server is, and how long one call may take."""

    url: str
    namespace: str | None = None
    ca_file: str | None = None
    timeout: float = 5.0


class VaultError(Exception):
    """Why there is no answer, in our words: those of the server may hold what we sent."""

    def __init__(self, reason: str, *, hint: str) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class RefusedError(VaultError):
    """The token is not valid, or may not do this."""


def read_entry(server: VaultServer, token: str, *, mount: str, path: str) -> dict[str, Any] | None:
    """The fields of the newest version of a KV v2 entry; None where there is none. Raises `VaultError`."""
    try:
        answer = _client(server, token).secrets.kv.v2.read_secret_version(
            path, mount_point=mount, raise_on_deleted_version=True
        )
    except exceptions.InvalidPath as error:
        if error.errors:  # an entry that is not there has none
            hint = "look with `bao secrets list` or `vault secrets list`; the engine has to be KV version 2"
            raise VaultError(f"has no secrets engine at {mount!r}", hint=hint) from None
        return None
    except exceptions.VaultError as error:
        raise _told(error) from None
    fields = _inside(answer, "data", "data")
    if not isinstance(fields, dict):
        raise VaultError(
            "did not answer as KV version 2 does", hint="see that `mount` is a KV engine of version 2"
        )
    return fields


def log_in_as_app_role(server: VaultServer, *, role_id: str, secret_id: str, mount: str) -> str:
    """The token that an AppRole logs in to. Raises `VaultError`."""
    try:
        answer = _client(server).auth.approle.login(
            role_id, secret_id=secret_id, use_token=False, mount_point=mount
        )
    except exceptions.VaultError as error:
        raise _told_at_login(error, f"AppRole at {mount!r}") from None
    return _token_of(answer)


def log_in_as_service_account(server: VaultServer, *, role: str, jwt: str, mount: str) -> str:
    """The token that a service account of Kubernetes logs in to. Raises `VaultError`."""
    try:
        answer = _client(server).auth.kubernetes.login(role, jwt, use_token=False, mount_point=mount)
    except exceptions.VaultError as error:
        raise _told_at_login(error, f"role {role!r} of Kubernetes at {mount!r}") from None
    return _token_of(answer)


def check_token(server: VaultServer, token: str) -> None:
    """Raises `VaultError` unless the server knows the token."""
    try:
        _client(server, token).auth.token.lookup_self()
    except exceptions.VaultError as error:
        raise _told(error) from None


def _client(server: VaultServer, token: str = "") -> Any:
    return hvac.Client(
        url=server.url,
        token=token,
        namespace=server.namespace,
        verify=server.ca_file or True,
        timeout=server.timeout,
        allow_redirects=False,
        adapter=_Adapter,
    )


class _Adapter(adapters.JSONAdapter):  # type: ignore[misc]
    """The way `hvac` talks, by our driver."""

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, Any] | None = None,
        raise_exception: bool = True,
        **options: Any,
    ) -> Any:
        """The answer's JSON; raises hvac's error for a status that says so, `VaultError` for the rest."""
        answer = self._send(method, url, dict(headers or {}), options)
        if 300 <= answer.status < 400:
            raise VaultError("redirects elsewhere, which is refused", hint="name the final address in `url`")
        said = _json(answer)
        if answer.status >= 400:
            utils.raise_for_error(method, url, answer.status, errors=_errors(said), json=said)
        if not isinstance(said, dict):
            hint = "see that `url` is that of the vault: a login or error page often answers in its place"
            raise VaultError("answered with what is not JSON", hint=hint)
        return said

    def _send(self, method: str, url: str, headers: dict[str, Any], options: dict[str, Any]) -> HttpResponse:
        headers["X-Vault-Request"] = "true"
        if self.token:
            headers["X-Vault-Token"] = Secret("vault token", self.token)
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        ca_file = self._kwargs["verify"]
        request = HttpRequest(
            method=method.upper(),
            url=self.urljoin(self.base_uri, url),
            headers=headers,
            params=options.get("params") or {},
            json=options.get("json"),
            timeout=self._kwargs["timeout"],
        )
        limits = Limits(
            max_bytes=MAX_BYTES,
            max_redirects=0,
            connect_seconds=self._kwargs["timeout"],
            authorities=None if ca_file is True else ca_file,
        )
        try:
            return send(request, limits=limits)
        except StepError as error:
            raise _unreachable(error) from None


def _unreachable(error: StepError) -> VaultError:
    hint = error.hint
    if error.type is ErrorType.TIMEOUT:
        hint = "look whether the vault is up, or raise its `timeout_seconds` in connections.yaml"
    return VaultError(f"cannot be asked: {error.message}", hint=hint)


def _told(error: Any) -> VaultError:
    errors = " ".join(error.errors or [])
    match error:
        case exceptions.Forbidden() | exceptions.Unauthorized():
            hint = "renew the token, or let its policy read the entry"
            return RefusedError("refuses: permission denied", hint=hint)
        case exceptions.VaultDown() if "sealed" in errors:
            return VaultError("is sealed", hint="unseal it: bao operator unseal, or vault operator unseal")
        case exceptions.VaultDown() | exceptions.BadGateway():
            return VaultError("is not available", hint="look at its status: bao status, or vault status")
        case exceptions.VaultNotInitialized():
            return VaultError("is not initialized", hint="bao operator init, or vault operator init")
        case exceptions.RateLimitExceeded():
            return VaultError("asks for fewer requests (429)", hint="raise its quota, or try again later")
        case _:
            hint = "look at the log of the vault, and at `mount`, `path` and `namespace` in connections.yaml"
            return VaultError(f"answers with an error ({type(error).__name__})", hint=hint)


def _told_at_login(error: Any, what: str) -> VaultError:
    refusals = exceptions.Forbidden | exceptions.Unauthorized | exceptions.InvalidRequest
    if isinstance(error, refusals | exceptions.InvalidPath):
        hint = "see that the role and the mount are right, and that the credentials have not expired"
        return RefusedError(f"refuses the login: {what}", hint=hint)
    return _told(error)


def _token_of(answer: Any) -> str:
    token = _inside(answer, "auth", "client_token")
    if not isinstance(token, str) or not token:
        raise VaultError("answered a login without a token", hint="see that `url` is that of the vault")
    return token


def _json(answer: HttpResponse) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _errors(said: Any) -> list[str]:
    errors = said.get("errors") if isinstance(said, dict) else None
    return [text for text in errors if isinstance(text, str)] if isinstance(errors, list) else []


def _inside(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
