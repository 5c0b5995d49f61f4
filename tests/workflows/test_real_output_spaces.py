"""All 47 maps of a real person in two other spaces, against antsApplyTransforms' results."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ants_oracle import ants_python, apply_by_ants

from bids_dtg.cli.run import main

pytestmark = pytest.mark.slow

MODEL, OTHER = "MNI152NLin6Asym", "MNI152NLin2009cAsym"
LABEL = "HAPPYTEST"


@pytest.fixture(scope="module")
def inputs(shared, tmp_path_factory) -> Path:
    """A copy of the data set by links, with the co-registered reference as the T1w image.

    The data have no T1w image: their T1w space is that of the reference.
    """
    source, root = (
        shared / "data/real/fmriprep_like",
        tmp_path_factory.mktemp("real") / "fmriprep",
    )
    shutil.copytree(
        source,
        root,
        copy_function=lambda source_file, target: Path(target).symlink_to(source_file),
    )
    anat = root / f"sub-{LABEL}" / "anat"
    reference = (
        source / f"sub-{LABEL}/func/sub-{LABEL}_task-rest_desc-coreg_boldref.nii.gz"
    )
    (anat / f"sub-{LABEL}_desc-preproc_T1w.nii.gz").symlink_to(reference)
    return root


@pytest.fixture(scope="module")
def out(inputs, shared) -> Path:
    ants_python()
    folder = inputs.parent / "out"
    words = [
        str(inputs),
        str(folder),
        "participant",
        "--model",
        "demo",
        "--min-minutes",
        "1",
    ]
    words += ["--participant-label", LABEL, "--omp-nthreads", "1", "--no-reports"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPLATEFLOW_HOME", str(shared / "data/real/templateflow_like"))
        assert main([*words, "--output-spaces", "T1w", OTHER]) == 0
    return folder


@pytest.mark.parametrize("space", ["T1w", OTHER])
def test_maps_are_those_of_ants(out, inputs, shared, tmp_path, space):
    """Divided by the mask that ANTs moved, everywhere; alone where that mask is whole."""
    ways = {
        "T1w": inputs
        / f"sub-{LABEL}/anat/sub-{LABEL}_from-{MODEL}_to-T1w_mode-image_xfm.h5",
        OTHER: shared / f"data/real/templateflow_like/tpl-{OTHER}"
        f"/tpl-{OTHER}_from-{MODEL}_mode-image_xfm.h5",
    }
    maps = sorted(
        out.glob(f"sub-*/func/*_space-{space}_*desc-synthetic_statmap.nii.gz")
    )
    assert len(maps) == 47
    res = "" if space == "T1w" else "_res-2"
    originals = [
        path.with_name(
            path.name.replace(f"space-{space}{res}_", f"space-{MODEL}_res-2_")
        )
        for path in maps
    ]
    first = nib.load(originals[0])
    mask = tmp_path / "mask.nii.gz"
    nib.save(
        nib.Nifti1Image((first.get_fdata() != 0).astype(np.float32), first.affine), mask
    )
    pairs = [(path, tmp_path / path.name) for path in originals]
    moved = tmp_path / "moved.nii.gz"
    apply_by_ants(maps[0], [*pairs, (mask, moved)], [ways[space]])
    inside = nib.load(moved).get_fdata()
    lowest = {"divided": 1.0, "whole": 1.0, "plain": 1.0}
    for path, (_, by_ants) in zip(maps, pairs, strict=True):
        ours, theirs = nib.load(path).get_fdata(), nib.load(by_ants).get_fdata()
        with_value, whole = ours != 0, inside > 0.999
        assert not (with_value & (inside < 0.499)).any()
        assert with_value[inside > 0.501].mean() > 0.9999
        lowest = {
            "divided": min(
                lowest["divided"],
                _r(ours[with_value], theirs[with_value] / inside[with_value]),
            ),
            "whole": min(lowest["whole"], _r(ours[whole], theirs[whole])),
            "plain": min(lowest["plain"], _r(ours[with_value], theirs[with_value])),
        }
    print(space, lowest, f"share at the rim {(inside[with_value] < 0.999).mean():.3f}")
    assert lowest["divided"] > 0.9999
    assert lowest["whole"] > 0.9999
    assert lowest["plain"] > 0.95


def _r(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])
