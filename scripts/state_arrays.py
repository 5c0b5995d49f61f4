"""People as arrays, made by chance, in each format that `--input-arrays` takes; calls that read it.

Maps follow from where four networks lie in a person, so that models have something to learn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from state_call import ONE_CORE, Call

_PEOPLE, _PLACES, _FRAMES, _CONTRASTS = 12, 30, 400, 2
# A kind of model for each format: that formats give the same bytes is tested elsewhere.
KINDS = {"npz": "linear", "h5": "local-ridge"}


def _steps(form: str, kind: str) -> tuple[str, ...]:
    """Make, judge and use a model of people in files of a format."""

    def step(analysis: str, words: str, file: str = "new") -> str:
        arrays = f"--input-arrays inputs/{file}.{form} {words}"
        return f"bids_dtg inputs arrays/{form} group --analysis {analysis} {arrays} {ONE_CORE}"

    bundle = f"arrays/{form}/group/model-own/bundle"
    return (
        step("train", f"--architecture {kind} --rois 4", "people"),
        f"untime {bundle}",
        step("evaluate", f"--model {bundle}"),
        step("predict", f"--model {bundle}"),
        step("calibrate", f"--model {bundle} --model-name sure"),
    )


ARRAY_CALLS = (
    Call("arrays", tuple(step for form, kind in KINDS.items() for step in _steps(form, kind))),
)


def write_arrays(folder: Path) -> None:
    """Write people to train on, and new ones, in each format."""
    for seed, name in enumerate(("people", "new")):
        arrays = _people(seed)
        np.savez_compressed(folder / f"{name}.npz", **arrays)
        _write_hdf5(folder / f"{name}.h5", arrays)


def _people(seed: int) -> dict[str, Any]:
    rng, common = np.random.default_rng(seed), np.random.default_rng(99)
    group, weights = common.normal(size=(4, _PLACES)), common.normal(size=(_CONTRASTS, 4))
    own = group + 0.5 * rng.normal(size=(_PEOPLE, 4, _PLACES))
    courses = rng.normal(size=(_PEOPLE, 4, _FRAMES))
    noise = rng.normal(size=(_PEOPLE, _PLACES, _FRAMES))
    rest = np.einsum("nrp,nrt->npt", own, courses) + noise
    targets = np.einsum("cr,nrp->ncp", weights, own)
    targets += 0.3 * rng.normal(size=targets.shape)
    return {
        "rest": rest.astype(np.float32),
        "tr_seconds": np.array(2.0),
        "targets": targets.astype(np.float32),
        "contrasts": np.array(["left hand", "LANGUAGE:math"]),
        "people": np.array([f"{seed}{number:02d}" for number in range(_PEOPLE)]),
        "places": np.array([f"V{number}" for number in range(_PLACES)]),
    }


def _write_hdf5(path: Path, arrays: dict[str, Any]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for key, values in arrays.items():
            text = values.dtype.kind == "U"
            file[key] = np.asarray(values, h5py.string_dtype()) if text else values
