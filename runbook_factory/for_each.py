"""A step repeated for each item of a list: in item order, several at a time, the results in order too."""

import heapq
from collections.abc import Callable, Collection, MutableMapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from step_ops.errors import ErrorType, StepError

MAX_ITEMS = 10_000

Done = TypeVar("Done")


class ItemFailed(Exception):
    """One item failed; `error` is what went wrong with it."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(f"item {index}: {error}")
        self.index, self.error = index, error


def as_items(value: Any) -> list[Any]:
    """`value` as the list to repeat a step over; raises `StepError` of type `config`."""
    if not isinstance(value, list | tuple):
        kind = "null" if value is None else type(value).__name__
        raise StepError(ErrorType.CONFIG, f"for_each needs a list, and got {kind}")
    if len(value) > MAX_ITEMS:
        message = f"for_each over {len(value):,} items: at most {MAX_ITEMS:,} are allowed"
        raise StepError(ErrorType.CONFIG, message, hint="take them in parts")
    return list(value)


def run_in_turn(
    count: int,
    do: Callable[[int, float], tuple[Done, float]],
    *,
    done: MutableMapping[int, Done],
    lanes: int,
) -> None:
    """Runs the items that are not in `done` on a virtual clock with `lanes` at a time.

    `do` takes an item's index and the moment it begins, and gives its result and how long it took.
    """
    free = [0.0] * lanes
    for index in range(count):
        if index in done:
            continue
        begins = heapq.heappop(free)
        try:
            done[index], seconds = do(index, begins)
        except Exception as error:
            raise ItemFailed(index, error) from error
        heapq.heappush(free, begins + seconds)


def run_as_recorded(
    count: int,
    do: Callable[[int, float], tuple[Done, float]],
    *,
    done: MutableMapping[int, Done],
    left: Collection[int],
    failed: int | None,
) -> None:
    """Runs the items that are not in `done`, but those that the recorded attempt `left` alone.

    Of several that fail, the one that `failed` then fails the attempt: live, that is a matter of time.
    """
    failures: dict[int, Exception] = {}
    for index in range(count):
        if index in done or index in left:
            continue
        try:
            done[index], _ = do(index, 0.0)
        except Exception as error:
            failures[index] = error
    if failures:
        index = failed if failed in failures else min(failures)
        raise ItemFailed(index, failures[index]) from failures[index]
    if len(done) < count:
        index = min(set(range(count)) - done.keys())
        message = "in the record another item failed first, and this one had not begun"
        raise ItemFailed(index, StepError(ErrorType.CASSETTE, message))


def run_at_once(
    count: int,
    do: Callable[[int, float], tuple[Done, float]],
    *,
    done: MutableMapping[int, Done],
    lanes: int,
) -> None:
    """Runs the items that are not in `done` in `lanes` threads; after a failure no new one starts."""
    waiting = [index for index in range(count) if index not in done]
    running: dict[Future[tuple[Done, float]], int] = {}
    failure: ItemFailed | None = None
    with ThreadPoolExecutor(max_workers=lanes, thread_name_prefix="item") as pool:
        while running or (waiting and failure is None):
            while waiting and failure is None and len(running) < lanes:
                index = waiting.pop(0)
                running[pool.submit(do, index, 0.0)] = index
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index = running.pop(future)
                error = future.exception()
                if error is None:
                    done[index] = future.result()[0]
                elif isinstance(error, Exception):
                    failure = failure or ItemFailed(index, error)
                else:
                    raise error
    if failure is not None:
        raise failure
