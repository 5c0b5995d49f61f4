import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bids_dtg.contrasts.network.blocks import blas_threads, open_workers


def test_each_item_is_done_once():
    done = []
    with open_workers(3) as workers:
        workers.each(lambda: done.append, range(100))
        workers.each(lambda: done.append, range(100, 150))
    assert sorted(done) == list(range(150))


def test_blas_has_one_thread_beside_workers_and_as_many_as_before_after_them():
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        seen = []
        with open_workers(2) as workers:
            workers.each(lambda: lambda _: seen.append(blas_threads()), range(20))
        assert set(seen) == {1}
        assert blas_threads() == before


def test_one_worker_is_the_caller():
    seen = []
    with open_workers(1) as workers:
        workers.each(lambda: lambda _: seen.append(threading.current_thread()), range(3))
    assert set(seen) == {threading.current_thread()}


def test_overflow_is_not_reported(recwarn):
    """Maps that are not finite are refused by whoever asked for them."""
    values = np.full(8, 3e38, np.float32)
    with open_workers(2) as workers:
        workers.each(lambda: lambda _: values * 10, range(9))
    assert not recwarn


def test_error_of_a_task_is_raised():
    def fail(item):
        raise MemoryError(f"item {item}")

    with open_workers(2) as workers, pytest.raises(MemoryError, match="item"):
        workers.each(lambda: fail, range(10))
