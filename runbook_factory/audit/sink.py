"""The audit service outside, which each entry is posted to."""

from dataclasses import dataclass
from threading import Event
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from runbook_factory.audit.chain import StoredEntry
from runbook_factory.project import Project
from step_ops.deployment import checked, filled, load_part
from step_ops.drivers.http import Limits, send
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest, HttpResponse
from step_ops.secret_providers.chain import load_secrets
from step_ops.secrets import Secret, SecretProvider

_LIMITS = Limits(max_bytes=1024 * 1024)  # of the answer, which is not read
_MOST_WAIT_SECONDS = 3600.0


class SinkSettings(BaseModel):
    """The key `sink` under `audit` in `connections.yaml`. `token` is the name of a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(min_length=1)
    token: str | None = None
    timeout_seconds: float = Field(default=10.0, gt=0, le=300)


class _Audit(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sink: SinkSettings | None = None


_AUDIT: TypeAdapter[_Audit] = TypeAdapter(_Audit)


@dataclass(frozen=True, kw_only=True)
class Sink:
    """The audit service of a deployment. Address and token are looked up anew for each entry."""

    settings: SinkSettings
    secrets: SecretProvider
    source: str = "connections.yaml"

    @property
    def url(self) -> str:
        """Its address, with what `${NAME}` stand for; raises `StepError`."""
        return filled(self.settings.url, self._unset)

    @property
    def name(self) -> str:
        """Under which it is remembered how far it has the log: its address, without what may be secret."""
        url = urlsplit(self.url)
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"

    def post(self, entry: StoredEntry, *, cancelled: Event | None = None) -> None:
        """Hands the entry over; raises `StepError` unless the service says that it has it."""
        headers: dict[str, str | Secret] = {"Idempotency-Key": str(entry.seq)}
        if self.settings.token is not None:
            secret = Secret(self.settings.token, self.secrets.get(self.settings.token))
            headers["Authorization"] = "Bearer " + secret
        request = HttpRequest(
            method="POST",
            url=self.url,
            headers=headers,
            json=entry.as_json(),
            timeout=self.settings.timeout_seconds,
        )
        answer = send(request, limits=_LIMITS, cancelled=cancelled)
        if not 200 <= answer.status < 300:
            raise StepError(
                ErrorType.HTTP,
                f"the audit service answered entry {entry.seq} with status {answer.status}",
                hint="look at its log, and at the address and token in connections.yaml",
                details={"status": answer.status},
                retry_after=_retry_after(answer),
            )

    def _unset(self, variable: str) -> StepError:
        return StepError(
            ErrorType.CONFIG,
            f"the audit sink needs the environment variable {variable}",
            hint=f"export {variable}=... or set the address in {self.source}",
        )


def _retry_after(answer: HttpResponse) -> float | None:
    """The seconds that the service asks to wait, if it does in so many seconds."""
    told = answer.headers.get("retry-after", "")
    return min(float(told[:9]), _MOST_WAIT_SECONDS) if told.isascii() and told.isdigit() else None


def load_sink(project: Project) -> Sink | None:
    """The sink that the project's `connections.yaml` names, if it names one; raises `StepError`."""
    path = project.connections
    part = load_part(path, "audit")
    if part is None:
        return None
    settings = checked(_AUDIT, part, place=f"{path.name}: audit").sink
    if settings is None:
        return None
    return Sink(settings=settings, secrets=load_secrets(path), source=path.name)
