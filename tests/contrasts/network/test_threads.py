import pytest
from threadpoolctl import threadpool_limits

from bids_dtg.contrasts.network.blocks import blas_threads, open_workers


def test_blas_has_one_thread_beside_workers_and_as_many_as_before_after_them():
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        seen = []
        with open_workers(2) as workers:
            workers.each(lambda: lambda _: seen.append(blas_threads()), range(20))
        assert set(seen) == {1}
        assert blas_threads() == before


def test_error_of_a_task_is_raised():
    def fail(item):
        raise MemoryError(f"item {item}")

    with open_workers(2) as workers, pytest.raises(MemoryError, match="item"):
        workers.each(lambda: fail, range(10))
