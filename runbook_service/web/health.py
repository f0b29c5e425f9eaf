"""Health for whoever keeps the service running, and metrics for Prometheus."""

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runbook_factory import schema
from runbook_service.run_queue import run_queue

_BY_STATUS = text(
    """
    SELECT runbook_id, status, count(*) AS executions, coalesce(sum(extract(epoch FROM
        completed_at - started_at)), 0) AS seconds
    FROM runbook.runbook_executions WHERE mode = 'live' GROUP BY runbook_id, status
    """
)
_NEWEST = text(
    """
    SELECT DISTINCT ON (runbook_id) runbook_id, kpis FROM runbook.runbook_executions
    WHERE mode = 'live' AND status <> 'running' ORDER BY runbook_id, started_at DESC
    """
)


def health_routes(engine: Engine, latency: "Latency") -> list[Route]:
    """`/health/live`, `/health/ready` and `/metrics`."""
    registry = CollectorRegistry()
    registry.register(latency.histogram)
    registry.register(_Executions(engine))

    async def live(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        try:
            revision = await run_in_threadpool(schema.revision, engine)
        except SQLAlchemyError:
            return JSONResponse({"status": "no database"}, status_code=503)
        good = revision == schema.HEAD
        return JSONResponse({"status": "ok" if good else "old tables"}, status_code=200 if good else 503)

    async def metrics(request: Request) -> Response:
        data = await run_in_threadpool(generate_latest, registry)
        return Response(data, media_type="text/plain; version=0.0.4; charset=utf-8")

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)]


class _Executions(Collector):
    """What the record says, counted when it is asked for: the same from every process of the service."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: to register must not need the database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Executions and seconds by runbook and status, the key figures of the newest ones, the queue."""
        count = CounterMetricFamily("runbook_executions", "Live executions", labels=["runbook", "status"])
        seconds = CounterMetricFamily(
            "runbook_execution_seconds", "Seconds that live executions took", labels=["runbook", "status"]
        )
        running = GaugeMetricFamily("runbook_running", "Executions that run now", labels=["runbook"])
        kpi = GaugeMetricFamily("runbook_kpi", "Of the newest live execution", labels=["runbook", "kpi"])
        with self._engine.connect() as connection:
            for row in connection.execute(_BY_STATUS):
                if row.status == "running":
                    running.add_metric([row.runbook_id], row.executions)
                    continue
                count.add_metric([row.runbook_id, row.status], row.executions)
                seconds.add_metric([row.runbook_id, row.status], float(row.seconds))
            for row in connection.execute(_NEWEST):
                for item in row.kpis.get("kpis", ()):
                    if isinstance(item["value"], int | float) and not isinstance(item["value"], bool):
                        kpi.add_metric([row.runbook_id, item["name"]], item["value"])
        return [count, seconds, running, kpi, *self._queue()]

    def _queue(self) -> Iterable[Metric]:
        depth = run_queue(self._engine).depth()
        yield GaugeMetricFamily("runbook_queue_waiting", "Runs that wait for a slot", value=depth.waiting)
        yield GaugeMetricFamily("runbook_queue_taken", "Runs that workers have", value=depth.running)
        yield GaugeMetricFamily("runbook_workers", "Workers that are heard of", value=depth.workers)


class Latency:
    """ASGI middleware that times requests, by route and status."""

    def __init__(self) -> None:
        self.histogram = Histogram(
            "runbook_http_seconds",
            "How long requests took",
            ["method", "route", "status"],
            registry=None,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
        )
        self.routes: list[Route] = []

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """`app`, timed."""

        async def timed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began, status = time.perf_counter(), "500"

            async def note(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            try:
                await app(scope, receive, note)
            finally:
                taken = time.perf_counter() - began
                self.histogram.labels(scope["method"], self._route(scope), status).observe(taken)

        return timed

    def _route(self, scope: Scope) -> str:
        """The pattern of the route, not the address: there are as many of those as executions."""
        for route in self.routes:
            if route.matches(scope)[0] is not Match.NONE:
                return route.path
        return "/graphql" if scope["path"] == "/graphql" else "other"
