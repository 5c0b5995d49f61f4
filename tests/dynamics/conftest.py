from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def replayed(shared: Path) -> dict[str, np.ndarray]:
    """Return short runs of the published simulators: inputs, noise and outputs."""
    path = shared / "sip" / "reference_simulators.npz"
    if not path.is_file():
        pytest.skip(f"no runs of the published simulators at {path}")
    with np.load(path) as file:
        return {name: file[name] for name in file}


@pytest.fixture(scope="session")
def measured_weights(shared: Path) -> np.ndarray:
    """Return structural connectomes of the eight people of the published simulations."""
    path = shared / "sip" / "data" / "sc_50.npz"
    if not path.is_file():
        pytest.skip(f"no structural connectomes at {path}")
    with np.load(path) as file:
        return file["weights"][:8]
