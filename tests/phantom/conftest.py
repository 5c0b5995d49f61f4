from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits

from bids_dtg.phantom.contrasts.model import Phantom


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep BLAS to one thread: at 8 mm the products are small, and threads wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """Return the frozen phantom at 8 mm."""
    return Phantom(block=4)
