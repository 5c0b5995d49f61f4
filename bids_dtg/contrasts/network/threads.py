"""Threads that each work off whole chunks, instead of sharing every small operation.

Torch splits each operation over its threads and waits for the slowest; with thousands of small
operations, one neighbour on a core makes all of them wait. Workers wait once a layer, keep a
chunk in their own cache, and compute the same bytes however many they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType

import torch

Task = Callable[[int], None]


class Workers:
    """A pool of threads with one torch thread each; use as a context manager.

    Parameters
    ----------
    count
        Threads.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._started = threading.Barrier(count + 1)
        self._pool = ThreadPoolExecutor(count, initializer=self._start)

    def __enter__(self) -> Workers:
        before = torch.get_num_threads()
        try:
            for _ in range(self._count):
                self._pool.submit(int)
            self._started.wait()
        except BaseException:  # no more threads to be had, or a signal: let those that wait go
            self._started.abort()
            raise
        # The workers' setting is also the one that later threads start with: give it back.
        torch.set_num_threads(before)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def _start(self) -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread takes the setting over for good when it first asks
        with suppress(threading.BrokenBarrierError):
            self._started.wait()

    def each(self, prepare: Callable[[], Task], items: Iterable[int]) -> None:
        """Call a task for each item, in any order; `prepare` makes a task for each worker.

        Raises
        ------
        Exception
            The first that a task raised.
        """
        left = iter(items)
        lock = threading.Lock()

        def work() -> None:
            with torch.inference_mode():
                task = prepare()
                while True:
                    with lock:
                        item = next(left, None)
                    if item is None:
                        return
                    task(item)

        for done in [self._pool.submit(work) for _ in range(self._count)]:
            done.result()
