"""The one builder of input that is not fMRIPrep's: XCP-D, HCP and UK Biobank, with small images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fmriprep_dataset import SPACE, add_run, describe_dataset, make_image


def add_xcpd_run(
    root: Path, participant: str = "01", *, desc: str = "denoised", **options
) -> Path:
    """Add a run of XCP-D, which leaves no mask and no confounds; `options` as in `add_run`."""
    if not (root / "dataset_description.json").exists():
        describe_dataset(root, pipeline="xcp_d")
    preproc = add_run(root, participant, parts=("bold", "json"), **options)
    for path in (preproc, preproc.with_name(preproc.name.replace(".nii.gz", ".json"))):
        path.rename(path.with_name(path.name.replace("desc-preproc", f"desc-{desc}")))
    return preproc.with_name(preproc.name.replace("desc-preproc", f"desc-{desc}"))


def write_outliers(bold: Path, flags: Sequence[object]) -> Path:
    """Write XCP-D's table of the frames that it flagged for motion, beside a series."""
    stem = bold.name.partition("_space-")[0]
    path = bold.with_name(f"{stem}_outliers.tsv")
    path.write_text("\n".join(["framewise_displacement", *map(str, flags)]) + "\n")
    return path


def write_motion(bold: Path, desc: str = "", **columns: Sequence[object]) -> Path:
    """Write XCP-D's table of motion beside a series; `desc` as before XCP-D 0.7."""
    stem = bold.name.partition("_space-")[0]
    path = bold.with_name(f"{stem}{desc}_motion.tsv")
    rows = ["\t".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(["\t".join(columns), *rows]) + "\n")
    return path


def add_hcp_run(
    root: Path,
    folder: str = "100307",
    run: str = "rfMRI_REST1_LR",
    *,
    bold: np.ndarray,
    affine: np.ndarray | None = None,
    tr: float = 0.72,
    cleaned: str = "hp2000_clean",
    mask: np.ndarray | None = None,
) -> Path:
    """Add a run as the HCP pipelines leave it after FIX."""
    results = root / folder / "MNINonLinear" / "Results" / run
    path = results / f"{run}_{cleaned}.nii.gz"
    make_image(path, bold, affine, tr)
    inside = (
        np.ones(bold.shape[:3], np.uint8) if mask is None else mask.astype(np.uint8)
    )
    make_image(results / "brainmask_fs.2.nii.gz", inside, affine)
    return path


def add_ukb_run(
    root: Path,
    folder: str = "1234567",
    *,
    bold: np.ndarray,
    affine: np.ndarray | None = None,
    tr: float = 0.735,
    name: str = "filtered_func_data_clean_standard.nii.gz",
    told_tr: bool = True,
) -> Path:
    """Add a run of UK Biobank; `name` is below rfMRI.ica."""
    fmri = root / folder / "fMRI"
    path = fmri / "rfMRI.ica" / name
    make_image(path, bold, affine, tr)
    if told_tr:
        (fmri / "rfMRI.json").write_text(json.dumps({"RepetitionTime": tr}))
    return path


def write_affine(path: Path, matrix: np.ndarray | None = None) -> Path:
    """Write an affine in ITK's text form; the identity where none is given (LPS+ mm)."""
    matrix = np.eye(4) if matrix is None else matrix
    numbers = [*matrix[:3, :3].ravel(), *matrix[:3, 3]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {' '.join(map(str, numbers))}\nFixedParameters: 0 0 0\n"
    )
    return path


def add_transforms(
    root: Path, participant: str = "01", *, session: str | None = None
) -> None:
    """Add fMRIPrep's transforms, all identities: T1w to the template, boldref to T1w."""
    sub = [f"sub-{participant}", *([f"ses-{session}"] if session else [])]
    folder, stem = root.joinpath(*sub), "_".join(sub)
    write_affine(folder / "anat" / f"{stem}_from-T1w_to-{SPACE}_mode-image_xfm.txt")
    name = f"{stem}_task-rest_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
    write_affine(folder / "func" / name)
