"""Four people's networks as files of arrays; in the second session some are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from series_arrays import arguments as arguments

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
    folder.mkdir(exist_ok=True)
    (folder / "dataset_description.json").write_text('{"Name": "tiny"}')
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 50, (4, len(regions), len(regions)))
    weights = weights + weights.transpose(0, 2, 1)
    for session, of_session, number in zip(
        ("REST1", "REST2"), people, frames, strict=True
    ):
        series = rng.standard_normal((len(of_session), len(regions), number)).cumsum(-1)
        np.savez(
            folder / f"{session}.npz",
            rest=series.astype("f4"),
            people=of_session,
            places=regions,
            tr_seconds=tr_seconds,
            session=session,
        )
    np.savez(folder / "sc.npz", structural=weights, people=PEOPLE, places=regions)
    return folder
