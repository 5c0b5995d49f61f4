"""Consistent confounds tables, as fMRIPrep writes them, and BOLD that contains the confounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fmriprep_dataset import MOTION, write_confounds
from nilearn.glm.first_level.design_matrix import create_cosine_drift

NON_STEADY = 2


def nuisance_columns(frames: int, tr: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Make all columns that strategies read: (frames,) each, NaN where fMRIPrep writes n/a."""
    rng = np.random.default_rng(seed)
    bases = {name: 0.05 * rng.standard_normal(frames).cumsum() for name in MOTION}
    for name in ("csf", "white_matter", "global_signal"):
        bases[name] = 500 + rng.standard_normal(frames).cumsum()
    table: dict[str, np.ndarray] = {}
    for name, values in bases.items():
        derivative = np.concatenate([[np.nan], np.diff(values)])
        table[name], table[f"{name}_derivative1"] = values, derivative
        table[f"{name}_power2"] = values**2
        table[f"{name}_derivative1_power2"] = derivative**2
    for kind, count in (("a", 6), ("c", 3), ("w", 3), ("t", 2)):
        for number in range(count):
            table[f"{kind}_comp_cor_{number:02d}"] = 0.1 * rng.standard_normal(frames)
    drift = create_cosine_drift(1 / 128, np.arange(frames) * tr)[:, :-1]
    table |= {f"cosine{number:02d}": column for number, column in enumerate(drift.T)}
    moved = np.abs(0.1 * rng.standard_normal(frames))
    moved[[frames // 3, frames // 3 + 3, 2 * frames // 3]] = 0.9
    table["framewise_displacement"] = np.concatenate([[np.nan], moved[1:]])
    dvars = 1 + 0.1 * rng.standard_normal(frames - 1)
    table["std_dvars"] = np.concatenate([[np.nan], dvars])
    for frame in range(NON_STEADY):
        is_frame = np.arange(frames) == frame
        table[f"non_steady_state_outlier{frame:02d}"] = is_frame.astype(float)
    return table


def write_nuisance(path: Path, table: dict[str, np.ndarray]) -> None:
    """Write a table and the JSON file beside it."""
    text = {
        name: ["n/a" if np.isnan(value) else repr(float(value)) for value in column]
        for name, column in table.items()
    }
    write_confounds(path, text)
    masks = {"a": "combined", "c": "CSF", "w": "WM"}
    metadata = {
        name: {"Mask": masks[name[0]], "Method": "aCompCor"}
        for name in table
        if "_comp_cor_" in name and name[0] in masks
    }
    path.with_suffix(".json").write_text(json.dumps(metadata))


def write_aroma(
    folder: Path,
    title: str,
    mixing: np.ndarray,
    noise: np.ndarray,
    *,
    post: bool = False,
) -> None:
    """Write ICA-AROMA's files as fMRIPrep did, or as fMRIPost-AROMA does."""
    folder.mkdir(parents=True, exist_ok=True)
    if not post:
        np.savetxt(folder / f"{title}_desc-MELODIC_mixing.tsv", mixing, delimiter="\t")
        numbers = ",".join(str(index + 1) for index in np.flatnonzero(noise))
        (folder / f"{title}_AROMAnoiseICs.csv").write_text(numbers)
        return
    name = f"{title}_res-2_space-MNI152NLin6Asym_desc-melodic_mixing.tsv"
    np.savetxt(folder / name, mixing, delimiter="\t")
    rows = ["edge_fract\tclassification"]
    rows += [f"0.5\t{'rejected' if bad else 'accepted'}" for bad in noise]
    (folder / f"{title}_desc-aroma_metrics.tsv").write_text("\n".join(rows) + "\n")


def write_tedana(
    folder: Path,
    title: str,
    mixing: np.ndarray,
    kinds: Sequence[str],
    name: str = "ICA_{:02d}",
) -> None:
    """Write tedana's files; `name`: how its table of components writes theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    names = "\t".join(f"ICA_{number:02d}" for number in range(mixing.shape[1]))
    path = folder / f"{title}_desc-ICA_mixing.tsv"
    np.savetxt(path, mixing, delimiter="\t", header=names, comments="")
    rows = [f"{name.format(number)}\t9.5\t{kind}" for number, kind in enumerate(kinds)]
    text = "\n".join(["Component\tkappa\tclassification", *rows]) + "\n"
    (folder / f"{title}_desc-tedana_metrics.tsv").write_text(text)
