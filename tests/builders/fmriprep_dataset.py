"""The one builder of fake fMRIPrep datasets for all tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
EXPANSIONS = ["", "_derivative1", "_power2", "_derivative1_power2"]
SPACE = "MNI152NLin6Asym"


def describe_dataset(
    root: Path,
    *,
    kind: str = "derivative",
    pipeline: str = "fMRIPrep",
    version: str = "23.2.0",
) -> Path:
    """Write dataset_description.json of a raw (`kind="raw"`) or derivative dataset."""
    root.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "Name": "fake",
        "BIDSVersion": "1.8.0",
        "DatasetType": kind,
    }
    if kind == "derivative":
        content["GeneratedBy"] = [{"Name": pipeline, "Version": version}]
    (root / "dataset_description.json").write_text(json.dumps(content))
    return root


def make_image(
    path: Path, data: np.ndarray, affine: np.ndarray | None = None, tr: float = 2.0
):
    """Write a NIfTI image; `data` is (i, j, k) or (i, j, k, frames)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, np.diag([2, 2, 2, 1.0]) if affine is None else affine)
    image.header.set_xyzt_units("mm", "sec")
    if data.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    nib.save(image, path)


def confound_columns(
    n_frames: int, seed: int = 0, n_non_steady: int = 0
) -> dict[str, list[str]]:
    """Make a table as fMRIPrep writes it: n/a in the first row of derivatives, FD and DVARS."""
    rng = np.random.default_rng(seed)
    names = [
        f"{base}{end}"
        for base in ("csf", "white_matter", *MOTION)
        for end in EXPANSIONS
    ]
    names += [
        "global_signal",
        "framewise_displacement",
        "std_dvars",
        "cosine00",
        "cosine01",
    ]
    names += [f"global_signal{end}" for end in EXPANSIONS[1:]]
    table = {name: [f"{x:.6f}" for x in 0.1 * rng.random(n_frames)] for name in names}
    for name in names:
        if "derivative1" in name or name in {"framewise_displacement", "std_dvars"}:
            table[name][0] = "n/a"
    for frame in range(n_non_steady):
        one_hot = ["1.0" if i == frame else "0.0" for i in range(n_frames)]
        table[f"non_steady_state_outlier{frame:02d}"] = one_hot
    return table


def write_confounds(path: Path, table: dict[str, list[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = zip(*table.values(), strict=True)
    lines = ["\t".join(table), *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def add_run(
    root: Path,
    participant: str = "01",
    *,
    session: str | None = None,
    task: str = "rest",
    entities: str = "",
    space: str | None = SPACE,
    res: str | None = "2",
    bold: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    affine: np.ndarray | None = None,
    tr: float | None = 2.0,
    n_non_steady: int = 0,
    parts: Sequence[str] = ("bold", "json", "mask", "confounds"),
    confounds_suffix: str = "timeseries",
    extension: str = ".nii.gz",
) -> Path:
    """Add one run with small images and return the path of its BOLD series.

    `entities` is put between task and space, e.g. "run-1" or "echo-1_part-mag";
    `parts` says which of the four files are written; with `bold=None` a tiny
    random image stands in.
    """
    middle = [f"task-{task}", *([entities] if entities else [])]
    sub = [f"sub-{participant}", *([f"ses-{session}"] if session else [])]
    grid = [*([f"space-{space}"] if space else []), *([f"res-{res}"] if res else [])]
    func = root.joinpath(*sub, "func")
    func.mkdir(parents=True, exist_ok=True)
    prefix = "_".join([*sub, *middle, *grid])
    path = func / f"{prefix}_desc-preproc_bold{extension}"
    if bold is None:
        bold = np.random.default_rng(0).integers(1, 99, (3, 3, 3, 12)).astype(np.int16)
    if "bold" in parts:
        make_image(path, bold, affine, tr or 2.0)
    if "json" in parts:
        sidecar = {"SkullStripped": False} | (
            {} if tr is None else {"RepetitionTime": tr}
        )
        (func / f"{prefix}_desc-preproc_bold.json").write_text(json.dumps(sidecar))
    if "mask" in parts:
        inside = (
            np.ones(bold.shape[:3], np.uint8) if mask is None else mask.astype(np.uint8)
        )
        make_image(func / f"{prefix}_desc-brain_mask.nii.gz", inside, affine)
    if "confounds" in parts:
        stem = "_".join([*sub, *middle])
        write_confounds(
            func / f"{stem}_desc-confounds_{confounds_suffix}.tsv",
            confound_columns(bold.shape[-1], n_non_steady=n_non_steady),
        )
    return path
