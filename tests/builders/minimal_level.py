"""A raw dataset and derivatives as fMRIPrep's levels minimal and resampling leave them.

Names are those of fMRIPrep's own list of what its test writes (nipreps/fmriprep,
.circleci/ds054_outputs.txt): with `boldref` at 8e33288983702727 (23.2 to 25), with `run` at
1a55c61ed6c55b94 (26). What they lack of it is what docs/outputs.rst at 0b700c13c380248a says of the
levels: no series and, as nothing is resampled, no table of confounds. Sidecars name what a file was
made of by `Sources` (fmriprep/workflows/bold/outputs.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fmriprep_dataset import (
    SPACE,
    confound_columns,
    describe_dataset,
    make_image,
    write_confounds,
)
from itk_files import affine_part, itk_text
from study_folders import write_affine

# What fMRIPrep calls the run's own grid, and how the names of its images begin.
GRIDS = {"boldref": ("", "desc-coreg_boldref"), "run": ("space-run_", "boldref")}


@dataclass(frozen=True)
class MinimalRun:
    """The files of a run."""

    raw: Path  # the raw series
    motion: Path  # its matrices
    coregistration: Path
    mask: Path
    confounds: Path


def add_minimal_run(
    raw: Path,
    root: Path,
    participant: str = "01",
    *,
    bold: np.ndarray,
    affine: np.ndarray,
    tr: float = 2.0,
    matrices: np.ndarray | None = None,
    grid: str = "boldref",
    entities: str = "",
    template: str = SPACE,
    with_confounds: bool = False,
) -> MinimalRun:
    """Add a run; `matrices` (frames, 4, 4), RAS+ mm, identities where none are given.

    `with_confounds` adds the table that only the level full writes: some people keep it, and
    remove the series.
    """
    for folder, kind in ((raw, "raw"), (root, "derivative")):
        if not (folder / "dataset_description.json").exists():
            describe_dataset(folder, kind=kind)
    frames = bold.shape[-1]
    matrices = np.repeat(np.eye(4)[None], frames, axis=0) if matrices is None else matrices
    stem = "_".join([f"sub-{participant}", "task-rest", *([entities] if entities else [])])
    series = raw / f"sub-{participant}" / "func" / f"{stem}_bold.nii.gz"
    make_image(series, bold, affine, tr)
    told = {"RepetitionTime": tr, "TaskName": "rest", "SliceTiming": [0.0, tr / 2]}
    series.with_name(f"{stem}_bold.json").write_text(json.dumps(told))

    func, anat = (root / f"sub-{participant}" / kind for kind in ("func", "anat"))
    write_affine(anat / f"sub-{participant}_from-T1w_to-{template}_mode-image_xfm.txt")
    space, reference = GRIDS[grid]
    inside = np.ones(bold.shape[:3], np.uint8)
    made = MinimalRun(
        raw=series,
        motion=func / f"{stem}_from-orig_to-{grid}_mode-image_desc-hmc_xfm.txt",
        coregistration=func / f"{stem}_from-{grid}_to-T1w_mode-image_desc-coreg_xfm.txt",
        mask=func / f"{stem}_{space}desc-brain_mask.nii.gz",
        confounds=func / f"{stem}_desc-confounds_timeseries.tsv",
    )
    write_affine(made.coregistration)
    made.motion.write_text(itk_text([affine_part(matrix) for matrix in matrices]))
    make_image(made.mask, inside, affine)
    make_image(func / f"{stem}_{space}{reference}.nii.gz", bold[..., 0], affine)
    sources = {"Sources": [f"bids:raw:{series.relative_to(raw).as_posix()}"]}
    for path in (made.motion, made.coregistration, made.mask):
        path.with_name(path.name.split(".")[0] + ".json").write_text(json.dumps(sources))
    if with_confounds:
        write_confounds(made.confounds, confound_columns(frames))
    return made
