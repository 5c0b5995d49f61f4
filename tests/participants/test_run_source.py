"""Runs as sources: frames against a series resampled beforehand, and wrong headers."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from cifti_people import parcels_axis, save_series, tiny_series
from fmriprep_dataset import describe_dataset, make_image
from tiny_job import tiny_bold

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.run import SPACE
from bids_dtg.inputs.runs import run_of_file
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.participants.run_source import RunSource, plan_run
from bids_dtg.settings import CleaningOptions

SERIES_OF = {
    "MNI152NLin6Asym": "space-MNI152NLin6Asym_desc-denoised_bold.nii.gz",
    "fsLR parcels": "space-fsLR_seg-Tiny_stat-mean_timeseries.ptseries.nii",
}


@pytest.mark.parametrize("space", SERIES_OF)
@pytest.mark.parametrize(("stated", "header"), [(2.0, 1.0), (0.8, 800.0)])
def test_the_sidecar_holds_where_the_program_wrote_a_wrong_header(
    tmp_path, space, stated, header
):
    """The frames and the columns of a filter are those of the same run with a right header."""
    options = {"denoise_strategy": "none", "high_pass": 0.01, "min_minutes": 0.0}
    designs = []
    for name, seconds in (("right", stated), ("wrong", header)):
        root = describe_dataset(tmp_path / name, pipeline="XCP-D", version="0.6.0")
        path = root / "sub-01" / "func" / f"sub-01_task-rest_{SERIES_OF[space]}"
        if space == SPACE:
            make_image(path, tiny_bold(200), tr=seconds)
        else:
            axis = parcels_axis()
            save_series(path, tiny_series(len(axis), 200), axis, seconds)
        sidecar = path.with_name(path.name.partition(".")[0] + ".json")
        sidecar.write_text(json.dumps({"RepetitionTime": stated}))
        run = run_of_file(path, root, rule=SpaceRule(model=space), input_type="xcpd")
        planned = plan_run(run, space, CleaningOptions(**options))
        designs.append(planned.design)
    assert [design.tr_seconds for design in designs] == [stated, stated]
    assert designs[0].basis.shape[1] > 2
    np.testing.assert_allclose(designs[1].basis, designs[0].basis, atol=1e-6)
    assert (
        f"RepetitionTime ({stated:g} s) was used; the header has {header:g} s"
        in planned.notes[0]
    )


@pytest.mark.slow
def test_the_ready_series_is_met(shared):
    """The ready series was resampled once from the scan, by cubic splines as ours."""
    func, stem = (
        shared / "data/real/fmriprep_like/sub-HAPPYTEST/func",
        "sub-HAPPYTEST_task-rest_",
    )
    name = f"{stem}space-{SPACE}_res-2_desc-"
    mask = nib.load(func / f"{name}brain_mask.nii.gz")
    inside = np.zeros(mask.shape, bool)  # every other voxel along each axis
    inside[::2, ::2, ::2] = np.asarray(mask.dataobj)[::2, ::2, ::2] > 0
    places = VoxelPlaces.within(Grid(mask.shape, mask.affine, SPACE, "2"), inside)
    native = run_of_file(func / f"{stem}desc-preproc_bold.nii.gz", func.parents[1])
    cleaning = CleaningOptions(denoise_strategy="none", min_minutes=0.0)
    source = RunSource.of(native, SPACE, places, cleaning)
    found = np.concatenate([block.copy() for _, block in source.blocks()])[::5]
    ready = np.asarray(nib.load(func / f"{name}preproc_bold.nii.gz").dataobj)[
        places.mask
    ].T[::5]
    # Over frames, voxel by voxel.
    one, other = (data - data.mean(axis=0, dtype=np.float64) for data in (found, ready))
    norms = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    assert np.median((one * other).sum(axis=0)[norms > 0] / norms[norms > 0]) > 0.99
