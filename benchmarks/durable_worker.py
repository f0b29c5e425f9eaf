"""`python -m benchmarks.durable_worker URL POLL`: the five steps as a DBOS workflow, and who executes them.

It takes workflows from a queue that it looks at every POLL seconds; for each line that it reads, it
runs one itself and prints the seconds that this took.
"""

import sys
import time

from dbos import DBOS

QUEUE = "diamonds"


@DBOS.step()
def a() -> None:
    """The first; it does nothing, like the others."""


@DBOS.step()
def b() -> None:
    """After `a`."""


@DBOS.step()
def c() -> None:
    """After `a`; in a DBOS workflow, after `b` too."""


@DBOS.step()
def d() -> None:
    """After `b` and `c`."""


@DBOS.step()
def e() -> None:
    """The last."""


@DBOS.workflow(name="diamond")
def diamond() -> None:
    """a, b, c, d, e: the plain way to write it, which is the fastest for steps that do nothing."""
    a()
    b()
    c()
    d()
    e()


def main(url: str, poll: float) -> None:
    """Executes until its input ends."""
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=poll, on_conflict="always_update")
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        diamond()
        print(time.perf_counter() - began, flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
