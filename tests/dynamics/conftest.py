from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.dynamics.networks import Networks, normalised, standardised


@pytest.fixture(scope="session")
def replayed(shared: Path) -> dict[str, np.ndarray]:
    """Return short runs of the published simulators: inputs, noise and outputs."""
    path = shared / "sip" / "reference_simulators.npz"
    if not path.is_file():
        pytest.skip(f"no runs of the published simulators at {path}")
    with np.load(path) as file:
        return {name: file[name] for name in file}


@pytest.fixture(scope="session")
def real_networks(shared: Path) -> Callable[..., Networks]:
    """Return a function that reads a session of the first people of the shared data, or skip."""
    folder = shared / "sip" / "data"
    if not folder.is_dir():
        pytest.skip(f"no series of real people at {folder}")

    def read(session: int, people: int = 40) -> Networks:
        held = np.load(folder / f"bold_REST{session}_LR_50.npz")
        return Networks(
            people=tuple(map(str, held["subject"][:people])),
            regions=tuple(map(str, held["region"])),
            series=standardised(held["bold"][:people]),
            weights=normalised(np.load(folder / "sc_50.npz")["weights"][:people]),
            tr_seconds=float(held["tr"]),
        )

    return read
