from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

# Timings are never assertions, as a machine may be busy, and each run tries the same examples.
repeatable = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("repeatable", repeatable)
settings.load_profile("repeatable")

if TYPE_CHECKING:
    from trained import Trained

    from bids_dtg.contrasts.phantom.model import Phantom

TESTS = Path(__file__).parent
# `from fmriprep_dataset import ...` in any test.
sys.path[:0] = [str(TESTS / folder) for folder in ("builders", "oracles", "machines")]
# Programs inherit what `nohup make test` ignores, and tests send it to them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# No test asks a public host: those of downloads have hosts of their own, and lift this.
os.environ["DTG_OFFLINE"] = "1"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage only after collection, and never in what it made: a quarter of its time.

    Modules and tests stay to the end; a forked process that looked through them would copy them.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(autouse=True)
def same_draws(request: pytest.FixtureRequest) -> None:
    """Have each test draw from its module's `RNG` as if it ran alone."""
    rng = getattr(request.module, "RNG", None)
    if rng is not None:
        if not hasattr(request.module, "_FIRST_STATE"):
            request.module._FIRST_STATE = rng.bit_generator.state
        rng.bit_generator.state = request.module._FIRST_STATE


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Compute on one thread: tiny layers wait for more, which also change the last bits of sums."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared test data (DTG_SHARED, default ../shared), or skip."""
    folder = Path(os.environ.get("DTG_SHARED", TESTS.parent.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared test data at {folder} (set DTG_SHARED)")
    return folder


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """Return the frozen phantom at 8 mm."""
    from bids_dtg.contrasts.phantom.model import Phantom

    return Phantom(block=4)


@pytest.fixture(scope="session")
def trained_twin(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return the digital twin of this run of the tests; nobody writes beside it."""
    from trained import trained

    return trained("twin", tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def trained_network(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return the network model of this run of the tests; nobody writes beside it."""
    from trained import trained

    return trained("network", tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def trained_maps(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return the model of maps of this run of the tests; nobody writes beside it."""
    from trained import trained

    return trained("maps", tmp_path_factory.getbasetemp())
