"""What may stand under `vault:` in the deployment file."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Path = Annotated[str, Field(pattern=r"^[^/\s?#%.][^\s?#%]*$")]
# What opens a vault must not stand in a file that is kept under version control.
_FromEnvironment = Annotated[str, Field(pattern=r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$")]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AppRole(_Settings):
    """A machine's name and password."""

    role_id: str
    secret_id: _FromEnvironment
    mount: _Path = "approle"


class ServiceAccount(_Settings):
    """The service account that Kubernetes gives to a pod."""

    role: str
    mount: _Path = "kubernetes"
    token_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a file


class Auth(_Settings):
    """One way to log in."""

    token: _FromEnvironment | None = None
    approle: AppRole | None = None
    kubernetes: ServiceAccount | None = None

    @model_validator(mode="after")
    def _one(self) -> "Auth":
        if sum(way is not None for way in (self.token, self.approle, self.kubernetes)) != 1:
            raise ValueError("give one of token, approle and kubernetes")
        return self


class VaultSettings(_Settings):
    """Where the vault is, how to log in, and where a secret lies in it.

    A secret is the field of its name in the entry `path`; where `path` holds `{name}`, it is the field
    `field` of an entry of its own.
    """

    url: str
    path: _Path
    auth: Auth
    mount: _Path = "secret"
    field: str | None = None
    timeout_seconds: float = Field(5.0, gt=0, le=60)
    namespace: str | None = None
    ca_file: str | None = None

    @property
    def own_entries(self) -> bool:
        """Whether each secret is an entry of its own."""
        return "{name}" in self.path

    @model_validator(mode="after")
    def _place(self) -> "VaultSettings":
        if self.field is not None and not self.own_entries:
            raise ValueError("`field` needs {name} in `path`: otherwise all secrets would be the same")
        if ".." in self.path.split("/"):
            raise ValueError("`path` may not hold '..'")
        return self
