"""Random people as arrays, and analyses of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.cli.run import main as program

PEOPLE = 12
PLACES = 30
FRAMES = 400


def arrays(seed: int = 0, people: int = PEOPLE) -> dict[str, np.ndarray]:
    """Make people whose rest follows from where four networks lie in them."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(99)
    group = common.normal(size=(4, PLACES))
    networks = group + 0.5 * rng.normal(size=(people, 4, PLACES))
    courses = rng.normal(size=(people, 4, FRAMES))
    rest = np.einsum("nrp,nrt->npt", networks, courses)
    rest += rng.normal(size=rest.shape)
    return {
        "rest": rest.astype(np.float32),
        "tr_seconds": np.array(2.0),
        "people": np.array([f"{seed}{n:02d}" for n in range(people)]),
        "places": np.array([f"V{n}" for n in range(PLACES)]),
    }


def arguments(
    folder: Path, analysis: str, *words: object, file: str = "all.npz"
) -> list[str]:
    """Return the words of an analysis of linear cores on a file of a folder."""
    call_words = [folder / "study", folder / "out", "group", "--workflow", "dynamics"]
    call_words += ["--analysis", analysis, "--input-arrays", folder / file, *words]
    return [str(word) for word in call_words]


def call(folder: Path, analysis: str, *words: object, file: str = "all.npz") -> int:
    """Run an analysis on a file of a folder."""
    (folder / "study").mkdir(exist_ok=True)
    return program(arguments(folder, analysis, *words, file=file))


def write(path: Path, **arrays: Any) -> Path:
    """Write arrays in the format that the name asks for."""
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        import h5py

        with h5py.File(path, "w") as file:
            for key, values in arrays.items():
                array = np.asarray(values)
                if array.dtype.kind == "U":
                    array = np.asarray(values, h5py.string_dtype())
                file[key] = array
    return path
