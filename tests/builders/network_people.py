"""People's networks for tests: made by chance, or the real training people of the shared data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_dtg.dynamics.networks import Networks, normalised, standardised

TRAINING_PEOPLE = 40  # of the shared data: the first ones


def chance_networks(
    people: int = 3, regions: int = 6, frames: int = 300, seed: int = 0
) -> Networks:
    """Return networks whose regions share a course and remember the frame before."""
    rng = np.random.default_rng(seed)
    shape = people, regions, frames
    white = rng.standard_normal(shape) + rng.standard_normal((people, 1, frames))
    weights = rng.uniform(size=(people, regions, regions))
    return Networks(
        people=tuple(f"{number:02}" for number in range(people)),
        regions=tuple(f"{side}_{n}" for side in "LR" for n in range(regions // 2)),
        series=standardised(white + np.roll(white, 1, axis=-1)),
        weights=normalised(weights + weights.transpose(0, 2, 1)),
        tr_seconds=0.72,
    )


def real_networks(shared: Path, session: int, people: int = TRAINING_PEOPLE) -> Networks:
    """Return a session of the first people of the shared data, or skip."""
    folder = shared / "sip" / "data"
    if not folder.is_dir():
        pytest.skip(f"no series of real people at {folder}")
    held = np.load(folder / f"bold_REST{session}_LR_50.npz")
    return Networks(
        people=tuple(map(str, held["subject"][:people])),
        regions=tuple(map(str, held["region"])),
        series=standardised(held["bold"][:people]),
        weights=normalised(np.load(folder / "sc_50.npz")["weights"][:people]),
        tr_seconds=float(held["tr"]),
    )
