"""Work done again and again: one after the other, or by several at a time."""

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Load:
    """The seconds that each took, and all of them together."""

    each: tuple[float, ...]
    together: float

    @property
    def median_ms(self) -> float:
        """Half of them were faster."""
        return statistics.median(self.each) * 1000

    @property
    def p95_ms(self) -> float:
        """One in twenty was slower; with fewer than twenty, the slowest."""
        return sorted(self.each)[min(int(len(self.each) * 0.95), len(self.each) - 1)] * 1000

    @property
    def per_second(self) -> float:
        """How many ended in a second."""
        return len(self.each) / self.together


def load(work: Callable[[], object], *, times: int, clients: int = 1) -> Load:
    """Does `work` so many times, by so many threads; raises what it raises."""
    took: list[float] = []
    failed: list[BaseException] = []
    left = iter(range(times))
    lock = threading.Lock()

    def client() -> None:
        try:
            while not failed:
                with lock:
                    if next(left, None) is None:
                        return
                began = time.perf_counter()
                work()
                took.append(time.perf_counter() - began)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = time.perf_counter() - began
    if failed:
        raise failed[0]
    return Load(each=tuple(took), together=together)
