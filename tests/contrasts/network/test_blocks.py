import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bids_dtg.contrasts.network.blocks import (
    Window,
    blas_threads,
    conv_blocks,
    masked_field,
    open_workers,
)


def test_constant_far_from_the_mask_is_computed_once():
    mask = np.zeros((40, 40, 40), bool)
    mask[20, 20, 20] = True
    blocks = conv_blocks(masked_field(mask), np.ones_like(mask), size=64)
    assert blocks.count == 8 + 1


def test_a_window_keeps_the_rows_that_are_wanted_again():
    table = np.arange(40, dtype=np.float32).reshape(20, 2) + 1
    window, written = Window(8, 2), []
    for wanted in (range(3, 9), range(5, 13), range(6, 10), range(2, 4), range(15, 20)):
        missing = window.move(wanted)
        written.append(len(missing))
        window.at(missing)[:] = table[missing.start : missing.stop]
        np.testing.assert_array_equal(
            window.rows[:-1], table[wanted.start : wanted.stop]
        )
        assert not window.rows[-1].any()
    assert written == [6, 4, 0, 2, 5]


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
