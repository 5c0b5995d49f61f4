"""People as arrays, made by chance, and analyses of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.cli.run import main as program

PEOPLE, PLACES, FRAMES, CONTRASTS = 12, 30, 400, 2


def arrays(seed: int = 0, people: int = PEOPLE) -> dict[str, np.ndarray]:
    """Make people whose maps follow from where four networks lie in them."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(99)
    group, weights = common.normal(size=(4, PLACES)), common.normal(size=(CONTRASTS, 4))
    own = group + 0.5 * rng.normal(size=(people, 4, PLACES))
    courses = rng.normal(size=(people, 4, FRAMES))
    rest = np.einsum("nrp,nrt->npt", own, courses) + rng.normal(size=(people, PLACES, FRAMES))
    targets = np.einsum("cr,nrp->ncp", weights, own)
    targets += 0.3 * rng.normal(size=targets.shape)
    return {
        "rest": rest.astype(np.float32),
        "tr_seconds": np.array(2.0),
        "targets": targets.astype(np.float32),
        "contrasts": np.array(["left hand", "LANGUAGE:math"]),
        "people": np.array([f"{seed}{n:02d}" for n in range(people)]),
        "places": np.array([f"V{n}" for n in range(PLACES)]),
    }


def call(
    folder: Path, analysis: str, *words: object, file: str = "all.npz", out: str = "out"
) -> int:
    """Run an analysis on a file of a folder."""
    (folder / "study").mkdir(exist_ok=True)
    given = [folder / "study", folder / out, "group", "--analysis", analysis]
    return program([*map(str, given), "--input-arrays", str(folder / file), *map(str, words)])


def write(path: Path, **arrays: Any) -> Path:
    """Write arrays in the format that the name asks for."""
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        import h5py

        with h5py.File(path, "w") as file:
            for key, values in arrays.items():
                text = np.asarray(values).dtype.kind == "U"
                file[key] = np.asarray(values, h5py.string_dtype()) if text else np.asarray(values)
    return path
