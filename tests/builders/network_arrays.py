"""Four people's series and structural connectomes as arrays; in the second session one lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from series_arrays import arguments as arguments
from series_arrays import write_sessions

# Whose places are known, for tests of surrogate maps.
_GYRI = ("insula", "cuneus", "lingual", "precuneus")
REGIONS = [f"{side}_{name}" for side in ("lh", "rh") for name in _GYRI]
PEOPLE = ["01", "02", "03", "04"]
FRAMES = 90
# After fewer epochs, simulations grow without bounds.
TRAIN = (
    *("--epochs", "60", "--states", "2", "--region-parameters", "2", "--restarts", "2"),
    *("--architecture", "network"),
)


def write_networks(
    folder: Path,
    *,
    regions: Sequence[str] = REGIONS,
    people: Sequence[Sequence[str]] = (PEOPLE, PEOPLE[:3]),
    frames: Sequence[int] = (FRAMES, FRAMES),
    tr_seconds: float = 0.8,
) -> Path:
    """Write two sessions and structural connectomes; people and frames are by session."""
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 50, (4, len(regions), len(regions)))
    weights = weights + weights.transpose(0, 2, 1)
    sessions = {
        name: (labels, rng.standard_normal((len(labels), len(regions), n)).cumsum(-1))
        for name, labels, n in zip(("REST1", "REST2"), people, frames, strict=True)
    }
    write_sessions(folder, sessions, regions, tr_seconds)
    np.savez(folder / "sc.npz", structural=weights, people=PEOPLE, places=regions)
    return folder
