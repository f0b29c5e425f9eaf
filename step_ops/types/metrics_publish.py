"""`metrics_publish`: pushes gauges to a Prometheus Pushgateway, grouped by runbook and execution."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, Strict, field_validator

from step_ops.exchanges import HttpRequest
from step_ops.http_steps import expect_success
from step_ops.step_type import Effect, Result, StepConfig, StepType, Text

if TYPE_CHECKING:
    from step_ops.gate import Gate

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_HERE = "http://pushgateway"  # stands for the connection: the client wants an address to build on


class Config(StepConfig):
    """Inputs of `metrics_publish`."""

    metrics: Annotated[dict[str, Annotated[float, Strict(), Field(allow_inf_nan=False)]], Field(min_length=1)]
    connection: Text = "pushgateway"

    @field_validator("metrics")
    @classmethod
    def _names(cls, metrics: dict[str, float]) -> dict[str, float]:
        for name in metrics:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a metric name: use letters, digits and underscores")
        return metrics


def run(config: Config, gate: "Gate") -> Result:
    """How many metrics were published."""
    # Imported here: a runbook without metrics does not pay for the client.
    from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

    registry = CollectorRegistry()
    for name, value in config.metrics.items():
        Gauge(name, f"{name} of a runbook execution", registry=registry).set(value)
    push_to_gateway(
        _HERE,
        job=gate.runbook,
        registry=registry,
        grouping_key={"execution": gate.execution},
        handler=_through(gate, config.connection),
    )
    gate.measures.update(config.metrics)
    return Result(value={"published": len(config.metrics)})


def _through(gate: "Gate", connection: str) -> Callable[..., Callable[[], None]]:
    """A handler for the client that sends its request through the gate."""

    def handler(
        url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        def send() -> None:
            request = HttpRequest(
                method=method,
                url=url.removeprefix(_HERE),
                connection=connection,
                headers=dict(headers),
                data=data,
                timeout=timeout or 30.0,
            )
            expect_success(request, gate.http(request))

        return send

    return handler


def summary(result: Result, outputs: Mapping[str, Any]) -> str:
    """The seed's words."""
    return "metrics published"


STEP = StepType(name="metrics_publish", config=Config, run=run, effect=Effect.TELEMETRY, summary=summary)
