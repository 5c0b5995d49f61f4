"""Four people's networks as files of arrays; in the second session one is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

REGIONS = [f"{side}-{name}" for side in ("lh", "rh") for name in ("A", "B", "C", "D")]
PEOPLE = ["01", "02", "03", "04"]
FRAMES = 90
TRAIN = ("--epochs", "2", "--states", "2", "--region-parameters", "2", "--restarts", "2")


def write_networks(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 50, (4, 8, 8))
    weights = weights + weights.transpose(0, 2, 1)
    for session, people in (("REST1", PEOPLE), ("REST2", PEOPLE[:3])):
        series = rng.standard_normal((len(people), len(REGIONS), FRAMES)).cumsum(-1)
        np.savez(
            folder / f"{session}.npz",
            bold=series.astype("f4"),
            subject=people,
            region=REGIONS,
            tr=0.8,
            session=session,
        )
    np.savez(folder / "sc.npz", weights=weights, subject=PEOPLE, region=REGIONS)
    return folder
