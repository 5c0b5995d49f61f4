"""Threads that each process whole chunks, instead of sharing every small operation.

NumPy's BLAS splits each product over its threads, which spin while they wait for the slowest; with
thousands of small operations, another process on a core makes all of them wait. These workers wait
once for each layer, keep a chunk in their own cache, and give the same bytes whatever their number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np

from bids_dtg.engine.machine import one_blas_thread

Task = Callable[[int], None]


@contextmanager
def open_workers(count: int) -> Iterator[Workers]:
    """Open threads of this process, whose BLAS has one thread until they are closed.

    Parameters
    ----------
    count
        Number of threads; one is the caller's own.
    """
    with one_blas_thread(), ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(count - 1)) if count > 1 else None
        yield Workers(count, pool)


class Workers:
    """Threads that `open_workers` has opened."""

    def __init__(self, count: int, pool: ThreadPoolExecutor | None) -> None:
        self._count, self._pool = count, pool

    def each(self, prepare: Callable[[], Task], items: Iterable[int]) -> None:
        """Call a task for each item, in any order; `prepare` makes a task for each worker.

        Raises
        ------
        Exception
            The first exception raised by a task.
        """
        left = iter(items)
        lock = threading.Lock()

        def work() -> None:
            # Overflow shows in the maps, which are checked.
            with np.errstate(over="ignore", invalid="ignore"):
                task = prepare()
                while True:
                    with lock:
                        item = next(left, None)
                    if item is None:
                        return
                    task(item)

        others = (
            [] if self._pool is None else [self._pool.submit(work) for _ in range(self._count - 1)]
        )
        work()
        for done in others:
            done.result()


def blas_threads() -> int:
    """Return the number of threads of NumPy's BLAS, as the user or this program has set it."""
    from threadpoolctl import threadpool_info

    return max(
        (pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1
    )
