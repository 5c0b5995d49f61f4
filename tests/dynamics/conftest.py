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
