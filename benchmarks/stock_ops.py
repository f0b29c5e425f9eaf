"""The five steps as plain Dagster ops, for a stock Dagster webserver: the code location of the peer."""

from dagster import Definitions, In, Nothing, Out, graph, in_process_executor, op


@op(out=Out(Nothing))
def a() -> None:
    """The first; it does nothing, like the others."""


@op(ins={"after": In(Nothing)}, out=Out(Nothing))
def b() -> None:
    """After `a`."""


@op(ins={"after": In(Nothing)}, out=Out(Nothing))
def c() -> None:
    """After `a`, beside `b`."""


@op(ins={"after": In(Nothing)}, out=Out(Nothing))
def d() -> None:
    """After `b` and `c`."""


@op(ins={"after": In(Nothing)}, out=Out(Nothing))
def e() -> None:
    """The last."""


@graph
def diamond() -> None:
    """a -> b, c -> d -> e."""
    first = a()
    e(d([b(first), c(first)]))


definitions = Definitions(
    jobs=[
        diamond.to_job(name="in_process", executor_def=in_process_executor),
        diamond.to_job(name="stock"),
    ]
)
