from __future__ import annotations

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bids_dtg.connectome.device import one_blas_thread


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize("times", [1, 2])  # the libraries are looked for once
def test_blas_has_one_thread_within_a_block_and_its_own_number_after_it(times):
    with threadpool_limits(2, user_api="blas"):
        for _ in range(times):
            with one_blas_thread():
                assert blas_threads() == {1}
            assert blas_threads() == {2}
